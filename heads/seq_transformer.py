"""CLIP4Clip's sequential transformer: frames look at each other before they are averaged."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from ..data.contracts.numbers import Count, Layers
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import l2_normalise, masked_mean
from .layers.transformer import Start, Transformer, released_names

CITATION = "Luo et al., CLIP4Clip, Neurocomputing 2022, arXiv 2104.08860, section 3.3 (sequential type)"

RELEASED_NAMES = {
    **released_names("(?:transformerClip|seqTransf|transformer)", "temporal"),
    r"(?:frame_position_embeddings(?:\.weight)?|positional_embedding)": "temporal.positions",
}
"""CLIP4Clip's own names, and those of CLIP's text tower, whose lowest layers CLIP4Clip starts from."""


@dataclass(frozen=True, slots=True)
class Config:
    """The temporal transformer."""

    layers: Layers = 4
    """Transformer layers over the frames."""
    heads: Count | None = None
    """Attention heads; none: as the encoder's text tower, or one per 64 dims, eight where each then has 16."""
    init: Start = "zero"
    """zero: step 0 is exactly mean_pool. random: CLIP's own initial distribution."""


class Head(Contract):
    """Cosine of the sentence with the mean of the transformed frames."""

    needs_words = False

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        self.temporal = Transformer(
            shape.dim,
            shape.num_frames,
            layers=config.layers,
            heads=shape.heads(config.heads),
            start=config.init,
        )

    def encode_video(self, video: VideoFeatures) -> Encoded:
        return {
            "video": l2_normalise(
                masked_mean(l2_normalise(self.temporal(video.frames, video.mask)), video.mask)
            )
        }

    def encode_text(self, text: TextFeatures) -> Encoded:
        return {"sentence": l2_normalise(text.sentence)}

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        return linear(text["sentence"], video["video"])
