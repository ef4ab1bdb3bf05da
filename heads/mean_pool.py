"""Zero-shot CLIP: the mean of the unit-length frames against the sentence. No parameters."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import l2_normalise, masked_mean

CITATION = "Luo et al., CLIP4Clip, Neurocomputing 2022, arXiv 2104.08860, section 3.3 (parameter-free type)"


@dataclass(frozen=True, slots=True)
class Config:
    """Nothing to choose."""


class Head(Contract):
    """Cosine of the sentence with the mean of the unit-length frames: the measure of every other head."""

    needs_words = False
    has_weights = False

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)

    def encode_video(self, video: VideoFeatures) -> Encoded:
        return {"video": l2_normalise(masked_mean(l2_normalise(video.frames), video.mask))}

    def encode_text(self, text: TextFeatures) -> Encoded:
        return {"sentence": l2_normalise(text.sentence)}

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        return linear(text["sentence"], video["video"])
