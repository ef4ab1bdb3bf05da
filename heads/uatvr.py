"""UATVR's token interaction: words and frames through one transformer, each beside some learned tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..data.contracts.numbers import Count, Layers
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import l2_normalise, padded_to, without_start, zero_padding
from .layers.token_interaction import TokenWeights, WeightedTokens, token_interaction
from .layers.transformer import Start, released_names, stacked_blocks

CITATION = "Fang et al., UATVR: Uncertainty-Adaptive Text-Video Retrieval, ICCV 2023, arXiv 2301.06309"

RELEASED_NAMES = {
    **released_names("transformerClip", ""),
    r"(frame|word)_position_embeddings\.weight": r"\1_positions",
    r"(text|video)_weight_fc\.0\.(weight|bias)": r"\1_weights.hidden.\2",
    r"(text|video)_weight_fc\.2\.weight": r"\1_weights.score.weight",
    r"(?:text|video)_weight_fc\.2\.bias": "",
    # The probabilistic embeddings, which only the auxiliary losses read.
    r"(?:pie|uncertain)_net_(?:text|video)\..+": "",
}
"""The release keeps its learned tokens in the tables of positions: the rows after the last frame, and word."""


@dataclass(frozen=True, slots=True)
class Config:
    """The shared transformer and the learned tokens."""

    layers: Layers = 4
    """Transformer layers, shared by frames and words."""
    heads: Count | None = None
    """Attention heads; none: as the encoder's text tower, or one per 64 dims, eight where each then has 16."""
    init: Start = "zero"
    """zero: the transformer starts as the identity. random: CLIP's own initial distribution."""
    extra_frames: Layers = 2
    """Learned tokens beside a video's frames."""
    extra_words: Layers = 2
    """Learned tokens beside a text's words."""
    from_sentence: bool = True
    """Whether the end token starts with nearly all weight among the words; published: no."""
    start_token: bool = False
    """Whether the start token, the same vector in every text, counts as a word, as published."""
    masked: bool = True
    """false: padding takes part with similarity 0, as in the released code."""
    weighed: Literal["unit", "raw"] = field(default="unit", metadata={"before": "raw"})
    """What tells a token's weight: the token at length 1 (unit), as published; or as it is, as earlier versions did."""


PUBLISHED = Config(start_token=True, from_sentence=False, masked=False)
"""The released code."""


class Head(Contract):
    """Weighted token interaction between transformed words and frames, the learned tokens among them.

    A frozen text tower gets a trainable encoder over its words by it. The auxiliary losses on probabilistic
    embeddings, which are not used in retrieval, are left out. It starts below mean_pool, because the best of
    many frames or words is often noise that a mean would cancel.
    """

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        dim = shape.dim
        heads = shape.heads(config.heads)
        self.blocks = stacked_blocks(dim, layers=config.layers, heads=heads, start=config.init)
        self.frame_positions = nn.Parameter(torch.zeros(shape.num_frames, dim))
        self.word_positions = nn.Parameter(torch.zeros(shape.num_words, dim))
        self.extra_frames = _learned_tokens(config.extra_frames, dim)
        self.extra_words = _learned_tokens(config.extra_words, dim)
        self.text_weights = TokenWeights(dim, dim, favour_last=config.from_sentence)
        self.video_weights = TokenWeights(dim, dim)

    def encode_video(self, video: VideoFeatures) -> Encoded:
        frames, mask = self._padded(video.frames, video.mask, self.shape.num_frames)
        moved = self._transformed(frames, mask, self.frame_positions, self.extra_frames)
        mask = self._with_extra(mask, self.config.extra_frames)
        return {
            "frames": l2_normalise(moved),
            "weights": self.video_weights(self._weighed(moved), mask),
            "mask": mask,
        }

    def encode_text(self, text: TextFeatures) -> Encoded:
        words, mask = self._padded(text.words, text.mask, self.shape.num_words)
        moved = self._transformed(words, mask, self.word_positions, self.extra_words)
        counted = mask if self.config.start_token else without_start(mask)
        mask = self._with_extra(counted, self.config.extra_words)
        return {
            "words": l2_normalise(zero_padding(moved, mask)),
            "weights": self.text_weights(self._weighed(moved), mask),
            "mask": mask,
        }

    def _padded(self, parts: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
        return (parts, mask) if self.config.masked else padded_to(parts, mask, count)

    def _transformed(
        self,
        parts: Float[Tensor, "item part dim"],
        mask: Bool[Tensor, "item part"],
        positions: Float[Tensor, "position dim"],
        extra: Float[Tensor, "extra dim"] | None,
    ) -> Float[Tensor, "item token dim"]:
        """The learned tokens and then the parts, to which alone their input is added once more."""
        parts = zero_padding(parts, mask)
        tokens, count = parts + positions[: parts.shape[1]], 0
        if extra is not None:
            count = len(extra)
            tokens = torch.cat([extra.expand(len(parts), -1, -1), tokens], dim=1)
        mask = self._with_extra(mask, count)
        for block in self.blocks:
            tokens = block(tokens, mask)
        return torch.cat([tokens[:, :count], tokens[:, count:] + parts], dim=1)

    def _weighed(self, tokens: Float[Tensor, "item token dim"]) -> Float[Tensor, "item token dim"]:
        return l2_normalise(tokens) if self.config.weighed == "unit" else tokens

    def _with_extra(self, mask: Bool[Tensor, "item part"], count: int) -> Bool[Tensor, "item token"]:
        return torch.cat([torch.ones_like(mask[:, :1]).expand(-1, count), mask], dim=1)

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        words = WeightedTokens(text["words"], text["weights"], text["mask"])
        frames = WeightedTokens(video["frames"], video["weights"], video["mask"])
        return token_interaction(words, frames, masked=self.config.masked)

    def unpacked(self, released: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        found = dict(released)
        for part, extra in (("frame", self.extra_frames), ("word", self.extra_words)):
            table, given = found.get(f"{part}_positions"), self.get_parameter(f"{part}_positions")
            if table is not None and extra is not None:
                found[f"extra_{part}s"] = table[len(given) : len(given) + len(extra)]
        return found

    def numbers_per_pair(self) -> int:
        words = self.shape.num_words + self.config.extra_words
        frames = self.shape.num_frames + self.config.extra_frames
        return words * frames + words + frames


def _learned_tokens(count: int, dim: int) -> nn.Parameter | None:
    return nn.Parameter(0.02 * torch.randn(count, dim)) if count else None
