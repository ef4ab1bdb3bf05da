"""Which way a query meets a gallery: chosen by what ``tvr index`` made beside the run or store."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from ...data.contracts.errors import StoreError, TvrError
from .archive import Archive
from .comparing import (
    AskedTexts,
    Candidates,
    Compared,
    Comparer,
    EveryItem,
    NearestItems,
    compared_with_all,
)
from .gallery.encoded_items import EncodedItems, EncodedNow
from .gallery.faiss_index import checked_index
from .gallery.frame_index import FRAMES_RECORD, FrameIndex, opened_frame_index
from .gallery.index_folder import INDEX_FOLDER, VideoIndex
from .gallery.kept_encodings import ENCODINGS_FOLDER, KeptEncodings, kept_or_anew
from .gallery.kept_scores import KeptScores
from .gallery.measured_recall import GOAL


class VotedItems(Candidates):
    """Compares with the items that have most votes in an index of frames.

    Args:
        items: with the head that compares.
        index: of the same items.
        candidates: how many are compared; None: as many as the index was measured with, or as many as are wanted.
    """

    def __init__(self, items: EncodedItems, index: FrameIndex, candidates: int | None = None) -> None:
        super().__init__(items, candidates or index.effort.candidates)
        self._index = index
        self._is_asked_for = candidates is not None

    def check(self, top_k: int) -> None:
        """See ``Candidates``: nobody who did not ask for some candidates gets fewer results for them."""
        if self._is_asked_for:
            super().check(top_k)
        else:
            self.candidates = max(self.candidates, top_k)

    def _places(self, texts: AskedTexts, among: Bool[Tensor, " item"] | None) -> list[list[int]]:
        return self._index.nearest(texts.encoded, self.candidates, among)


class EveryKept:
    """Compares with every item, by its kept encodings.

    Args:
        kept: the items.
    """

    def __init__(self, kept: KeptEncodings) -> None:
        self._scores = KeptScores(kept)

    @torch.no_grad()
    def __call__(self, texts: AskedTexts, among: Bool[Tensor, " item"] | None = None) -> list[Compared]:
        """See ``Comparer``."""
        return compared_with_all(self._scores(texts.encoded), among)


@dataclass(frozen=True, slots=True)
class Way:
    """How queries meet a gallery."""

    compare: Comparer
    encoded: EncodedItems
    said: str
    """For a person; empty where there is nothing to say."""


def way_of(archive: Archive, candidates: int | None) -> Way:
    """The way that is there, without anything being made.

    Args:
        archive: head and videos.
        candidates: how many videos are compared; None: as many as the index of frames says, and where there is none
            that is current, every video.

    Raises:
        UsageError: candidates are asked for, and there is no index.
        StoreError: candidates are asked for, and the index is damaged, or of something else.
    """
    folder = archive.run or archive.store.folder
    if candidates is None:
        return _usual_way(archive, folder)
    features = archive.windows.features
    if (folder / INDEX_FOLDER / FRAMES_RECORD).is_file():
        index = opened_frame_index(folder / INDEX_FOLDER, archive.head, features)
        encoded = kept_or_anew(archive.head, features, folder / ENCODINGS_FOLDER)
        return Way(VotedItems(encoded, index, candidates), encoded, index.said(candidates))
    coarse_index = VideoIndex.load(folder / INDEX_FOLDER)
    coarse = checked_index(archive.head, features, coarse_index)
    encoded = kept_or_anew(archive.head, features, folder / ENCODINGS_FOLDER)
    return Way(NearestItems(encoded, coarse, coarse_index.nearest, candidates), encoded, "")


def _usual_way(archive: Archive, folder: Path) -> Way:
    head, features = archive.head, archive.windows.features
    try:
        kept = KeptEncodings.opened(folder / ENCODINGS_FOLDER, head, features)
    except StoreError:
        return Way(EveryItem(head, features, kept=False), EncodedNow(head, features), "")
    if not (folder / INDEX_FOLDER / FRAMES_RECORD).is_file():
        return Way(EveryKept(kept), kept, "")
    try:
        index = opened_frame_index(folder / INDEX_FOLDER, head, features)
    except TvrError as error:
        return Way(EveryKept(kept), kept, f"every video is compared: {error}")
    said = index.said(index.effort.candidates)
    if index.effort.recall < GOAL:
        return Way(EveryKept(kept), kept, f"every video is compared; --candidates takes the index ({said})")
    return Way(VotedItems(kept, index), kept, said)


def candidates_of(
    run: Path | None, items: EncodedItems, candidates: int | None, otherwise: Candidates
) -> tuple[Candidates, str]:
    """The candidates of the index of frames beside a run, and what is known of them; where none is current, others.

    Args:
        run: its folder; None: mean pooling.
        items: with the head that compares.
        candidates: how many videos are compared; None: as many as the index was measured with.
        otherwise: what is taken without an index.
    """
    if run is None:
        return otherwise, ""
    try:
        index = opened_frame_index(run / INDEX_FOLDER, items.head, items.features)
    except TvrError:
        return otherwise, ""
    voted = VotedItems(items, index, candidates)
    return voted, index.said(voted.candidates)
