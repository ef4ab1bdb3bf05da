"""Files that are either absent or whole: written beside their place, flushed to the disk, renamed into it."""

import errno
import json
import os
import socket
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from ...data.contracts.errors import StoreError

_SUFFIX = ".tmp"

_NO_SUCH_SERVICE = {
    errno.EINVAL,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EBADF,
    errno.EISDIR,
    errno.EACCES,
}
"""What a system says that does not flush folders, or lets nobody open them. EIO is none of these: bytes are lost."""


@contextmanager
def atomic_write(path: Path) -> Generator[Path, None, None]:
    """A path beside ``path`` to write to; on a clean exit it is fsynced and takes the place of ``path``.

    A file system that cannot flush the names in a folder is warned of; the file is whole there all the same. On an
    exception the half-written file is removed and ``path`` stays as it was.
    """
    beside = temporary_path(path)
    try:
        yield beside
        flush_to_disk(beside)
        beside.replace(path)
        _flush_names(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that the file is never half there."""
    with atomic_write(path) as beside:
        beside.write_text(as_json(value), encoding="utf-8")


def keep_text(path: Path, text: str) -> None:
    """Write a text where the file does not hold it yet."""
    with suppress(OSError, ValueError):
        if path.read_text(encoding="utf-8") == text:
            return
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path) -> list[str]:
    """Remove what killed processes of this machine left half-written; files of living ones stay.

    Another machine's process cannot be asked whether it lives, so its files stay too.
    """
    host = socket.gethostname()
    removed: list[str] = []
    for path in folder.glob(f"*.{host}-*{_SUFFIX}"):
        process = path.name.removesuffix(_SUFFIX).rpartition("-")[2]
        if process.isdigit() and not _is_alive(int(process)):
            path.unlink(missing_ok=True)
            removed.append(path.name)
    return removed


@contextmanager
def os_errors_as_store_error(folder: Path) -> Generator[None]:
    """Turn what the operating system says of a folder that cannot be written into a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror or error}. Every shard that is there is whole; make room or "
            "allow writing, or choose another disk with --store, and run the same command again"
        ) from error


def temporary_path(path: Path) -> Path:
    """Where this thread of this process writes what is to become ``path``."""
    thread = threading.get_native_id()
    return path.with_name(f"{path.name}.{thread}.{socket.gethostname()}-{os.getpid()}{_SUFFIX}")


def as_json(value: Any) -> str:
    """JSON as tvr writes it everywhere: indented, and readable in every language.

    What of a path is not UTF-8 stands there escaped, and comes back as it was.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def flush_to_disk(path: Path) -> None:
    """Return when a file would survive a power cut.

    Raises:
        OSError: it would not.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_names(folder: Path) -> None:
    """The same for the names in a folder, where the file system does that: some of FUSE and SMB refuse it."""
    try:
        flush_to_disk(folder)
    except OSError as error:
        if error.errno not in _NO_SUCH_SERVICE:
            raise
        _note_once(folder, error.strerror or str(error))


@cache
def _note_once(folder: Path, reason: str) -> None:
    warnings.warn(
        f"the file system of {folder} does not flush the names in a folder ({reason}). The files are whole; of those "
        "that were renamed just before a power cut some may be missing then, and the same command makes them again",
        stacklevel=2,
    )


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Whether all that is left of a process is the news of its death, which in a container may wait for ever."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False
