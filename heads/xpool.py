"""X-Pool: the sentence attends to the frames, and each text sees a video of its own."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout

from ..data.contracts.numbers import Share
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import divisors, l2_normalise, masked_softmax, padded_to, zero_padding

CITATION = "Gorti et al., X-Pool: Cross-Modal Language-Video Attention, CVPR 2022, arXiv 2203.15086"

_POOL = r"(?:pool_frames|transformer)"
RELEASED_NAMES = {
    rf"{_POOL}\.cross_attn\.q_proj\.(weight|bias)": r"query.\1",
    rf"{_POOL}\.cross_attn\.k_proj\.weight": "key.weight",
    # Shifts the scores of all frames of a pair alike, which their softmax does not see.
    rf"{_POOL}\.cross_attn\.k_proj\.bias": "",
    rf"{_POOL}\.cross_attn\.v_proj\.(weight|bias)": r"value.\1",
    rf"{_POOL}\.cross_attn\.out_proj\.(weight|bias)": r"out.\1",
    rf"{_POOL}\.linear_proj\.(weight|bias)": r"linear.\1",
    rf"{_POOL}\.layer_norm(\d)\.(weight|bias)": r"norm_\1.\2",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The pooling."""

    start: Literal["mean", "identity"] = "mean"
    """mean: all frames count the same at first. identity: by agreement with the sentence, as published."""
    dropout: Share = 0.3
    """Of the pooled video's linear layer, in training."""
    masked: bool = True
    """false: padding is attended to like any frame, as in the released code."""


PUBLISHED = Config(start="identity")
"""The released code, but for its lack of a mask: it reads short videos to the end by repeating their last frame."""

NOT_REPRODUCED = (
    "X-Pool fills a video of too few frames up with copies of the last one; here each frame counts once, so such "
    "videos score otherwise"
)


class Head(Contract):
    """Cosine of the sentence with the frames it attends to.

    Published, all projections start as the identity, so that a frame counts by its agreement with the sentence;
    with ``start=mean`` that of the keys starts at 0, and all frames count the same. It still starts below mean_pool,
    by a hair, because its layer norms take each feature's mean over its channels away. Values and output projection
    are one linear map of a frame, since attention weights sum to 1: it is applied once a video, not once a pair.
    """

    needs_words = False

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        dim = shape.dim
        self.query, self.key, self.value = _identity(dim), _identity(dim, bias=False), _identity(dim)
        if config.start == "mean":
            nn.init.zeros_(self.key.weight)
        self.out, self.linear = _identity(dim), _identity(dim)
        self.norm_1, self.norm_2, self.norm_3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def encode_video(self, video: VideoFeatures) -> Encoded:
        if self.config.masked:
            frames, mask = zero_padding(video.frames, video.mask), video.mask
        else:
            frames, mask = padded_to(video.frames, video.mask, self.shape.num_frames)
            mask = torch.ones_like(mask)
        frames = self.norm_1(frames)
        values = self.out(self.value(frames))
        return {"keys": self.key(frames), "values": values, "mask": mask}

    def encode_text(self, text: TextFeatures) -> Encoded:
        return {"query": self.query(self.norm_1(text.sentence)), "sentence": l2_normalise(text.sentence)}

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        scores = torch.einsum("ad,bvd->bav", text["query"], video["keys"]) / self.shape.dim**0.5
        pooled = self.norm_2(masked_softmax(scores, video["mask"][:, None]) @ video["values"])
        pooled = dropout(self.linear(pooled), self.config.dropout, self.training).add_(pooled)
        pooled = self.norm_3(pooled)
        along = torch.einsum("ad,bad->ab", text["sentence"], pooled)
        return along / divisors(torch.linalg.vector_norm(pooled, dim=2)).T

    def numbers_per_pair(self) -> int:
        return 2 * self.shape.dim + 3 * self.shape.num_frames


def _identity(dim: int, *, bias: bool = True) -> nn.Linear:
    linear = nn.Linear(dim, dim, bias=bias)
    nn.init.eye_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
