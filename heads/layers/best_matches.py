"""Each frame's best word and each word's best frame, with a backward pass that touches only those."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function


class BestMatches(NamedTuple):
    """The two maxima over all cosines of a text's words and a video's frames."""

    of_frames: Float[Tensor, "video frame text"]
    """Of each frame with its best word."""
    of_words: Float[Tensor, "video text word"]
    """Of each word with its best frame."""


def best_matches(
    words: Float[Tensor, "text word dim"], frames: Float[Tensor, "video frame dim"]
) -> BestMatches:
    """Every part takes part: what must not win a maximum has to be overwritten before.

    Holds the video x frame x text x word block of cosines once; with gradients once more in the backward pass,
    but not between the two. There every maximum has one winner, so that the block's gradient is two scatters
    into zeros. PyTorch's own, which shares ties, compares the whole block with each maximum.
    """
    if torch.is_grad_enabled() and (words.requires_grad or frames.requires_grad):
        of_frames, of_words, *_ = _BestMatches.apply(words, frames)
        return BestMatches(of_frames, of_words)
    scores = _cosines(words, frames)
    return BestMatches(scores.amax(dim=3), scores.amax(dim=1))


def _cosines(words: Tensor, frames: Tensor) -> Float[Tensor, "video frame text word"]:
    flat = frames.flatten(0, 1) @ words.flatten(0, 1).T
    return flat.view(*frames.shape[:2], *words.shape[:2])


class _BestMatches(Function):
    generate_vmap_rule = True  # so that torch.func can take gradients of many heads at once

    @staticmethod
    def forward(words: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        scores = _cosines(words, frames)
        (of_frames, best_word), (of_words, best_frame) = scores.max(dim=3), scores.max(dim=1)
        return of_frames, of_words, best_word, best_frame

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        winners = output[2:]
        ctx.mark_non_differentiable(*winners)
        ctx.save_for_backward(*inputs, *winners)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        of_frames, of_words = gradients[:2]
        words, frames, best_word, best_frame = ctx.saved_tensors
        cosines = of_frames.new_zeros(*frames.shape[:2], *words.shape[:2])
        cosines.scatter_(3, best_word[..., None], of_frames[..., None])
        cosines.scatter_add_(1, best_frame[:, None], of_words[:, None])
        # Under autocast the cosines had fewer bits than the words and frames.
        flat = cosines.flatten(2).flatten(0, 1)
        to_words = flat.T @ frames.flatten(0, 1).to(flat.dtype)
        to_frames = flat @ words.flatten(0, 1).to(flat.dtype)
        return to_words.view(words.shape).to(words.dtype), to_frames.view(frames.shape).to(frames.dtype)
