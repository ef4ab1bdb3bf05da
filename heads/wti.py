"""DRL's weighted token-wise interaction with its channel decorrelation loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from ..data.contracts.numbers import Count, Layers, Weight
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.channel_correlation import channel_correlation_loss
from .layers.padding import l2_normalise, padded_to, without_start, zero_padding
from .layers.token_interaction import TokenWeights, WeightedTokens, token_interaction, uniform_weights
from .layers.transformer import Start, Transformer, released_names

CITATION = "Wang et al., Disentangled Representation Learning for Text-Video Retrieval, arXiv 2203.07111"

RELEASED_NAMES = {
    **released_names("transformerClip", "temporal"),
    r"frame_position_embeddings(?:\.weight)?": "temporal.positions",
    r"(text|video)_weight_fc\.0\.(weight|bias)": r"\1_weights.hidden.\2",
    r"(text|video)_weight_fc\.2\.weight": r"\1_weights.score.weight",
    r"(?:text|video)_weight_fc\.2\.bias": "",
}


@dataclass(frozen=True, slots=True)
class Config:
    """Which transformers, which token weights, how much decorrelation."""

    layers: Layers = 4
    """Transformer layers over the frames; 0: none."""
    word_layers: Layers = 0
    """Transformer layers over the words, which a frozen text tower cannot adapt; 0: none, as published."""
    heads: Count | None = None
    """Attention heads; none: as the encoder's text tower, or one per 64 dims, eight where each then has 16."""
    init: Start = "zero"
    """zero: the transformers start as the identity. random: CLIP's own initial distribution."""
    weights: Literal["from_sentence", "learned", "uniform"] = "from_sentence"
    """learned: perceptrons, as published. from_sentence: they start on the end token. uniform: none."""
    start_token: bool = False
    """Whether the start token, the same vector in every text, counts as a word, as published."""
    correlation: Weight = 0.001
    """Weight of the channel decorrelation loss; 0: off."""
    correlation_diagonal: Weight = 0.11
    """Within it, the weight of each channel's own correlation."""
    correlation_off_diagonal: Weight = 0.0
    """Within it, the weight of correlations between channels; the published runs set 0."""
    masked: bool = True
    """false: padding takes part with similarity 0, as in the released code."""


PUBLISHED = Config(weights="learned", start_token=True, masked=False)
"""The released code."""


class Head(Contract):
    """Mean of every word's best frame and every frame's best word, each weighted by what it is worth.

    Published, all words start with the same weight, although only the end token was ever aligned with
    pictures; ``weights=from_sentence`` starts there. It still starts below mean_pool, because the best of
    many frames, or of many words that mean nothing to a picture yet, is often noise that a mean would cancel.
    """

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        self.temporal = self._transformer(config.layers, shape.num_frames)
        self.textual = self._transformer(config.word_layers, shape.num_words)
        if config.weights != "uniform":
            from_sentence = config.weights == "from_sentence"
            self.text_weights = TokenWeights(shape.dim, shape.dim, favour_last=from_sentence)
            self.video_weights = TokenWeights(shape.dim, shape.dim)

    def _transformer(self, layers: int, positions: int) -> Transformer | None:
        if layers == 0:
            return None
        heads, start = self.shape.heads(self.config.heads), self.config.init
        return Transformer(self.shape.dim, positions, layers=layers, heads=heads, start=start)

    def encode_video(self, video: VideoFeatures) -> Encoded:
        frames, mask = self._padded(video.frames, video.mask, self.shape.num_frames)
        if self.temporal is not None:
            frames = self.temporal(frames, mask)
        learned = self.config.weights != "uniform"
        weights = self.video_weights(frames, mask) if learned else uniform_weights(mask, frames)
        frames = zero_padding(frames, mask) if self.config.masked else frames
        return {"frames": l2_normalise(frames), "weights": weights, "mask": mask}

    def encode_text(self, text: TextFeatures) -> Encoded:
        words, mask = self._padded(text.words, text.mask, self.shape.num_words)
        if self.textual is not None:
            words = self.textual(words, mask)
        mask = mask if self.config.start_token else without_start(mask)
        learned = self.config.weights != "uniform"
        weights = self.text_weights(words, mask) if learned else uniform_weights(mask, words)
        words = zero_padding(words, mask) if self.config.masked else words
        return {"words": l2_normalise(words), "weights": weights, "mask": mask}

    def _padded(self, parts: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
        return (parts, mask) if self.config.masked else padded_to(parts, mask, count)

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        return token_interaction(*_tokens(text, video), masked=self.config.masked)

    def numbers_per_pair(self) -> int:
        return self.shape.num_words * self.shape.num_frames + self.shape.num_words + self.shape.num_frames

    def loss(
        self, text: Encoded, views: Sequence[Encoded], same_video: Bool[Tensor, "text video"]
    ) -> dict[str, Float[Tensor, ""]]:
        terms = super().loss(text, views, same_video)
        if self.config.correlation == 0:
            return terms
        correlation = channel_correlation_loss(
            *_tokens(text, views[0]),
            diagonal=self.config.correlation_diagonal,
            off_diagonal=self.config.correlation_off_diagonal,
            masked=self.config.masked,
        )
        total = terms["total"] + self.config.correlation * correlation
        return {"total": total, "contrastive": terms["total"], "correlation": correlation}


def _tokens(text: Encoded, video: Encoded) -> tuple[WeightedTokens, WeightedTokens]:
    words = WeightedTokens(text["words"], text["weights"], text["mask"])
    return words, WeightedTokens(video["frames"], video["weights"], video["mask"])
