"""X-CLIP: video and frames against sentence and words, all four ways, by attention over similarities."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data.contracts.errors import UsageError
from ..data.contracts.numbers import Count, Layers, Positive
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.bucketing import Bucket, length_buckets, texts_per_block, unsort
from .layers.padding import l2_normalise, masked_mean, padded_to, without_start, zero_padding
from .layers.soft_pooling import soft_pool
from .layers.term_weights import TermWeights
from .layers.transformer import Start, Transformer, released_names

CITATION = "Ma et al., X-CLIP: End-to-End Multi-grained Contrastive Learning, ACM MM 2022, arXiv 2207.07285"

RELEASED_NAMES = {
    **released_names("(?:transformerClip|seqTransf)", "temporal"),
    r"frame_position_embeddings(?:\.weight)?": "temporal.positions",
    r"global_mat_weight": "global_mix",
    r"local_mat_weight": "local_mix",
    r"(word|frame)_logit_weight": r"\1_mix",
    r"(word|frame)_mat_weight": r"\1_first_mix",
    r"(word|frame)_mat_weight2": r"\1_second_mix",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The temporal transformer, and how the four similarities are combined."""

    layers: Layers = 4
    """Transformer layers over the frames; 0: none."""
    heads: Count | None = None
    """Attention heads; none: as the encoder's text tower, or one per 64 dims, eight where each then has 16."""
    init: Start = "zero"
    """zero: the transformer starts as the identity. random: CLIP's own initial distribution."""
    shares: tuple[Positive, ...] = (0.7, 0.1, 0.1, 0.1)
    """What video-sentence, video-word, frame-sentence and frame-word start with; published: 0.25 each."""
    learned_shares: bool = True
    """Whether the four shares are learned; published: no."""
    start_token: bool = False
    """Whether the start token, the same vector in every text, counts as a word, as published."""
    temperature: Positive = 0.01
    """Of every attention over similarities."""
    masked: bool = True
    """false: padding takes part in every attention over similarities, as in the released code."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            UsageError: not one positive share per similarity, or a temperature that is not above 0.
        """
        if len(self.shares) != 4 or min(self.shares) <= 0:
            raise UsageError(f"shares must be four numbers above 0, got {self.shares}.")
        if self.temperature <= 0:
            raise UsageError(f"temperature must be above 0, got {self.temperature}.")


PUBLISHED = Config(shares=(0.25,) * 4, learned_shares=False, start_token=True, masked=False)
"""The released code."""

NOT_REPRODUCED = (
    "X-CLIP compares padding too: features of an empty picture and of tokens behind the end token, which a store "
    "does not hold. Here they are zeros, so videos with fewer frames, and texts with fewer words, than it was "
    "trained with score otherwise"
)


