"""Each frame's best word and each word's best frame, with a backward pass that touches only those."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import pad

from .bucketing import Bucket, length_buckets, texts_per_block, unsort


class BestMatches(NamedTuple):
    """The two maxima over all cosines of a text's words and a video's frames."""

    of_frames: Float[Tensor, "video frame text"]
    """Of each frame with its best word."""
    of_words: Float[Tensor, "video text word"]
    """Of each word with its best frame."""


class Padding(NamedTuple):
    """The real parts of texts and videos."""

    words: Bool[Tensor, "text word"]
    frames: Bool[Tensor, "video frame"]

    def cut(self, bucket: Bucket) -> "Padding":
        """For some of the texts."""
        return Padding(self.words[bucket.texts, : bucket.words], self.frames)


def best_matches(
    words: Float[Tensor, "text word dim"],
    frames: Float[Tensor, "video frame dim"],
    padding: Padding | None = None,
) -> BestMatches:
    """The best cosines; 0 for padding.

    Holds the video x frame x text x word block of cosines once; with gradients once more in the backward pass,
    but not between the two; on a CPU, with gradients, only that of a few texts of like length at a time. In the
    backward pass every maximum has one winner, so that the block's gradient is two scatters
    into zeros. PyTorch's own, which shares ties, compares the whole block with each maximum.

    Args:
        padding: what takes no part. None: every part takes part.
    """
    if torch.is_grad_enabled() and (words.requires_grad or frames.requires_grad):
        of_frames, of_words, *_ = _BestMatches.apply(words, frames, padding)
    else:
        cosines = _cosines(words, frames, padding)
        of_frames, of_words = cosines.amax(dim=3), cosines.amax(dim=1)
    if padding is None:
        return BestMatches(of_frames, of_words)
    return BestMatches(
        of_frames.masked_fill(~padding.frames[..., None], 0.0), of_words.masked_fill(~padding.words, 0.0)
    )


def _cosines(
    words: Tensor, frames: Tensor, padding: Padding | None
) -> Float[Tensor, "video frame text word"]:
    """Minus infinity where there is padding, without a masked copy: padded words enter the matrix product at it,
    padded frames are set to it in place."""
    left, right = frames.flatten(0, 1), words.flatten(0, 1)
    shape = (*frames.shape[:2], *words.shape[:2])
    if padding is None:
        return (left @ right.T).view(shape)
    barred = right.new_zeros(len(right)).masked_fill_(~padding.words.flatten(), float("-inf"))
    return (
        torch.addmm(barred, left, right.T)
        .view(shape)
        .masked_fill_(~padding.frames[..., None, None], float("-inf"))
    )


class _BestMatches(Function):
    generate_vmap_rule = True  # so that torch.func can take gradients of many heads at once

    @staticmethod
    def forward(words: Tensor, frames: Tensor, padding: Padding | None) -> tuple[Tensor, ...]:
        found: list[tuple[Tensor, ...]] = []
        buckets = _buckets(words, frames, padding)
        for bucket in buckets:
            some = None if padding is None else padding.cut(bucket)
            cosines = _cosines(words[bucket.texts, : bucket.words], frames, some)
            (of_frames, best_word), (of_words, best_frame) = cosines.max(dim=3), cosines.max(dim=1)
            missing = (0, words.shape[1] - bucket.words)
            found.append((of_frames, pad(of_words, missing), best_word, pad(best_frame, missing)))
        of_frames, of_words, best_word, best_frame = zip(*found, strict=True)
        return (
            unsort(of_frames, buckets, axis=2),
            unsort(of_words, buckets, axis=1),
            unsort(best_word, buckets, axis=2),
            unsort(best_frame, buckets, axis=1),
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        words, frames, padding = inputs
        winners = output[2:]
        ctx.mark_non_differentiable(*winners)
        ctx.save_for_backward(words, frames, *winners, *(padding or ()))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        of_frames, of_words = gradients[:2]
        words, frames, best_word, best_frame, *masks = ctx.saved_tensors
        to_words: list[Tensor] = []
        to_frames: list[Tensor] = []
        buckets = _buckets(words, frames, Padding(*masks) if masks else None)
        for bucket in buckets:
            texts, count = bucket.texts, bucket.words
            some = words[texts, :count]
            cosines = of_frames.new_zeros(*frames.shape[:2], *some.shape[:2])
            cosines.scatter_(3, best_word[:, :, texts, None], of_frames[:, :, texts, None])
            cosines.scatter_add_(1, best_frame[:, None, texts, :count], of_words[:, None, texts, :count])
            # Under autocast the cosines had fewer bits than the words and frames.
            flat = cosines.flatten(2).flatten(0, 1)
            of_some = (flat.T @ frames.flatten(0, 1).to(flat.dtype)).view(some.shape).to(words.dtype)
            to_words.append(pad(of_some, (0, 0, 0, words.shape[1] - count)))
            to_frames.append((flat @ some.flatten(0, 1).to(flat.dtype)).view(frames.shape).to(frames.dtype))
        # Not added in place: under vmap, frames that do not depend on the weights have gradients that do.
        return unsort(to_words, buckets), torch.stack(to_frames).sum(dim=0), None


def _buckets(words: Tensor, frames: Tensor, padding: Padding | None) -> list[Bucket]:
    if padding is None:
        return [Bucket(slice(None), words.shape[1])]
    at_a_time = texts_per_block(words.shape[1], frames.shape[0] * frames.shape[1])
    return length_buckets(padding.words, at_a_time)
