"""Which file of a store's video may be opened: the one that its features were made of, wherever it lies below the root.

A file is opened once, looked at, and read from that opening alone: whatever is put in its place meanwhile is not sent.
Of a tar file the stretch that the video is. What lies on a server is not fetched for the page.
"""

import os
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from ....data.annotation_files.folder_tree import ids_of
from ....data.annotation_files.listing import walk
from ....data.base import Video
from ....data.contracts.errors import DataError, TvrError
from ....data.contracts.file_names import printable
from ....data.contracts.identity import FileIdentity
from ....data.sources.remote_object import RemoteObject
from ....data.sources.tar_member import MemberReader, Tar, TarMember
from ....data.sources.video_file import VideoFile
from ....pipeline.store.reader import FeatureStore
from ....pipeline.trust.changes import difference_of_open, files_of

_LOOK_AGAIN_SECONDS = 60.0
"""Until the folders are walked once more for files that were not found."""

Facts = tuple[int, int, int, int, int, int]
"""Device, number, length of the video and the two times of a file, and where the video begins in it: as long as they
stay the same, nobody has written to it."""


class MediaError(TvrError):
    """A video that cannot be shown or played; the message says why, to whoever looks at the page."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file of a video, open for reading. A context manager that closes it."""

    file: BinaryIO
    """At its beginning; ``os.pread`` and who opens ``/dev/fd`` anew leave it there. Of a member the tar file."""
    path: VideoFile
    facts: Facts
    is_moved: bool = False
    """Whether it lies elsewhere than the data set says."""

    @property
    def bytes(self) -> int:
        """How long it is."""
        return self.facts[2]

    @property
    def begins_at(self) -> int:
        """Where its first byte lies in ``file``."""
        return self.facts[5]

    def content(self) -> BinaryIO | MemberReader:
        """The bytes of the video as a file object of its own, which shares its place with ``file``."""
        own = os.fdopen(os.dup(self.file.fileno()), "rb", 0)
        return MemberReader(self.path, own) if isinstance(self.path, TarMember) else own

    @property
    def name(self) -> str:
        """Of the file, as text."""
        return printable(self.path.name)

    def __enter__(self) -> "OpenFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class StoreFiles:
    """The files of a store's videos.

    Args:
        store: which knows what its features were made of; one of an earlier version does not.
        videos: of its data set, by id, as far as they are known.
        root: below which files that have moved are looked for; None: nowhere.

    Raises:
        StoreError: a receipt does not say what it should.
    """

    def __init__(self, store: FeatureStore, videos: Mapping[str, Video], root: Path | None = None) -> None:
        self._identities, _ = files_of(store, None)
        self._videos = videos
        self._tree = _Tree(root) if root is not None else None
        self._known_same: dict[str, Facts] = {}

    def opened(self, video_id: str) -> OpenFile:
        """The file of a video, to be closed by who asked.

        Raises:
            MediaError: it is not there, is another one now, or cannot be read.
        """
        video = self._videos.get(video_id)
        path = video.path if video else None
        if isinstance(path, RemoteObject):
            raise MediaError(
                f"{printable(path.name)}: is on a server, and the page shows files of this machine alone"
            )
        if path is not None:
            with _reasons(), suppress(FileNotFoundError, NotADirectoryError):
                return self._looked_at(video_id, opened_file(path))
        for other in self._moved(video_id, path):
            with _reasons(), suppress(FileNotFoundError, NotADirectoryError):
                return self._looked_at(video_id, opened_file(other, is_moved=True))
        known = f"{printable(path.name)}: " if path else ""
        raise MediaError(
            f"{known}its file is not where it was, and was not found elsewhere below the data set's folder. "
            "If the folder has moved, `tvr serve --root DIR` says where it is"
        )

    def _looked_at(self, video_id: str, opened: OpenFile) -> OpenFile:
        stored = self._identities.get(video_id)
        if stored is None or self._known_same.get(video_id) == opened.facts:
            return opened
        try:
            with opened.content() as content:
                difference = difference_of_open(stored, content)
            opened.file.seek(0)
        except BaseException:
            opened.file.close()
            raise
        if difference:
            opened.file.close()
            raise MediaError(
                f"{opened.name}: another file than the one whose features are stored ({difference}), so it is not "
                "shown. `tvr extract` with `--retry changed` reads it anew"
            )
        self._known_same[video_id] = opened.facts
        return opened

    def _moved(self, video_id: str, path: VideoFile | None) -> Iterator[Path]:
        """Files of the same name and length elsewhere; without a known length none is taken for the same."""
        stored = self._identities.get(video_id)
        if stored is None or self._tree is None:
            return
        for other in self._tree.named(path.name if path else None, video_id):
            if other != path and _has_length(other, stored):
                yield other


class _Tree:
    """Files below a folder by their names and by the ids that these stand for, walked when somebody asks."""

    def __init__(self, root: Path) -> None:
        self._root = root if root.is_dir() else root.parent
        self._lock = threading.Lock()
        self._by_name: dict[str, list[Path]] = {}
        self._walked = -float("inf")

    def named(self, name: str | None, video_id: str) -> list[Path]:
        """The files of that name; where none is known, those that may be called by the last part of an id."""
        with self._lock:
            if time.monotonic() - self._walked > _LOOK_AGAIN_SECONDS:
                self._by_name = self._listed()
                self._walked = time.monotonic()
        last = video_id.rpartition("/")[2]
        plain = last.rpartition("[")[0] if last.endswith("]") else last  # an id of a clip ends with its span
        return self._by_name.get(name or plain, [])

    def _listed(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        with suppress(DataError):  # what may be listed was
            for folder, listing in walk(self._root):
                for name in listing.files:
                    for each in {name, *ids_of(name)[1]}:
                        found.setdefault(each, []).append(Path(folder, name))
        return found


def opened_file(path: Path | TarMember, *, is_moved: bool = False) -> OpenFile:
    """A regular file, or a member of one, open; to open anything else may wait for ever, or do something.

    Raises:
        MediaError: it is no regular file.
        OSError: it cannot be opened, or its tar file is not the one that was listed.
    """
    place = path.tar.path if isinstance(path, TarMember) else path
    if S_ISREG(place.stat().st_mode):
        descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(descriptor)
        if S_ISREG(status.st_mode):
            file = os.fdopen(descriptor, "rb", buffering=0)
            if isinstance(path, TarMember):
                _require_listed(path.tar, file)
            return OpenFile(file, path, file_facts(path, status), is_moved)
        os.close(descriptor)
    raise MediaError(f"{printable(path.name)}: no file any more, but a folder, a pipe or a device")


def _require_listed(tar: Tar, file: BinaryIO) -> None:
    try:
        tar.require_unchanged(file)
    except BaseException:
        file.close()
        raise


def file_facts(path: VideoFile, status: os.stat_result) -> Facts:
    """By which a file that nobody has written to is known again."""
    begin, length = (path.offset, path.num_bytes) if isinstance(path, TarMember) else (0, status.st_size)
    return status.st_dev, status.st_ino, length, status.st_mtime_ns, status.st_ctime_ns, begin


def _has_length(path: Path, stored: FileIdentity) -> bool:
    try:
        return path.stat().st_size == stored.bytes
    except OSError:
        return False


@contextmanager
def _reasons() -> Generator[None]:
    """Say in words why the system refuses a file."""
    try:
        yield
    except OSError as error:
        raise MediaError(f"its file cannot be read ({error.strerror or error})") from None
