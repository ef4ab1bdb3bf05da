"""What of a data set a store has already: which videos and captions are new, have changed, are gone, or are kept."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...data.base import Caption, Video
from ...data.contracts.identity import FileIdentity
from ..store.generations.record import Counts
from ..store.reader import FeatureStore
from ..store.receipts import Receipt
from ..store.shard_reader import ShardReader
from ..store.shards import MISSING
from ..trust.changes import differences_of
from ..trust.files import OnFile

OtherFrames = Callable[[Sequence[Video]], Mapping[str, str]]
"""Of videos of which nobody noted which part of a file they are, those whose frames would be others now, and why."""


@dataclass(frozen=True)
class ListComparison:
    """Ids of videos, or of captions, that a data set has now and a store had before."""

    shards: Mapping[str, str]
    """Of every id in the store's shards, also one that was gone before, the last shard with a row of it."""
    held: Mapping[str, Sequence[str]]
    """All ids of each shard."""
    new: tuple[str, ...] = ()
    changed: Mapping[str, str] = field(default_factory=dict[str, str])
    """In what each is another one than before."""
    gone: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def counts(self) -> Counts:
        """How many are what."""
        return Counts(len(self.new), len(self.changed), len(self.gone), len(self.kept))

    @property
    def to_make(self) -> list[str]:
        """Ids whose rows are to be made, sorted."""
        return sorted([*self.new, *self.changed])


@dataclass(frozen=True, slots=True)
class _StoredVideo:
    """What is known of a row without its features."""

    shard: str
    is_missing: bool
    has_frames: bool
    file: FileIdentity | None
    span: tuple[float, float | None] | None
    """None: nobody noted it."""

    def difference(self, video: Video, of_file: str) -> str:
        """In what a video is another one than this row was made of, or nothing; ``of_file``: what its file is."""
        span = (video.start_seconds, video.end_seconds)
        if self.span not in (None, span):
            return f"{_in_seconds(self.span)} of its file then, {_in_seconds(span)} now"
        return of_file


def compared_videos(
    store: FeatureStore,
    videos: Collection[Video],
    on_file: OnFile = lambda done, total: None,
    *,
    by_time: bool,
    other_frames: OtherFrames,
) -> ListComparison:
    """Compare the videos of a plan with those of a store's shards.

    Args:
        store: some of its shards may not be there: what they were to hold is new.
        videos: of the plan.
        on_file: called after each file that was looked at.
        by_time: whether a file of the same length that was written at the same moment is taken for the same.
        other_frames: asked about videos with frames of which nobody noted which part of a file they are.

    Raises:
        StoreError: a shard is damaged.
        DataError: a server that has some of the videos does not let us in.
    """
    stored, held = _stored_videos(store)
    new: list[str] = []
    unsure: list[Video] = []
    changed: dict[str, str] = {}
    kept: list[str] = []
    files = {
        video.id: (row.file, video.path)
        for video in videos
        if video.path and (row := stored.get(video.id)) and row.file
    }
    differences = differences_of(files, by_time=by_time)
    for done, video in enumerate(videos, start=1):
        row = stored.get(video.id)
        of_file = next(differences) or "" if video.id in files else ""
        if row is None or (row.is_missing and video.path):
            new.append(video.id)
        elif video.path is None:  # what was made while its file was there stays
            kept.append(video.id)
        elif told := row.difference(video, of_file):
            changed[video.id] = told
        else:
            kept.append(video.id)
            unsure += [video] if row.span is None and row.has_frames else []
        on_file(done, len(videos))
    if unsure:
        changed |= other_frames(unsure)
        kept = [i for i in kept if i not in changed]
    shards = {i: row.shard for i, row in stored.items()}
    gone = _gone(store, "video", held, {video.id for video in videos})
    return ListComparison(shards, held, tuple(new), changed, gone, tuple(kept))


