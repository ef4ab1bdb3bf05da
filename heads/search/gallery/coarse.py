"""One vector an item, whose dot products come close to a head's similarity: what an index can be built of."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ....data.contracts.plug_ins import load_plug_in
from ...base import Encoded, Head, TextFeatures, VideoFeatures, build_head
from ...evaluation.scores import ITEMS_PER_BATCH
from ...layers.padding import l2_normalise
from .encoded_items import EncodedItems, EncodedNow

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
        return digest_of(self.head, self.text_name, self.video_name)

    @torch.no_grad()
    def of_videos(self, videos: VideoFeatures) -> Float[Tensor, "video dim"]:
        """Unit vectors of some videos."""
        return self.of_encoded(self.head.encode_video(videos))

    def of_encoded(self, videos: Encoded) -> Float[Tensor, "video dim"]:
        """The same of videos that the head has encoded."""
        return l2_normalise(videos[self.video_name].float())

    @torch.no_grad()
    def of_texts(self, texts: TextFeatures, encoded: Encoded | None = None) -> Float[Tensor, "text dim"]:
        """Unit vectors of some texts.

        Args:
            texts: as they are.
            encoded: by this head, if they were.
        """
        return l2_normalise((encoded or self.head.encode_text(texts))[self.text_name].float())


def digest_of(head: Head, *names: str) -> str:
    """sha256 of a head's settings, its shape and all its weights, and of the names of what it encodes."""
    settings = (type(head).__module__, getattr(head, "config", None), head.shape)
    digest = hashlib.sha256(repr((*settings, *names)).encode())
    for name, weights in sorted(head.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def coarse_of(head: Head) -> Coarse:
    """The head's own single vectors where it has comparable ones, else those of mean pooling."""
    texts, videos = encoded_examples(head)
    for text_name, video_name in _PAIRS:
        if _comparable(texts.get(text_name), videos.get(video_name)):
            return Coarse(head, text_name, video_name, "head")
    device = head.device
    pooled = build_head(STAND_IN_HEAD, load_plug_in("tvr.heads", STAND_IN_HEAD).Config(), head.shape)
    return Coarse(pooled.to(device).eval(), "sentence", "video", STAND_IN_HEAD)


@torch.no_grad()
def encoded_examples(head: Head) -> tuple[Encoded, Encoded]:
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


class CoarseVectors:
    """The single vectors of the items of a gallery, in memory.

    Args:
        coarse: whose vectors.
        items: of the gallery; what another head than that of these vectors has encoded is encoded again.
        report: called with how many are done, and how many there are.
    """

    def __init__(
        self,
        coarse: Coarse,
        items: EncodedItems,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        parts: list[Tensor] = []
        count = items.features.num_videos
        items = items if items.head is coarse.head else EncodedNow(coarse.head, items.features)
        with torch.no_grad():
            for some in torch.arange(count).split(ITEMS_PER_BATCH):
                parts.append(coarse.of_encoded(items.of(some)).cpu())
                report(int(some[-1]) + 1, count)
        self._vectors = torch.cat(parts)

    def scores(self, vectors: Float[Tensor, "query dim"]) -> Float[Tensor, "query item"]:
        """Cosines of unit vectors with those of every item."""
        return vectors.cpu() @ self._vectors.T

    def nearest(
        self, vectors: Float[np.ndarray, "query dim"], count: int, among: Bool[Tensor, " item"] | None = None
    ) -> list[list[int]]:
        """The places of the nearest items of each vector, the nearest first.

        Args:
            vectors: unit vectors.
            count: how many are wanted.
            among: True where an item may be found; None: anywhere.
        """
        scores = self.scores(torch.from_numpy(vectors))
        if among is not None:
            scores[:, ~among] = -torch.inf
            count = min(count, int(among.sum()))
        best = scores.topk(min(count, scores.shape[1]), dim=1)
        return best.indices.tolist()
