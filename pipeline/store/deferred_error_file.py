"""A file that HDF5 can write to on a full disk.

HDF5 expects to read back what it wrote and cannot close a file that it could not write: on a full disk h5py ended the
process by a segmentation fault (h5py 3.16.0, HDF5 2.0.0). So it is told that every write succeeded, and what the
operating system refused is raised once HDF5 is done.
"""

from io import SEEK_SET
from pathlib import Path
from typing import Any

_SMALL_BYTES = 1 << 20
"""What is refused up to this size is remembered: HDF5's own records. It reads no rows back."""


class DeferredErrorFile:
    """What h5py asks of a file object. A context manager that raises the first refusal when it is left."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._position = self._end = 0
        self._refusal: OSError | None = None
        self._unwritten: list[tuple[int, bytes]] = []

    def __enter__(self) -> "DeferredErrorFile":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        finally:
            if self._refusal is not None:
                raise self._refusal

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Where the next read or write happens."""
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def tell(self) -> int:
        """Where that is."""
        return self._position

    def read(self, size: int) -> bytes:
        """As ``readinto``; by this method h5py knows a file."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def readinto(self, buffer: Any) -> int:
        """Read what was written here, or should have been."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._position)
        found = self._file.readinto(view) or 0
        view[found:] = bytes(len(view) - found)
        for start, data in self._unwritten:
            first, last = max(start, self._position), min(start + len(data), self._position + len(view))
            if first < last:
                view[first - self._position : last - self._position] = data[first - start : last - start]
        self._position += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write, or remember that it was refused."""
        view = memoryview(data).cast("B")
        if self._refusal is None:
            self._try_to_write(view)
        if self._refusal is not None and len(view) <= _SMALL_BYTES:
            self._unwritten.append((self._position, bytes(view)))
        self._position += len(view)
        self._end = max(self._end, self._position)
        return len(view)

    def truncate(self, size: int) -> int:
        """Give the file its final size."""
        self._end = size
        try:
            self._file.truncate(size)
        except OSError as error:
            self._refusal = self._refusal or error
        return size

    def flush(self) -> None:
        """Nothing waits here; ``atomic_write`` brings the file to the disk."""

    def _try_to_write(self, view: memoryview) -> None:
        try:
            self._file.seek(self._position)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._refusal = error
