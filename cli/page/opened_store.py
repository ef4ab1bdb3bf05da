"""A store that is searched: encoder and videos loaded once, and the heads of its runs as they are asked."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch

from ...data.base import Video
from ...data.contracts.errors import StoreError, TvrError, UsageError, counted, unknown_name
from ...heads.base import Head
from ...heads.evaluation.evaluate_runs import zero_shot
from ...heads.features.feature_set import FeatureSet
from ...heads.features.from_store import features_of, gallery_of
from ...heads.runs.find_store import run_store
from ...heads.runs.newest import RunEntry
from ...heads.runs.run_folder import load_run
from ...heads.search.archive import Archive
from ...heads.search.calibration import FEWEST_QUERIES, calibrated
from ...heads.search.catalogue import Catalogue
from ...heads.search.comparing import EveryItem, NearestItems
from ...heads.search.gallery.coarse import CoarseVectors, coarse_of
from ...heads.search.gallery.encoded_items import EncodedItems, EncodedNow
from ...heads.search.gallery.kept_encodings import ENCODINGS_FOLDER, kept_encodings
from ...heads.search.query_features import QueryFeatures, encoder_of
from ...heads.search.searcher import Searcher
from ...heads.search.ways import candidates_of
from ...pipeline.request import NOTHING_NAMED, Named
from ...pipeline.store.reader import FeatureStore

ZERO_SHOT = "zero-shot"
"""In place of a run: mean pooling."""
COMPARED_WHOLE = 10_000
"""Of more items, a head compares the nearest alone."""
CANDIDATES = 200
"""So many."""
MOST_HEADS = 4
"""Whose galleries are kept in memory: those that were asked last."""
VALIDATION = "val"
_STILL_MEASURING = "how often hits of such scores are right is being measured; ask again in a moment"

OnEncoded = Callable[[int, int], None]
"""Told how many items are encoded, and how many there are."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """What can be asked."""

    name: str
    head: str
    entry: RunEntry | None
    """None of mean pooling."""

    @property
    def folder(self) -> Path | None:
        """Where the run lies."""
        return None if self.entry is None else self.entry.folder


class OpenedStore:
    """A store and the runs of its features.

    Args:
        store: a whole store.
        videos: of its data set, by id, as far as they are known.
        runs: whose heads can be asked; of these the first is asked unless another is named.
        named: the encoder's file or repository, if that is elsewhere or the store somebody else's.
        candidates: how many of the nearest items a head compares; None: every item of up to ``COMPARED_WHOLE``.
        begins_with_run: whether the first run is asked unless another is named, or mean pooling.
    """

    def __init__(
        self,
        store: FeatureStore,
        videos: dict[str, Video],
        runs: Sequence[RunEntry],
        *,
        named: Named = NOTHING_NAMED,
        candidates: int | None = None,
        begins_with_run: bool = True,
    ) -> None:
        self.store = store
        self.catalogue = Catalogue(store, videos)
        self.queries = QueryFeatures(store, encoder_of(store, named))
        self.features = gallery_of(store)
        self.runs = {run.name: run for run in _named(runs)}
        self.usual = next(iter(self.runs)) if begins_with_run else ZERO_SHOT
        """The name of the run that is asked unless another is named."""
        self._candidates = candidates
        self._searchers: OrderedDict[str, Searcher] = OrderedDict()
        self._lock = Lock()
        self._uncalibrated: dict[str, str] = {}
        self._measuring = ThreadPoolExecutor(1, thread_name_prefix="calibrating")

    def close(self) -> None:
        """Let what is measured in the background go."""
        self._measuring.shutdown(wait=False, cancel_futures=True)

    def run(self, name: str | None) -> ListedRun:
        """The run of that name; of none, the usual one.

        Raises:
            UsageError: there is none of that name.
        """
        wanted = self.usual if name is None else name
        if wanted not in self.runs:
            raise UsageError(unknown_name("run", wanted, self.runs))
        return self.runs[wanted]

    def searcher(self, name: str | None, report: OnEncoded = lambda done, total: None) -> Searcher:
        """Who answers for a run. The first time its gallery is encoded, which takes a while.

        Raises:
            UsageError: there is no such run.
            StoreError: the run was trained on another encoder's features.
        """
        run = self.run(name)
        with self._lock:
            if run.name not in self._searchers:
                self._searchers[run.name] = self._loaded(run, report)
                while len(self._searchers) > MOST_HEADS:
                    self._searchers.popitem(last=False)
            self._searchers.move_to_end(run.name)
            return self._searchers[run.name]

    def head(self, run: ListedRun) -> Head:
        """The head of a run with its weights.

        Raises:
            StoreError: it was trained on another encoder's features.
        """
        if run.entry is None:
            return zero_shot(self.features)
        head, record = load_run(run.entry.folder)
        run_store(run.entry.folder, record, self.store.folder)  # sees that it can read these features
        return head

    def _loaded(self, run: ListedRun, report: OnEncoded) -> Searcher:
        head = self.head(run).eval()
        archive = Archive(head, run.head, self.features, self.queries, self.store, run.folder, None)
        items = archive.windows.features
        coarse = coarse_of(head)
        candidates = self._candidates
        if candidates is None and items.num_videos > COMPARED_WHOLE:
            candidates = CANDIDATES
        encoded = EncodedNow(head, items) if candidates is None else _encoded(run, head, items, report)
        vectors, way = CoarseVectors(coarse, encoded, report), ""
        if candidates is None:
            compare = EveryItem(head, items, kept=True)
        else:
            nearest = NearestItems(encoded, coarse, vectors.nearest, candidates)
            compare, way = candidates_of(run.folder, encoded, self._candidates, nearest)
        searcher = Searcher(archive, self.catalogue, compare, vectors, encoded)
        searcher.way = way
        _ = archive.notes  # read while the run is there as it was loaded
        searcher.is_measuring = True
        self._uncalibrated[run.name] = _STILL_MEASURING
        self._measuring.submit(self._calibrate, run.name, searcher, head)
        return searcher

    def uncalibrated(self, name: str) -> str:
        """Why nobody knows how often hits of a run's scores are right; empty where it is known."""
        return self._uncalibrated.get(name, "")

    @torch.no_grad()
    def _calibrate(self, name: str, searcher: Searcher, head: Head) -> None:
        """Measure how often a score is right, on the captions of the validation split."""
        texts, why = 0, ""
        try:
            if VALIDATION in self.store.splits and self.store.manifest.num_texts:
                with suppress(TvrError):  # a split of which nothing can be used
                    validation = features_of(self.store, VALIDATION)
                    texts = validation.num_texts
                    searcher.calibration = calibrated(head, validation)
            if searcher.calibration is None:
                why = (
                    "how often hits of such scores are right is not known: that takes "
                    f"{counted(FEWEST_QUERIES, 'caption')} of the split {VALIDATION!r}, which has {texts:,}"
                )
        finally:
            searcher.is_measuring = False
            self._uncalibrated[name] = why


def _encoded(run: ListedRun, head: Head, items: FeatureSet, report: OnEncoded) -> EncodedItems:
    """Every item as the head encodes it, kept beside the run; encoded anew for each query where nothing can be kept,
    and for mean pooling, which takes no time."""
    if run.folder is None or not head.has_weights:
        return EncodedNow(head, items)
    try:
        return kept_encodings(head, items, run.folder / ENCODINGS_FOLDER, report)
    except StoreError:
        return EncodedNow(head, items)


def _named(runs: Sequence[RunEntry]) -> list[ListedRun]:
    """Each run by the name of its folder, told from others of that name by a number; mean pooling as the last."""
    taken = {ZERO_SHOT}
    listed: list[ListedRun] = []
    for entry in runs:
        name, number = entry.folder.name, 2
        while name in taken:
            name, number = f"{entry.folder.name} ({number})", number + 1
        taken.add(name)
        listed.append(ListedRun(name, entry.record.head, entry))
    return [*listed, ListedRun(ZERO_SHOT, "mean_pool", None)]
