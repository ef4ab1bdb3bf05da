"""CLIP4Clip's tight type: one transformer reads the sentence and the frames of every pair together."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout

from ..data.contracts.numbers import Count, Layers, Share
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import l2_normalise, masked_mean, zero_padding
from .layers.transformer import LAYER_NORM_EPS, Start, quick_gelu, released_names, stacked_blocks

CITATION = "Luo et al., CLIP4Clip, Neurocomputing 2022, arXiv 2104.08860, section 3.3 (tight type)"

_CROSS = r"(?:cross|tight)"
RELEASED_NAMES = {
    **released_names(rf"{_CROSS}\.transformer", ""),
    rf"{_CROSS}\.embeddings\.position_embeddings\.weight": "positions",
    rf"{_CROSS}\.pooler\.ln_pool\.(weight|bias)": r"pool_norm.\1",
    rf"{_CROSS}\.pooler\.dense\.(weight|bias)": r"pool.\1",
    r"(?:tight\.)?similarity_dense\.weight": "score.weight",
    r"(?:tight\.)?similarity_dense\.bias": "score_offset",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The transformer over a pair."""

    layers: Layers = 4
    """Transformer layers over the sentence and the frames."""
    heads: Count | None = None
    """Attention heads; none: as the encoder's text tower, or one per 64 dims, eight where each then has 16."""
    init: Start = "zero"
    """zero: the score is added to mean_pool's cosine and starts at 0. random: the score alone, as published."""
    dropout: Share = 0.1
    """Of the transformer's input, in training."""


PUBLISHED = Config(init="random")
"""The released code."""


class Head(Contract):
    """A score that a transformer reads off the sentence's place after it has looked at the frames.

    The published score is a bare logit; here it is divided by the logit scale, which the loss multiplies again.
    Each pair costs a pass of the transformer: by far the slowest head. Of its own accord
    (``init=random``) it starts below mean_pool, because its score is then a random function.
    """

    needs_words = False
    score_offset: Float[Tensor, " 1"]

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        dim = shape.dim
        self.positions = nn.Parameter(0.01 * torch.randn(1 + shape.num_frames, dim))
        heads = shape.heads(config.heads)
        self.blocks = stacked_blocks(dim, layers=config.layers, heads=heads, start="random")
        self.pool_norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.pool = nn.Linear(dim, dim)
        self.score = nn.Linear(dim, 1, bias=False)
        nn.init.normal_(self.pool.weight, std=0.02)
        nn.init.zeros_(self.pool.bias)
        nn.init.normal_(self.score.weight, std=0.02 if config.init == "random" else 0.0)
        # Added to all scores alike it changes no rank and no loss: kept for released weights, never trained.
        self.register_buffer("score_offset", torch.zeros(1))

    def encode_video(self, video: VideoFeatures) -> Encoded:
        mean = l2_normalise(masked_mean(l2_normalise(video.frames), video.mask))
        return {"frames": zero_padding(video.frames, video.mask), "mask": video.mask, "video": mean}

    def encode_text(self, text: TextFeatures) -> Encoded:
        return {"sentence": text.sentence}

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        texts, videos = len(text["sentence"]), len(video["frames"])
        first = text["sentence"][:, None, None] + self.positions[0]
        rest = video["frames"] + self.positions[1 : 1 + video["frames"].shape[1]]
        pairs = torch.cat([first.expand(-1, videos, -1, -1), rest.expand(texts, -1, -1, -1)], dim=2).flatten(
            0, 1
        )
        own = torch.ones_like(video["mask"][:, :1])
        mask = torch.cat([own, video["mask"]], dim=1).expand(texts, -1, -1).flatten(0, 1)
        score = self._score(pairs, mask).view(texts, videos) / self.logit_scale
        return (
            score
            if self.config.init == "random"
            else l2_normalise(text["sentence"]) @ video["video"].T + score
        )

    def _score(self, parts: Float[Tensor, "pair part dim"], mask: Tensor) -> Float[Tensor, " pair"]:
        parts = dropout(parts, self.config.dropout, self.training)
        for block in self.blocks:
            parts = block(parts, mask)
        pooled = quick_gelu(self.pool(self.pool_norm(parts[:, 0])))
        return self.score(pooled).squeeze(1) + self.score_offset

    def numbers_per_pair(self) -> int:
        return (1 + self.shape.num_frames) * self.shape.dim * 15
