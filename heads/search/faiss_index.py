"""A FAISS index of coarse vectors beside a run, and a search that compares only its candidates with the fine head."""

from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...data.contracts.errors import StoreError, UsageError
from ...data.contracts.records import restored
from ...data.contracts.strict_json import read_json
from ...pipeline.store.atomic_files import atomic_write, write_json
from ..base import Head, TextFeatures
from ..evaluation.blockwise import similarity_in_blocks
from ..evaluation.scores import ITEMS_PER_BATCH
from ..features.feature_set import FeatureSet
from .coarse import coarse_of
from .exact import Hit, check_top_k

IndexKind = Literal["flat", "hnsw", "ivf"]

INDEX, RECORD = "videos.faiss", "index.json"
HNSW_NEIGHBOURS, HNSW_EFFORT = 32, 128
"""Links of a vector, and how many candidates a search keeps."""
IVF_VISITED, IVF_TRAINING = 1 / 16, 64
"""Share of the cells that a search visits, and videos a cell that the cells are laid out by."""


@dataclass(frozen=True)
class IndexRecord:
    """``index.json``: what the index is of."""

    kind: IndexKind
    coarse: str
    """Whose vectors: ``head`` or ``mean_pool``."""
    dim: int
    video_ids: list[str]


class VideoIndex:
    """Coarse vectors of videos, and which videos they are."""

    def __init__(self, index: Any, record: IndexRecord) -> None:
        self.index = index
        self.record = record

    def save(self, folder: Path) -> None:
        """Write the index and its record."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / INDEX) as beside:
            _faiss().write_index(self.index, str(beside))
        write_json(folder / RECORD, asdict(self.record))

    @classmethod
    def load(cls, folder: Path) -> "VideoIndex":
        """Read what ``save`` wrote.

        Raises:
            UsageError: there is no index, or FAISS is not installed.
            StoreError: the index is damaged.
        """
        if not (folder / RECORD).is_file():
            raise UsageError(f"{folder} holds no index. Make one with `tvr index RUN`.")
        faiss = _faiss()
        try:
            record = restored(IndexRecord, read_json(folder / RECORD))
            index = faiss.read_index(str(folder / INDEX))
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(
                f"{folder} holds no whole index ({error}): make it again with `tvr index`"
            ) from error
        return cls(index, record)

    def nearest(self, vectors: Float[Tensor, "text dim"], count: int) -> list[list[int]]:
        """The places of the nearest videos of each vector, the nearest first."""
        _, places = self.index.search(np.ascontiguousarray(vectors.cpu().numpy(), np.float32), count)
        return [[place for place in row if place >= 0] for row in places.tolist()]


def build_index(head: Head, features: FeatureSet, kind: IndexKind = "flat") -> VideoIndex:
    """Index the coarse vectors of every video.

    Args:
        head: whose vectors; a head without single vectors is stood in for by mean pooling.
        features: the videos.
        kind: flat compares with all; hnsw (graph) and ivf (cells) with some, faster and not always right.

    Raises:
        UsageError: FAISS is not installed.
    """
    faiss = _faiss()
    coarse = coarse_of(head.eval())

    def vectors(items: Tensor) -> Float[np.ndarray, "video dim"]:
        batches = (features.video_batch(some, head.shape.num_frames) for some in items.split(ITEMS_PER_BATCH))
        found = torch.cat([coarse.of_videos(batch).cpu() for batch in batches])
        return np.ascontiguousarray(found.numpy(), np.float32)

    count, dim = features.num_videos, vectors(torch.zeros(1, dtype=torch.long)).shape[1]
    index = _empty(faiss, kind, count, dim)
    if not index.is_trained:
        # The draw is always the same, so that the same videos make the same index.
        drawn = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        index.train(vectors(drawn[: IVF_TRAINING * index.nlist].sort().values))
    for items in torch.arange(count).split(ITEMS_PER_BATCH):
        index.add(vectors(items))
    return VideoIndex(index, IndexRecord(kind, coarse.source, dim, list(features.video_ids)))


class IndexedGallery:
    """Videos found by an index and put in order by the head."""

    def __init__(self, head: Head, features: FeatureSet, index: VideoIndex) -> None:
        if list(features.video_ids) != index.record.video_ids:
            raise StoreError(
                "the index is of other videos than the store holds now: make it again with `tvr index`"
            )
        self.head = head.eval()
        self.features = features
        self.video_ids = features.video_ids
        self.index = index
        self.coarse = coarse_of(head)

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
        found = self.index.nearest(self.coarse.of_texts(texts), candidates)
        return [
            self._best({name: tensor[[row]] for name, tensor in encoded.items()}, places, top_k)
            for row, places in enumerate(found)
        ]

    def _best(self, text: dict[str, Tensor], places: list[int], top_k: int) -> list[Hit]:
        videos = self.features.video_batch(torch.tensor(places), self.head.shape.num_frames)
        scores = similarity_in_blocks(self.head, text, self.head.encode_video(videos))[0].float().cpu()
        order = scores.argsort(descending=True, stable=True)[:top_k].tolist()
        return [Hit(self.video_ids[places[i]], float(scores[i])) for i in order]


def _empty(faiss: Any, kind: IndexKind, count: int, dim: int) -> Any:
    if kind == "flat":
        return faiss.IndexFlatIP(dim)
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dim, HNSW_NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = HNSW_EFFORT
        return index
    cells = max(1, int(4 * count**0.5))  # FAISS's own advice for up to a million vectors
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, min(cells, count), faiss.METRIC_INNER_PRODUCT)
    index.nprobe = max(1, int(cells * IVF_VISITED))
    return index


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ModuleNotFoundError:
        raise UsageError("an index needs FAISS: pip install 'tvr[index]'") from None
