"""A FAISS index of coarse vectors beside a run, and a search that compares only its candidates with the fine head."""

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ....data.contracts.errors import StoreError, UsageError
from ...base import Head, TextFeatures
from ...evaluation.blockwise import similarity_in_blocks
from ...evaluation.scores import ITEMS_PER_BATCH
from ...features.feature_set import FeatureSet
from ...features.from_store import CONTENT_DIGEST
from .coarse import Coarse, coarse_of
from .encoded_items import EncodedItems, EncodedNow
from .exact import Hit, check_top_k
from .faiss_files import faiss_module
from .index_folder import IndexKind, IndexRecord, MadeOf, VideoIndex, remedy

HNSW_NEIGHBOURS, HNSW_EFFORT = 32, 128
"""Links of a vector, and how many candidates a search keeps."""


def made_of(coarse: Coarse, features: FeatureSet) -> MadeOf:
    """What an index of these vectors of these videos is of."""
    return MadeOf(
        split=features.origin.split,
        store=str(features.origin.store.get(CONTENT_DIGEST, "")),
        num_frames=coarse.head.shape.num_frames,
        coarse=coarse.source,
        coarse_head=coarse.digest,
    )


def build_index(
    head: Head,
    features: FeatureSet,
    kind: Literal["flat", "hnsw"] = "flat",
    encoded: EncodedItems | None = None,
) -> VideoIndex:
    """Index the coarse vectors of every video.

    Args:
        head: whose vectors; a head without single vectors is stood in for by mean pooling.
        features: the videos.
        kind: flat compares with all, hnsw (graph) with some, faster and not always right. Indexes in cells (ivf), which
            earlier versions made and which found half of the best videos, are read alone.
        encoded: what the head has made of the videos; None: it is made now.

    Raises:
        UsageError: FAISS is not installed.
    """
    faiss = faiss_module()
    coarse = coarse_of(head.eval())

    # Mean pooling stands in for heads that have made something else.
    items = encoded if encoded is not None and coarse.head is head else EncodedNow(coarse.head, features)

    def vectors(some: Tensor) -> Float[np.ndarray, "video dim"]:
        with torch.no_grad():
            return np.ascontiguousarray(coarse.of_encoded(items.of(some)).cpu().numpy(), np.float32)

    count, dim = features.num_videos, vectors(torch.zeros(1, dtype=torch.long)).shape[1]
    index = _empty(faiss, kind, dim)
    for some in torch.arange(count).split(ITEMS_PER_BATCH):
        index.add(vectors(some))
    record = IndexRecord(kind, dim, list(features.video_ids), made_of(coarse, features))
    return VideoIndex(index, record)


def checked_index(head: Head, features: FeatureSet, index: VideoIndex) -> Coarse:
    """Where the vectors of an index come from, which may answer for these features.

    Raises:
        StoreError: it was made of another head, split or state of the store, and says so.
    """
    coarse = coarse_of(head)
    index.record.check(made_of(coarse, features), index.folder)
    if list(features.video_ids) != index.record.video_ids:
        raise StoreError(f"the index is of other videos than the store holds now. {remedy(index.folder)}")
    return coarse


class IndexedGallery:
    """Videos found by an index and put in order by the head.

    Raises:
        StoreError: the index was made of another head, split or state of the store, and says so.
    """

    def __init__(self, head: Head, features: FeatureSet, index: VideoIndex) -> None:
        self.head = head.eval()
        self.features = features
        self.video_ids = features.video_ids
        self.index = index
        self.coarse = checked_index(head, features, index)

    @torch.no_grad()
    def search(self, texts: TextFeatures, top_k: int = 10, candidates: int = 100) -> list[list[Hit]]:
        """The best videos for each text among its nearest by coarse vector, in the head's order.

        Args:
            texts: what is looked for.
            top_k: how many videos are wanted.
            candidates: how many the head compares; more find more and take longer.

        Raises:
            UsageError: ``top_k`` is less than 1 or more than ``candidates``.
        """
        check_top_k(top_k)
        if candidates < top_k:
            raise UsageError(f"candidates must be at least top_k, got {candidates = } and {top_k = }")
        encoded = self.head.encode_text(texts)
        found = self.index.nearest(self.coarse.of_texts(texts).cpu().numpy(), candidates)
        return [
            self._best({name: tensor[[row]] for name, tensor in encoded.items()}, places, top_k)
            for row, places in enumerate(found)
        ]

    def _best(self, text: dict[str, Tensor], places: list[int], top_k: int) -> list[Hit]:
        videos = self.features.video_batch(torch.tensor(places), self.head.shape.num_frames)
        scores = similarity_in_blocks(self.head, text, self.head.encode_video(videos))[0].float().cpu()
        order = scores.argsort(descending=True, stable=True)[:top_k].tolist()
        return [Hit(self.video_ids[places[i]], float(scores[i])) for i in order]


def _empty(faiss: Any, kind: IndexKind, dim: int) -> Any:
    if kind == "flat":
        return faiss.IndexFlatIP(dim)
    index = faiss.IndexHNSWFlat(dim, HNSW_NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = HNSW_EFFORT
    return index
