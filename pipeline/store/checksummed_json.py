"""JSON records that carry their own checksum, so that any later change is noticed."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic_files import as_json, atomic_write, flush_to_disk, temporary_path

_CHECKSUM_KEY = "seal"
"""The word on the disk, where stores have it: it is part of the format."""

_MAX_RECORD_BYTES = 256 << 20
"""The receipt of a shard of a million missing videos is a tenth of that."""


def create_checksummed(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum unless ``path`` is there; of processes that try at once, one succeeds."""
    beside = temporary_path(path)
    try:
        beside.write_text(_with_checksum(record), encoding="utf-8")
        flush_to_disk(beside)
        os.link(beside, path)  # unlike a rename, it fails where there is a file
    except FileExistsError:
        return
    except OSError:
        if not beside.exists() or path.exists():
            raise
        beside.replace(path)  # a file system without hard links
    finally:
        beside.unlink(missing_ok=True)


def write_checksummed(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object whose last value is the sha256 of the others, so that any later change is noticed."""
    with atomic_write(path) as beside:
        beside.write_text(_with_checksum(record), encoding="utf-8")


def read_checksummed(path: Path) -> dict[str, Any]:
    """What ``write_checksummed`` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not what was written; the message says so.
    """
    with path.open("rb") as file:
        data = file.read(_MAX_RECORD_BYTES + 1)
    if len(data) > _MAX_RECORD_BYTES:
        raise ValueError(f"more than {_MAX_RECORD_BYTES >> 20} MiB long")
    try:
        record = json.loads(data)
        checksum = record.pop(_CHECKSUM_KEY)
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a JSON object with its checksum: {error or type(error).__name__}") from None
    if _with_checksum(record).encode() != data:
        raise ValueError(f"changed after it was written: the checksum {str(checksum)[:12]!r} does not fit")
    return record


def _with_checksum(record: Mapping[str, Any]) -> str:
    checksum = hashlib.sha256(as_json(record).encode()).hexdigest()
    return as_json({**record, _CHECKSUM_KEY: checksum})
