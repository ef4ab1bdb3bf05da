"""Whether a store is to grow, before anything is written: what a run wants of it beside what it is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...data.base import Dataset, Video
from ...data.contracts.errors import StoreError
from ..options import CHANGED, ExtractionOptions
from ..plan import Plan
from ..request import root_of
from ..store.generations.record import Generation, load_manifest
from ..store.manifest import MANIFEST_NAME, Manifest, differences
from ..store.reader import FeatureStore
from ..store.rows import OlderRow
from ..trust.changes import FileComparison, compared_files
from ..trust.files import OnFile, asked, question_of
from .comparison import compared_texts, compared_videos
from .planning import may_grow, next_generation


@dataclass(frozen=True)
class Wanted:
    """What a run wants a store to be."""

    folder: Path
    dataset: Dataset
    plan: Plan
    """Of all videos and captions."""
    manifest: Manifest
    options: ExtractionOptions

    @property
    def is_here(self) -> bool:
        """Whether the videos come from the folder that they came from before."""
        request = self.options.request
        return request is not None and root_of(self.folder) == request.root.absolute()

    @property
    def by_time(self) -> bool:
        """Whether a file of the same length that was written at the same moment is taken for the same."""
        return self.is_here and self.options.file_digest == "ends"


@dataclass(frozen=True)
class Detected:
    """What a look at a store, and at all files of its videos, found."""

    generation: Generation | None = None
    """The one to begin; None where the store holds what is wanted, or cannot come to hold it."""
    compared: FileComparison | None = None
    """None where not all files were looked at."""


def detected(wanted: Wanted, on_file: OnFile, *, alone: bool) -> Detected:
    """Whether a store has to grow to be what is wanted; where it cannot, claiming it says why.

    Args:
        wanted: by the run.
        on_file: called after each file that was looked at.
        alone: whether this run is all that extracts now: of jobs that fill one store none looks at all files.

    Raises:
        StoreError: videos that come from another folder than before are other files there, or a shard is damaged.
    """
    folder, options = wanted.folder, wanted.options
    # In a folder without a shard the first job decides what the store is.
    if options.only is not None or not (folder / MANIFEST_NAME).is_file() or not any(folder.glob("*.h5")):
        return Detected()
    stored = load_manifest(folder)
    store = FeatureStore(folder, stored)
    if not any(store.shards("video")) or not may_grow(stored, wanted.manifest):
        return Detected()
    if differences(stored, wanted.manifest):
        return Detected(_compared(wanted, store, on_file)) if wanted.dataset.is_archive else Detected()
    lacks = store.generation is not None and any(
        store.receipt_facts(name) is None for name in store.generation.shards
    )
    if lacks:
        return Detected(_compared(wanted, store, on_file))
    if not alone or not wanted.is_here or options.retried == CHANGED:
        return Detected()
    compared = compared_files(store, wanted.dataset.videos, on_file, by_time=wanted.by_time)
    # Those that failed are extracted in their own shards where that is asked for.
    if not compared.changed and (not compared.mended or options.retried == "failed"):
        return Detected(None, compared)
    return Detected(
        _compared(wanted, store, lambda done, total: None), replace(compared, changed={}, mended={})
    )


def _compared(wanted: Wanted, store: FeatureStore, on_file: OnFile) -> Generation:
    """The generation that makes a store what is wanted."""
    videos = compared_videos(
        store,
        list(wanted.plan.videos),
        on_file,
        by_time=wanted.by_time,
        other_frames=lambda videos: _other_frames(wanted, store, videos),
    )
    if not wanted.is_here:
        refuse_other_files(wanted.folder, wanted.options, videos.changed)
    return next_generation(store, wanted.manifest, videos, compared_texts(store, list(wanted.plan.captions)))


def _other_frames(wanted: Wanted, store: FeatureStore, videos: Sequence[Video]) -> dict[str, str]:
    """Of videos that an earlier version extracted, without a note of which part of a file they are, those whose frames
    would be others now, as the packets of their files tell; and why."""
    if store.manifest.annotation_digests == wanted.manifest.annotation_digests:
        return {}  # what said which part it is has not changed
    stored = _stored_rows(store, {video.id for video in videos})
    rows = [stored[video.id] for video in videos]
    questions = [question_of(video, wanted.options) for video in videos]
    verdicts = asked(rows, questions, wanted.options)
    return {verdict.id: verdict.reason for verdict in verdicts if verdict.verdict != "trusted"}


def _stored_rows(store: FeatureStore, ids: Collection[str]) -> dict[str, OlderRow]:
    """The last row of each of these videos."""
    found: dict[str, OlderRow] = {}
    for shard in store.shards("video"):
        status, decoder = shard.strings("status"), shard.strings("decoder")
        for row, i in enumerate(shard.ids):
            if i in ids:
                (seconds,), (index,) = shard.items("frame_seconds", [row]), shard.items("frame_index", [row])
                found[i] = OlderRow(i, shard.path.name, status[row], decoder[row], seconds, index)
    return found


def refuse_other_files(folder: Path, options: ExtractionOptions, changed: Mapping[str, str]) -> None:
    """See that no features of one file would pass for those of another.

    Raises:
        StoreError: files changed, and nobody said that these are the ones to be taken.
    """
    if not changed or options.retried == CHANGED or options.only is not None:
        return
    video, difference = next(iter(changed.items()))
    now = options.request.root.absolute() if options.request else None
    then = root_of(folder)
    roots = (
        f" The store was made from {then}, this run looks in {now}."
        if now and then not in (None, now)
        else ""
    )
    raise StoreError(
        f"{len(changed):,} of the videos in {folder} are other files now than those whose features it holds, such as "
        f"{video!r}: {difference}.{roots} Add --retry changed to extract them again, and nothing else of their shards; "
        "or choose another folder with --store"
    )