def compared_texts(store: FeatureStore, captions: Collection[Caption]) -> ListComparison:
    """Compare the captions of a plan with those of a store's shards.

    Raises:
        StoreError: a shard is damaged.
    """
    stored, held = _stored_texts(store)
    new: list[str] = []
    changed: dict[str, str] = {}
    kept: list[str] = []
    for caption in captions:
        row = stored.get(caption.id)
        if row is None:
            new.append(caption.id)
        elif row[1:] != _as_stored(caption, row[-1]):
            changed[caption.id] = "another video" if row[1] != caption.video_id else "another text"
        else:
            kept.append(caption.id)
    shards = {i: row[0] for i, row in stored.items()}
    gone = _gone(store, "text", held, {caption.id for caption in captions})
    return ListComparison(shards, held, tuple(new), changed, gone, tuple(kept))


def _gone(
    store: FeatureStore, kind: str, held: Mapping[str, Sequence[str]], wanted: Collection[str]
) -> tuple[str, ...]:
    """Ids of rows that were of the store until now, as ``FeatureStore.living`` has them."""
    last = {i: name for name, ids in held.items() for i in ids}
    grown = store.generation
    unread = {*grown.own_ids(kind), *grown.gone_ids(kind)} if grown else set[str]()
    own = set(grown.own_shards(kind)) if grown else set[str]()
    return tuple(i for i, name in last.items() if i not in wanted and (name in own or i not in unread))


def _stored_videos(store: FeatureStore) -> tuple[dict[str, _StoredVideo], dict[str, list[str]]]:
    """The last row of each id in the shards that are there, and all ids of each shard."""
    found: dict[str, _StoredVideo] = {}
    held: dict[str, list[str]] = {}
    for name in store.shard_names("video"):
        receipt = store.receipt(name)
        if receipt is None:
            continue
        rows = _rows_by_receipt(receipt)
        if rows is None:
            rows = _rows_by_shard(ShardReader(store.folder / name, store.manifest.dim, receipt), receipt)
        held[name] = list(rows)
        found |= rows
    return found, held


def _rows_by_receipt(receipt: Receipt) -> dict[str, _StoredVideo] | None:
    """The rows of a shard whose receipt says everything of them, which takes a fifth of the time; else None."""
    ids = [*receipt.files, *receipt.failed_files, *receipt.missing]
    if receipt.spans is None or receipt.unnoted or len(set(ids)) != receipt.items:
        return None
    missing = frozenset(receipt.missing)
    return {
        i: _StoredVideo(
            receipt.shard, i in missing, i in receipt.files, receipt.file_of(i), receipt.span_of(i)
        )
        for i in ids
    }


def _rows_by_shard(shard: ShardReader, receipt: Receipt) -> dict[str, _StoredVideo]:
    offsets = shard.array("offsets")
    frames = (offsets[1:] - offsets[:-1]).tolist()
    return {
        i: _StoredVideo(shard.path.name, reason == MISSING, count > 0, receipt.file_of(i), receipt.span_of(i))
        for i, reason, count in zip(shard.ids, shard.strings("reason"), frames, strict=True)
    }


_StoredText = tuple[str, str, str, int | None]
"""Shard, video, text, and how many sentences of it were encoded by themselves, if any were."""


def _stored_texts(store: FeatureStore) -> tuple[dict[str, _StoredText], dict[str, list[str]]]:
    found: dict[str, _StoredText] = {}
    held: dict[str, list[str]] = {}
    for shard in store.shards("text"):
        held[shard.path.name] = shard.ids
        columns = shard.ids, shard.strings("video_ids"), shard.strings("texts"), _num_sentences(shard)
        for i, video, text, sentences in zip(*columns, strict=True):
            found[i] = (shard.path.name, video, text, sentences)
    return found, held


def _num_sentences(shard: ShardReader) -> Iterable[int | None]:
    if not shard.has_sentences:
        return [None] * len(shard.ids)
    offsets = shard.array("sentence_offsets")
    return (offsets[1:] - offsets[:-1]).tolist()


def _as_stored(caption: Caption, num_sentences: int | None) -> tuple[str, str, int | None]:
    return caption.video_id, caption.text, None if num_sentences is None else len(caption.sentences)


def _in_seconds(span: tuple[float, float | None]) -> str:
    start, end = span
    return f"{start:g} s to {'the end' if end is None else f'{end:g} s'}"
