"""CLIP4Clip's recurrent head: an LSTM over the frames before they are averaged."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import l2_normalise, masked_mean, zero_padding
from .layers.transformer import Start

CITATION = "Luo et al., CLIP4Clip, Neurocomputing 2022, arXiv 2104.08860, section 3.3 (sequential type, LSTM)"

RELEASED_NAMES = {r"lstm(?:_visual)?\.(\w+)": r"lstm.\1"}


@dataclass(frozen=True, slots=True)
class Config:
    """How the LSTM starts."""

    init: Start = "zero"
    """zero: what the LSTM adds passes a gate that starts closed. random: no gate, as published."""


PUBLISHED = Config(init="random")
"""The released code."""


class Head(Contract):
    """Cosine of the sentence with the mean of the frames, to each of which an LSTM adds what came before."""

    needs_words = False

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        self.lstm = nn.LSTM(shape.dim, shape.dim, batch_first=True)
        self.gate = nn.Parameter(torch.zeros(shape.dim)) if config.init == "zero" else None

    def encode_video(self, video: VideoFeatures) -> Encoded:
        # Real frames come first, in their order: an LSTM that never looks ahead cannot see padding behind them.
        order = (~video.mask).sort(dim=1, stable=True).indices
        mask = video.mask.gather(1, order)
        frames = zero_padding(video.frames, video.mask).gather(1, order[..., None].expand(video.frames.shape))
        # Not in bf16 on a CPU: PyTorch's LSTM fails there on processors that cannot multiply it.
        with torch.autocast("cpu", enabled=False):
            added, _ = self.lstm(frames)
        frames = frames + (added if self.gate is None else self.gate * added)
        return {"video": l2_normalise(masked_mean(l2_normalise(frames), mask))}

    def encode_text(self, text: TextFeatures) -> Encoded:
        return {"sentence": l2_normalise(text.sentence)}

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        return linear(text["sentence"], video["video"])