class Head(Contract):
    """Weighted mean of four similarities: {video, frames} x {sentence, words}.

    The word x word and frame x frame matrices tie a trained head to its largest number of words and frames.
    """

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        dim, words, frames = shape.dim, shape.num_words, shape.num_frames
        self.temporal = None
        if config.layers:
            self.temporal = Transformer(
                dim, frames, layers=config.layers, heads=shape.heads(config.heads), start=config.init
            )
        self.global_mix, self.local_mix = nn.Parameter(torch.eye(dim)), nn.Parameter(torch.eye(dim))
        self.word_mix, self.frame_mix = nn.Parameter(torch.eye(words)), nn.Parameter(torch.eye(frames))
        self.word_first_mix = nn.Parameter(torch.eye(words))
        self.word_second_mix = nn.Parameter(torch.eye(words))
        self.frame_first_mix = nn.Parameter(torch.eye(frames))
        self.frame_second_mix = nn.Parameter(torch.eye(frames))
        self.shares = TermWeights(config.shares, learned=config.learned_shares)

    def encode_video(self, video: VideoFeatures) -> Encoded:
        frames, mask = self._padded(video.frames, video.mask, self.shape.num_frames)
        moved = frames if self.temporal is None else self.temporal(frames, mask)
        frames = zero_padding(frames, mask) if self.config.masked else frames
        return {
            "video": l2_normalise(masked_mean(l2_normalise(moved), mask)),
            "frames": l2_normalise(frames),
            "mask": mask,
        }

    def encode_text(self, text: TextFeatures) -> Encoded:
        words, mask = self._padded(text.words, text.mask, self.shape.num_words)
        mask = mask if self.config.start_token else without_start(mask)
        words = zero_padding(words, mask) if self.config.masked else words
        words = l2_normalise(words)
        mixed = words @ self.local_mix
        return {"sentence": l2_normalise(text.sentence), "words": words, "mixed_words": mixed, "mask": mask}

    def _padded(self, parts: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
        return (parts, mask) if self.config.masked else padded_to(parts, mask, count)

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        # Once for all texts: the first frames of all videos, then their second ones, and so on.
        video = {**video, "rows": video["frames"].transpose(0, 1).flatten(0, 1)}
        if not self.config.masked:
            return self._block(text, video)
        mask = text["mask"]
        buckets = length_buckets(mask, texts_per_block(mask.shape[1], video["mask"].numel()))
        return unsort([self._block(_cut(text, bucket), video) for bucket in buckets], buckets)

    def _block(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        sentence, words, clip = text["sentence"], text["words"], video["video"]
        (videos, frames), texts = video["mask"].shape, len(sentence)
        by_frame = (sentence @ video["rows"].T).view(texts, frames, videos)
        terms = [
            sentence @ self.global_mix @ clip.T,
            self._pooled_words(torch.einsum("atd,bd->atb", words, clip), text["mask"], self.word_mix),
            self._pooled_frames(by_frame, video["mask"], self.frame_mix),
            self._frame_word(text, video),
        ]
        return torch.einsum("k,kab->ab", self.shares(), torch.stack(terms))

    def _frame_word(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        """Attention over the word x frame similarities, words first and frames first, averaged.

        Videos lie behind frames: a softmax over neighbours in memory, a dozen at a time, takes five times as long.
        """
        (texts, words), (videos, frames) = text["mask"].shape, video["mask"].shape
        scores = (text["mixed_words"].flatten(0, 1) @ video["rows"].T).view(texts, words, frames, videos)
        by_frame = self._pooled_words(scores, text["mask"], self.word_first_mix)
        by_word = self._pooled_frames(scores, video["mask"], self.frame_first_mix)
        del scores
        over_frames = self._pooled_frames(by_frame, video["mask"], self.frame_second_mix)
        return (over_frames + self._pooled_words(by_word, text["mask"], self.word_second_mix)) / 2

    def _pooled_words(self, scores: Tensor, mask: Tensor, mix: Tensor) -> Tensor:
        """Pool over axis 1."""
        mask = mask.view(*mask.shape, *(1,) * (scores.ndim - 2))
        count = scores.shape[1]
        return soft_pool(
            scores,
            mask if self.config.masked else None,
            mix[:count, :count],
            axis=1,
            temperature=self.config.temperature,
        )

    def _pooled_frames(self, scores: Tensor, mask: Tensor, mix: Tensor) -> Tensor:
        """Pool over the last axis but one, the last being the video."""
        count = scores.shape[-2]
        return soft_pool(
            scores,
            mask.T if self.config.masked else None,
            mix[:count, :count],
            axis=-2,
            temperature=self.config.temperature,
        )

    def numbers_per_pair(self) -> int:
        words, frames = self.shape.num_words, self.shape.num_frames
        return 3 * words * frames + 4 * (words + frames)


def _cut(text: Encoded, bucket: Bucket) -> Encoded:
    """Some of the texts, padded to the longest of them."""
    words = {name: text[name][bucket.texts, : bucket.words] for name in ("words", "mixed_words", "mask")}
    return {"sentence": text["sentence"][bucket.texts], **words}
