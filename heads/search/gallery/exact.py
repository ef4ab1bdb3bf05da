"""Exact search: every video is compared with the query, none is skipped."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ....data.contracts.errors import UsageError
from ...base import Encoded, Head, TextFeatures
from ...evaluation.blockwise import similarity_in_blocks
from ...evaluation.scores import ITEMS_PER_BATCH, EncodedVideos, check_fit
from ...features.feature_set import FeatureSet


@dataclass(frozen=True, slots=True)
class Hit:
    """One found video."""

    video_id: str
    score: float
    """Similarity on cosine scale."""


class Gallery:
    """Videos encoded once, to be searched many times."""

    def __init__(self, head: Head, features: FeatureSet) -> None:
        self.head = head.eval()
        self.video_ids = features.video_ids
        self.encoded = EncodedVideos(head, features)

    @torch.no_grad()
    def scores(self, text: Encoded) -> Float[Tensor, "text video"]:
        """Similarities of encoded texts with every video, in the order of the gallery."""
        groups = self.encoded.groups
        scores = torch.cat([similarity_in_blocks(self.head, text, g.encoded) for g in groups], dim=1)
        items = torch.cat([group.items for group in groups])
        return scores[:, items.argsort()].float().cpu()

    @torch.no_grad()
    def search(self, texts: TextFeatures, top_k: int = 10) -> list[list[Hit]]:
        """The best videos for each text, best first; equal scores in the order of the gallery.

        Raises:
            UsageError: ``top_k`` is less than 1.
        """
        check_top_k(top_k)
        scores = self.scores(self.head.encode_text(texts))
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :top_k]
        return [
            [Hit(self.video_ids[i], float(row[i])) for i in best.tolist()]
            for row, best in zip(scores, order, strict=True)
        ]


def check_top_k(top_k: int) -> None:
    """Whether that many results can be wanted.

    Raises:
        UsageError: it is less than 1.
    """
    if top_k < 1:
        raise UsageError(f"top_k must be at least 1, got {top_k = }")


@torch.no_grad()
def search(head: Head, features: FeatureSet, texts: TextFeatures, top_k: int = 10) -> list[list[Hit]]:
    """The best videos of a feature set for each text, in memory that does not grow with the videos.

    Raises:
        UsageError: ``top_k`` is less than 1, or the head cannot read the features.
    """
    check_top_k(top_k)
    check_fit(head, features)
    text = head.eval().encode_text(texts)
    count = texts.sentence.shape[0]
    scores, places = torch.empty(count, 0), torch.empty(count, 0, dtype=torch.long)
    for items, found in scores_in_batches(head, features, text):
        scores = torch.cat([scores, found], dim=1)
        places = torch.cat([places, items.expand(count, -1)], dim=1)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :top_k]
        scores, places = scores.gather(1, order), places.gather(1, order)
    return [
        [Hit(features.video_ids[place], score) for place, score in zip(*best, strict=True)]
        for best in zip(places.tolist(), scores.tolist(), strict=True)
    ]


def scores_in_batches(
    head: Head, features: FeatureSet, text: Encoded
) -> Iterator[tuple[Int[Tensor, " item"], Float[Tensor, "text item"]]]:
    """Similarities of encoded texts with every video, some videos after another; nothing of them is kept."""
    for items in torch.arange(features.num_videos).split(ITEMS_PER_BATCH):
        video = head.encode_video(features.video_batch(items, head.shape.num_frames))
        yield items, similarity_in_blocks(head, text, video).float().cpu()
