"""Files that are either absent or whole: written beside their place, flushed to the disk, renamed into it."""

import hashlib
import json
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..data.contracts.errors import StoreError

_SUFFIX = ".tmp"
_SEAL = "seal"
_LARGEST_RECORD_BYTES = 256 << 20
"""The receipt of a shard of a million missing videos is a tenth of that."""


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


def write_sealed_once(path: Path, record: Mapping[str, Any]) -> None:
    """Write a sealed object unless ``path`` is there already; of several processes that try at once, one succeeds."""
    beside = _beside(path)
    try:
        beside.write_text(_sealed(record), encoding="utf-8")
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


def write_sealed(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object whose last value is the sha256 of the others, so that any later change is noticed."""
    with written_whole(path) as beside:
        beside.write_text(_sealed(record), encoding="utf-8")


def read_sealed(path: Path) -> dict[str, Any]:
    """What ``write_sealed`` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not what was written; the message says so.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST_RECORD_BYTES + 1)
    if len(data) > _LARGEST_RECORD_BYTES:
        raise ValueError(f"more than {_LARGEST_RECORD_BYTES >> 20} MiB long")
    try:
        record = json.loads(data)
        seal = record.pop(_SEAL)
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a sealed JSON object: {error or type(error).__name__}") from None
    if _sealed(record).encode() != data:
        raise ValueError(f"changed after it was written: the seal {str(seal)[:12]!r} does not fit")
    return record


def _sealed(record: Mapping[str, Any]) -> str:
    seal = hashlib.sha256(_as_json(record).encode()).hexdigest()
    return _as_json({**record, _SEAL: seal})


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
def explained(folder: Path) -> Generator[None]:
    """Turn what the operating system says of a folder that cannot be written into a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror or error}. Every shard that is there is whole; make room or "
            "allow writing, or choose another disk with --store, and run the same command again"
        ) from error


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
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Whether all that is left of a process is the news of its death, which in a container may wait for ever."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False
