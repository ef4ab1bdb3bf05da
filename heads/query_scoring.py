"""The frames that fit the sentence best count most: a softmax over their cosines. No parameters."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.contracts.errors import UsageError
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.padding import masked_mean, masked_softmax, unit, zero_padding

CITATION = "Bain et al., A CLIP-Hitchhiker's Guide to Long Video Retrieval, arXiv 2205.08508"


@dataclass(frozen=True, slots=True)
class Config:
    """How sharply the frames are chosen."""

    temperature: float = 0.1
    """Of the softmax over a video's frames; larger is closer to the mean of all frames."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            UsageError: the temperature is not above 0.
        """
        if self.temperature <= 0:
            raise UsageError(f"temperature must be above 0, got {self.temperature}.")


class Head(Contract):
    """Cosine of the sentence with the frames' mean, each frame weighted by how well it fits the sentence.

    Its authors gain a point of R@1 by it. Where a text speaks of the whole video it starts below mean_pool,
    because it looks for the frame that says it all; a higher temperature brings it nearer.

    The mean of a pair is never formed: its product with the sentence needs the frames' products with the
    sentence, its length their products with each other. So a pair holds some numbers a frame, not ``dim``.
    """

    needs_words = False

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config

    def encode_video(self, video: VideoFeatures) -> Encoded:
        frames = zero_padding(video.frames, video.mask)
        lengths = torch.linalg.vector_norm(frames, dim=2)
        # A cosine does not see the scale; at length about 1 the products stay small in half precision.
        scale = masked_mean(lengths[..., None], video.mask)[..., None]
        frames = frames / scale.clamp_min(torch.finfo(frames.dtype).tiny)
        products = frames @ frames.transpose(1, 2)
        return {"frames": frames, "products": products, "mask": video.mask}

    def encode_text(self, text: TextFeatures) -> Encoded:
        return {"sentence": unit(text.sentence)}

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        frames, products, mask = video["frames"], video["products"], video["mask"]
        along = torch.einsum("ad,bvd->bav", text["sentence"], frames)
        cosines = torch.einsum("ad,bvd->bav", text["sentence"], unit(frames))
        weights = masked_softmax(cosines / self.config.temperature, mask[:, None])
        square = ((weights @ products) * weights).sum(dim=2)
        pooled = (weights * along).sum(dim=2)
        return (pooled / square.clamp_min(torch.finfo(square.dtype).tiny).sqrt()).T

    def numbers_per_pair(self) -> int:
        return 5 * self.shape.num_frames + 4
