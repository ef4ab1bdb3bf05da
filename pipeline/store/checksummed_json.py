"""JSON records that carry their own checksum, so that any later change is noticed."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...data.contracts.strict_json import json_of, read_bytes
from .atomic_files import as_json, atomic_write, flush_to_disk, temporary_path

_CHECKSUM_KEY = "seal"
"""The word on the disk, where stores have it: it is part of the format."""
_BEFORE_CHECKSUM, _END = f',\n  "{_CHECKSUM_KEY}": "'.encode(), b"\n}\n"
"""Of the text: what stands before the checksum, and at the end."""


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
    data = read_bytes(path)
    try:
        record = json_of(data)
    except ValueError as error:
        raise ValueError(f"not a JSON object with its checksum: {error}") from None
    if not isinstance(record, dict) or _CHECKSUM_KEY not in record:
        raise ValueError("not a JSON object with its checksum")
    checksum = record.pop(_CHECKSUM_KEY)
    if not _is_sealed(data) and _with_checksum(record).encode() != data:
        raise ValueError(f"changed after it was written: the checksum {str(checksum)[:12]!r} does not fit")
    return record


def _is_sealed(data: bytes) -> bool:
    """Whether the text ends with the checksum of all before it, as it is written where there is anything before it:
    to write a record anew, only to compare, takes ten times as long as to read it."""
    before, comma, seal = data.rpartition(_BEFORE_CHECKSUM)
    return bool(comma) and seal == hashlib.sha256(before + _END).hexdigest().encode() + b'"' + _END


def _with_checksum(record: Mapping[str, Any]) -> str:
    checksum = hashlib.sha256(as_json(record).encode()).hexdigest()
    return as_json({**record, _CHECKSUM_KEY: checksum})
