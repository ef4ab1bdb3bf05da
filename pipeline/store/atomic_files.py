"""Files that are either absent or whole: written beside their place, flushed to the disk, renamed into it."""

import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...data.contracts.errors import StoreError

_SUFFIX = ".tmp"


@contextmanager
def atomic_write(path: Path) -> Generator[Path, None, None]:
    """A path beside ``path`` to write to; on a clean exit it is fsynced and takes the place of ``path``.

    On an exception the half-written file is removed and ``path`` stays as it was.
    """
    beside = temporary_path(path)
    try:
        yield beside
        flush_to_disk(beside)
        beside.replace(path)
        flush_to_disk(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that the file is never half there."""
    with atomic_write(path) as beside:
        beside.write_text(as_json(value), encoding="utf-8")


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
    """Where this process writes what is to become ``path``."""
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{_SUFFIX}")


def as_json(value: Any) -> str:
    """JSON as tvr writes it everywhere: indented, and readable in every language.

    What of a path is not UTF-8 stands there escaped, and comes back as it was.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def flush_to_disk(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
