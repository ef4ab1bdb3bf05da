"""One vector an item, whose dot products come close to a head's similarity: what an index can be built of."""

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...data.contracts.plug_ins import load_plug_in
from ..base import Encoded, Head, TextFeatures, VideoFeatures, build_head
from ..layers.padding import l2_normalise

_PAIRS = (("sentence", "video"), ("whole", "whole"))
"""What heads call the single vector of a text and of a video among what they encode."""

STAND_IN_HEAD = "mean_pool"


@dataclass(frozen=True)
class Coarse:
    """Where the single vectors of texts and videos come from."""

    head: Head
    text_name: str
    video_name: str
    source: str
    """``head``: the head's own global vectors. ``mean_pool``: zero-shot ones, for heads that have none."""

    @property
    def digest(self) -> str:
        """sha256 of everything that decides the vectors: the head's settings, its shape and all its weights."""
        settings = (type(self.head).__module__, getattr(self.head, "config", None), self.head.shape)
        digest = hashlib.sha256(repr((*settings, self.text_name, self.video_name)).encode())
        for name, weights in sorted(self.head.state_dict().items()):
            digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            digest.update(weights.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def of_videos(self, videos: VideoFeatures) -> Float[Tensor, "video dim"]:
        """Unit vectors of some videos."""
        return l2_normalise(self.head.encode_video(videos)[self.video_name].float())

    @torch.no_grad()
    def of_texts(self, texts: TextFeatures) -> Float[Tensor, "text dim"]:
        """Unit vectors of some texts."""
        return l2_normalise(self.head.encode_text(texts)[self.text_name].float())


def coarse_of(head: Head) -> Coarse:
    """The head's own single vectors where it has comparable ones, else those of mean pooling."""
    texts, videos = _shown(head)
    for text_name, video_name in _PAIRS:
        if _comparable(texts.get(text_name), videos.get(video_name)):
            return Coarse(head, text_name, video_name, "head")
    device = head.device
    pooled = build_head(STAND_IN_HEAD, load_plug_in("tvr.heads", STAND_IN_HEAD).Config(), head.shape)
    return Coarse(pooled.to(device).eval(), "sentence", "video", STAND_IN_HEAD)


@torch.no_grad()
def _shown(head: Head) -> tuple[Encoded, Encoded]:
    """What the head makes of one text and one video of ones: only names and shapes matter."""
    device, dim = head.device, head.shape.dim
    mask = torch.ones(1, 1, dtype=torch.bool, device=device)
    part = torch.ones(1, 1, dim, device=device)
    two = torch.ones(1, 2, dim, device=device)
    text = TextFeatures(two, mask.expand(1, 2), part[:, 0], part, mask)
    return head.encode_text(text), head.encode_video(VideoFeatures(part, mask))


def _comparable(text: Tensor | None, video: Tensor | None) -> bool:
    return (
        text is not None and video is not None and text.ndim == video.ndim == 2 and text.shape == video.shape
    )
