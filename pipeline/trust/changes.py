"""Files that are other ones than those whose features a store holds, though their names are the same."""

import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ...data.base import Video
from ...data.contracts.byte_source import SourceReader, look_at
from ...data.contracts.identity import FileIdentity
from ...data.sources.remote_object import RemoteObject
from ...data.sources.video_file import VideoFile, require_reachable
from ..request import NOTHING_NAMED, Named, request_for_files, requested_dataset
from ..store.reader import FeatureStore
from ..store.receipts import Receipt
from .files import OnFile

_UNASKED = (
    "the files of its videos cannot be found. Run the `tvr extract` that made the store: it is told where they are, "
    "and looks at them"
)


_TOLD_EACH = 100
"""Files after which progress is told."""
_ASKED_AT_ONCE = 32
"""Questions to servers: each takes as long as a server is far away, and nothing of this machine."""


@dataclass(frozen=True, slots=True)
class FileComparison:
    """What a look at the files of videos that have frames in a store found."""

    changed: Mapping[str, str]
    """Of each video whose file is another one than the row was made of, what is seen of that."""
    same: int
    """Videos whose file is the one that the row was made of."""
    gone: int
    """Videos whose file is not there now: what is stored is of the one that was."""
    unknown: int
    """Videos of which the store does not know which files they were made of: an earlier version made their shards."""
    mended: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of each video that had failed and whose file is another one now, what is seen of that."""


def compared_files(
    store: FeatureStore,
    videos: Mapping[str, Video],
    on_file: OnFile = lambda done, total: None,
    *,
    by_time: bool = False,
    shards: Collection[str] | None = None,
) -> FileComparison:
    """Compare the files of a data set with those that a store was made of.

    Args:
        store: the store; shards that are not there yet are passed over.
        videos: of the data set, by id.
        on_file: called after each file.
        by_time: whether a file of the same length that was written at the same moment is taken for the same.
        shards: names of those whose videos are looked at; None means all.

    Raises:
        StoreError: a receipt does not say what it should.
        DataError: a server that has some of them does not let us in.
    """
    known, unknown = _known_files(store, shards)
    there = {i: path for i in known if i in videos and (path := videos[i].path)}
    changed: dict[str, str] = {}
    mended: dict[str, str] = {}
    lost = 0
    asked: dict[str, tuple[FileIdentity, VideoFile]] = {}
    for done, (video, path) in enumerate(there.items(), start=1):
        if not (by_time and known[video].is_untouched(video, path)):
            asked[video] = known[video].file(video), path
        if done % _TOLD_EACH == 0 and done < len(there):
            on_file(done - len(asked), len(there))
    differences = differences_of(asked, by_time=by_time)
    for done, (video, difference) in enumerate(zip(asked, differences, strict=True), start=1):
        lost += difference is None and known[video].has_frames
        if difference:
            (changed if known[video].has_frames else mended)[video] = difference
        if done < len(asked):
            on_file(len(there) - len(asked) + done, len(there))
    if there:
        on_file(len(there), len(there))
    with_frames = [video for video, row in known.items() if row.has_frames]
    num_there = sum(video in there for video in with_frames) - lost
    return FileComparison(changed, num_there - len(changed), len(with_frames) - num_there, unknown, mended)


def differences_of(
    files: Mapping[str, tuple[FileIdentity, VideoFile]], *, by_time: bool = False
) -> Iterator[str | None]:
    """Of each file what ``difference_of`` says, in their order; None of what no server has now.

    Servers are asked for many files at a time.

    Args:
        files: of each video which file a row was made of, and where it is now.
        by_time: whether a file of the same length that was written at the same moment is taken for the same.

    Raises:
        DataError: a server that has some of them does not let us in.
    """
    if not any(isinstance(file, RemoteObject) for _, file in files.values()):
        yield from (difference_of(stored, file, by_time=by_time) for stored, file in files.values())
        return
    require_reachable(file for _, file in files.values())
    with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="servers") as threads:
        yield from threads.map(lambda one: _difference_or_none(*one, by_time=by_time), files.values())


def compared_by_request(
    store: FeatureStore, named: Named = NOTHING_NAMED, on_file: OnFile = lambda done, total: None
) -> FileComparison:
    """The same for a store that knows where its videos came from.

    Args:
        store: the store.
        named: where the data set is now, if it is not where it was.
        on_file: called after each file.

    Raises:
        StoreError: the store does not know it, or a receipt does not say what it should.
        UsageError: another user made the store, and where its videos are is not named.
        DataError: the data set is not there.
    """
    request, _ = request_for_files(store.folder, named, _UNASKED, "inspect --changed")
    return compared_files(store, requested_dataset(request).videos, on_file)


def files_of(store: FeatureStore, shards: Collection[str] | None) -> tuple[dict[str, FileIdentity], int]:
    """The file that each video of these shards (None: of all) has its frames from, and of how many videos with frames
    that is not known.

    Raises:
        StoreError: a receipt does not say what it should.
    """
    known, unknown = _known_files(store, shards)
    return {video: row.file(video) for video, row in known.items() if row.has_frames}, unknown


class _KnownFiles(NamedTuple):
    """What a receipt says of the files of videos that have frames, or of those that failed, as text: of a million most
    are asked one thing."""

    receipt: Receipt
    has_frames: bool

    def is_untouched(self, video_id: str, path: VideoFile) -> bool:
        """Whether a file of this machine has the length and the time of then."""
        if not isinstance(path, Path):
            return False
        try:
            facts = os.stat(path)  # noqa: PTH116 - a million times, and twice as fast
        except OSError:
            return False
        texts = self.receipt.files if self.has_frames else self.receipt.failed_files
        return texts[video_id].startswith(FileIdentity.beginning(facts.st_size, facts.st_mtime_ns))

    def file(self, video_id: str) -> FileIdentity:
        """The same as values.

        Raises:
            StoreError: the receipt does not say what it should.
        """
        found = self.receipt.file_of(video_id)
        assert found is not None  # its text is known
        return found


def _known_files(store: FeatureStore, shards: Collection[str] | None) -> tuple[dict[str, _KnownFiles], int]:
    """Files of videos that have frames or failed; of how many with frames the file is not known.

    Of a store that has grown only rows that count are looked at: the last one of each id, as receipts tell.
    """
    files: dict[str, _KnownFiles] = {}
    unknown, grown = 0, store.generation
    own = set(grown.own_shards("video")) if grown else set[str]()
    unread = {*grown.videos, *grown.gone_videos} if grown else set[str]()
    for name in store.shard_names("video"):
        if (shards is not None and name not in shards) or (receipt := store.receipt(name)) is None:
            continue
        with_frames = receipt.status.get("ok", 0) + receipt.status.get("partial", 0)
        unknown += with_frames - len(receipt.files)
        for has_frames, texts in ((True, receipt.files), (False, receipt.failed_files)):
            counting = texts if name in own or not unread else [i for i in texts if i not in unread]
            files |= dict.fromkeys(counting, _KnownFiles(receipt, has_frames))
    return files, unknown


def _difference_or_none(stored: FileIdentity, file: VideoFile, *, by_time: bool) -> str | None:
    if isinstance(file, RemoteObject):
        try:
            return _difference(stored, file, by_time=by_time)
        except OSError:
            return None
    return difference_of(stored, file, by_time=by_time)


def difference_of(stored: FileIdentity, file: VideoFile, *, by_time: bool = False) -> str:
    """In what a file is another one than what is stored was made of, or nothing; why it cannot be read is for decoding
    to say.
    """
    try:
        return _difference(stored, file, by_time=by_time)
    except OSError:
        return ""


def _difference(stored: FileIdentity, file: VideoFile, *, by_time: bool) -> str:
    return "" if stored.is_that_of(file, by_time=by_time) else _told(stored, look_at(file).num_bytes)


def difference_of_open(stored: FileIdentity, file: BinaryIO | SourceReader) -> str:
    """The same of a file that is open at its beginning.

    Raises:
        OSError: it cannot be read.
    """
    now = FileIdentity.of_open(file, stored.kind)
    return "" if now.digest == stored.digest else _told(stored, now.bytes)


def _told(stored: FileIdentity, length: int) -> str:
    if length != stored.bytes:
        return f"{stored.bytes:,} bytes then, {length:,} now"
    return f"other content, {length:,} bytes long as before"
