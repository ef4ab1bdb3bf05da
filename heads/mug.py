"""Mug-STAN's mutual guidance: attention over the word-frame similarities, both ways. No parameters."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..data.contracts.errors import UsageError
from ..data.contracts.numbers import Positive
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import l2_normalise, without_start, zero_padding
from .layers.soft_pooling import soft_pool

CITATION = "Liu et al., Mug-STAN: Adapting Image-Language Pretrained Models, arXiv 2311.15075"


@dataclass(frozen=True, slots=True)
class Config:
    """How sharply the similarities are chosen, from which words, and what is pooled in the end."""

    temperature: Positive = 0.01
    """Of every softmax over similarities."""
    start_token: bool = False
    """Whether the start token, the same vector in every text, counts as a word, as published."""
    mode: Literal["simple", "features"] = "simple"
    """simple: similarities are pooled, as in the released runs (there ``mug_frame_token_simple``). features: words and
    frames are, and their product is the score, as the paper's abstract says (there ``mug_frame_token``)."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            UsageError: the temperature is not above 0.
        """
        if self.temperature <= 0:
            raise UsageError(f"temperature must be above 0, got {self.temperature}.")


PUBLISHED = Config(start_token=True)
"""The released code."""


class Head(Contract):
    """Frames are pooled for each word and then the words, words for each frame and then the frames; averaged.

    That is ``mode=simple``, X-CLIP's attention over the word-frame similarities with all its matrices the identity.
    With ``mode=features`` the same numbers weigh words and frames: the score is the product of the two weighted
    means, which is the mean of all word-frame similarities by both weights. It starts
    below mean_pool, and stays there: it trusts words other than the end token, which CLIP never aligned with
    pictures, and it has nothing to learn.
    """

    has_weights = False

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config

    def encode_video(self, video: VideoFeatures) -> Encoded:
        return {"frames": l2_normalise(zero_padding(video.frames, video.mask)), "mask": video.mask}

    def encode_text(self, text: TextFeatures) -> Encoded:
        mask = text.mask if self.config.start_token else without_start(text.mask)
        return {"words": l2_normalise(zero_padding(text.words, mask)), "mask": mask}

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        (texts, words), (videos, frames) = text["mask"].shape, video["mask"].shape
        # Videos lie behind frames: a softmax over neighbours in memory, a dozen at a time, takes five times as long.
        scores = text["words"].flatten(0, 1) @ video["frames"].transpose(0, 1).flatten(0, 1).T
        scores = scores.view(texts, words, frames, videos)
        by_word = self._pool(scores, video["mask"].T, axis=2)
        by_frame = self._pool(scores, text["mask"][..., None, None], axis=1)
        if self.config.mode == "features":
            words_weigh = self._weights(by_word, text["mask"][..., None], axis=1)
            frames_weigh = self._weights(by_frame, video["mask"].T, axis=1)
            return (torch.einsum("atb,atvb->avb", words_weigh, scores) * frames_weigh).sum(dim=1)
        pooled_words = self._pool(by_word, text["mask"][..., None], axis=1)
        return (pooled_words + self._pool(by_frame, video["mask"].T, axis=1)) / 2

    def _weights(self, scores: Tensor, mask: Bool[Tensor, "..."], *, axis: int) -> Tensor:
        return (scores / self.config.temperature).masked_fill(~mask, float("-inf")).softmax(dim=axis)

    def _pool(self, scores: Tensor, mask: Tensor, *, axis: int) -> Tensor:
        return soft_pool(scores, mask, None, axis=axis, temperature=self.config.temperature)

    def numbers_per_pair(self) -> int:
        words, frames = self.shape.num_words, self.shape.num_frames
        return 3 * words * frames + 4 * (words + frames)
