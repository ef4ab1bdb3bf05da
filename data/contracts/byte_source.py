"""What holds the bytes of a video where that is no file of its own: a stretch of a tar file, an object of a server.

A file of its own is a ``pathlib.Path`` and nothing else: it is opened by its name, by whatever reads it.
"""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Any, Self


class SourceError(OSError):
    """Bytes that cannot be had; the message says why, and holds no secret of an address."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of bytes without reading them."""

    num_bytes: int
    modified_ns: int | None
    """When they were last written, in nanoseconds since 1970; None where nobody says it."""
    is_regular: bool = True
    """False for a folder, a named pipe and the like, which are not opened."""


class SourceReader(io.RawIOBase):
    """An open source: a seekable file object that counts from the first byte of the video.

    Args:
        name: ends as the file would: of some formats a demuxer looks at that.
        facts: of what is read.
    """

    def __init__(self, name: str, facts: SourceFacts) -> None:
        super().__init__()
        self.name, self.facts = name, facts
        self._at = 0

    @abstractmethod
    def read_at(self, at: int, count: int) -> bytes:
        """So many bytes from there on; fewer only where the source ends.

        Raises:
            OSError: they cannot be had.
        """

    @abstractmethod
    def require_unchanged(self) -> None:
        """See that what was read is of one and the same source.

        Raises:
            SourceError: it was written to meanwhile.
        """

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere, also behind the end, where nothing is read."""
        begins = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.facts.num_bytes}[whence]
        if begins + offset < 0:
            raise ValueError(f"no byte has the place {begins + offset}")
        self._at = begins + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes: so many, or all that are left."""
        left = max(0, self.facts.num_bytes - self._at)
        count = left if size is None or size < 0 else min(size, left)
        found = self.read_at(self._at, count) if count else b""
        self._at += len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        """The same, for who buffers."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class ByteSource(ABC):
    """Where the bytes of a video are. Comparable and hashable, and made again from its fields in another process.

    As of a ``Path``, ``str`` is for messages; no secret of an address is in it.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """As a file of its own would be called."""

    @property
    @abstractmethod
    def parent(self) -> PurePosixPath:
        """The folder that it lies in, in the eyes of who has many: absolute, and only to be compared."""

    @property
    def suffix(self) -> str:
        """Of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    def absolute(self) -> Self:
        """The same, whatever the current folder is."""
        return self

    @abstractmethod
    def open(self) -> SourceReader:
        """Open it at its beginning.

        Raises:
            OSError: it cannot be read, or is not what it was when it was listed; the message says why.
        """

    @abstractmethod
    def look(self) -> SourceFacts:
        """What is known of it now, without reading it.

        Raises:
            OSError: it is not there, or cannot be asked.
        """

    @abstractmethod
    def version(self) -> Hashable:
        """Another one where other bytes may be read now than when this was last asked.

        Raises:
            OSError: it cannot be asked.
        """


def look_at(place: Path | ByteSource) -> SourceFacts:
    """What is known of a file or source without reading it.

    Raises:
        OSError: it is not there, or cannot be asked.
    """
    if isinstance(place, ByteSource):
        return place.look()
    status = place.stat()
    return SourceFacts(status.st_size, status.st_mtime_ns, S_ISREG(status.st_mode))
