"""Files that are either absent or whole: written beside their place, flushed to the disk, renamed into it."""

import hashlib
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SUFFIX = ".tmp"


@contextmanager
def written_whole(path: Path) -> Generator[Path, None, None]:
    """A path beside ``path`` to write to; on a clean exit it is fsynced and takes the place of ``path``.

    On an exception the half-written file is removed and ``path`` stays as it was.
    """
    beside = _beside(path)
    try:
        yield beside
        _flush(beside)
        beside.replace(path)
        _flush(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that the file is never half there."""
    with written_whole(path) as beside:
        beside.write_text(_as_json(value), encoding="utf-8")


def write_json_once(path: Path, value: Any) -> None:
    """Write JSON unless ``path`` is there already; of several processes that try at once, one succeeds."""
    beside = _beside(path)
    try:
        beside.write_text(_as_json(value), encoding="utf-8")
        _flush(beside)
        os.link(beside, path)  # unlike a rename, it fails where there is a file
    except FileExistsError:
        return
    except OSError:
        if not beside.exists() or path.exists():
            raise
        beside.replace(path)  # a file system without hard links
    finally:
        beside.unlink(missing_ok=True)


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


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{_SUFFIX}")


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _flush(path: Path) -> None:
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
    return True
