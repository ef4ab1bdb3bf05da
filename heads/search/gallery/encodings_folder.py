"""The folder of kept encodings: arrays of which each row is an item, and a record that says what they are of."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import numpy as np

from ....data.contracts.records import restored
from ....pipeline.machine import usable_cores
from ....pipeline.store.checksummed_json import read_checksummed, write_checksummed
from ...base import Head
from ...features.feature_set import FeatureSet
from ...features.from_store import CONTENT_DIGEST
from .coarse import digest_of

RECORD, NEXT, LOCK = "encodings.json", "next.json", "encodings.lock"
"""``NEXT`` is the record of those that are being made of what ``RECORD`` has and of what is new."""
BLOCK = 1024
"""Items that are written, and told apart by a digest, at once."""
ITEM = "item"
"""The array of what tells each item from others: the digest of what the head is given of it."""

Mode = Literal["c", "r+"]
"""For reading (torch shares no memory that numpy may not write, so a private copy of what is written), or writing."""

Arrays = dict[str, np.memmap]
"""Each with a row an item."""


@dataclass(frozen=True, slots=True)
class EncodingsOf:
    """Everything that decides encodings, and which items they are of."""

    head: str
    """Digest of its settings and weights."""
    store: str
    """Digest of all bytes of its shards."""
    split: str
    num_frames: int
    items: int

    @classmethod
    def these(cls, head: Head, features: FeatureSet) -> "EncodingsOf":
        """Of these items by this head."""
        origin = features.origin
        store = str(origin.store.get(CONTENT_DIGEST, ""))
        return cls(digest_of(head), store, origin.split, head.shape.num_frames, features.num_videos)

    def is_as(self, other: "EncodingsOf") -> bool:
        """Whether an item that both have is encoded alike."""
        return (self.head, self.num_frames) == (other.head, other.num_frames)


@dataclass(frozen=True, slots=True)
class KeptArray:
    """One file of numbers."""

    kind: Literal["float16", "float32", "float64", "bool", "uint8", "int32", "int64"]
    shape: tuple[int, ...]
    """The first axis is the item."""

    @classmethod
    def like(cls, rows: np.ndarray, items: int) -> "KeptArray":
        """For rows like these of so many items."""
        kind = str(rows.dtype)
        assert kind in get_args(get_type_hints(KeptArray)["kind"]), kind
        return cls(kind, (items, *rows.shape[1:]))  # pyright: ignore[reportArgumentType]  # as was just seen


@dataclass(frozen=True, slots=True)
class EncodingsRecord:
    """``encodings.json``."""

    made_of: EncodingsOf
    done: int
    """How many items are written, from the first on."""
    arrays: dict[str, KeptArray]
    """By the names of what the head encodes."""
    blocks: list[str]
    """sha256 of the bytes of each block, over all arrays."""
    frames: int = 0
    """Of each item, those that it lacks among them: all rows of an array have one shape."""
    part: int = 0
    """Which files these are, 0 or 1: those of before stay until these are whole."""


def read_record(folder: Path, name: str = RECORD) -> EncodingsRecord | None:
    """None where there is none that can be read."""
    try:
        return restored(EncodingsRecord, read_checksummed(folder / name))
    except (OSError, ValueError):
        return None


def allocate(folder: Path, record: EncodingsRecord) -> None:
    """Take all the room at once: a mapped file that finds the disk full kills its process."""
    for name, one in record.arrays.items():
        path = _file(folder, name, record.part)
        path.unlink(missing_ok=True)  # who put a link there shall not have written where it leads
        with path.open("xb") as file:
            size = max(1, math.prod(one.shape) * np.dtype(one.kind).itemsize)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)


def mapped(folder: Path, record: EncodingsRecord, mode: Mode) -> Arrays:
    """The arrays of a record; none where a file is not there, or not as large as it should be."""
    try:
        return {
            name: np.memmap(_plain_file(folder, name, record.part), np.dtype(one.kind), mode, shape=one.shape)
            for name, one in record.arrays.items()
        }
    except (OSError, ValueError):
        return {}


def checked(folder: Path, record: EncodingsRecord, mode: Mode) -> Arrays:
    """The arrays of a record; none where their bytes are not those that were written."""
    arrays = mapped(folder, record, mode)
    return arrays if _digests(arrays, record.done) == record.blocks else {}


def write(folder: Path, name: str, record: EncodingsRecord, arrays: Mapping[str, np.memmap]) -> None:
    """The rows before the record that names them."""
    for array in arrays.values():
        array.flush()
    write_checksummed(folder / name, dataclasses.asdict(record))


def remove_all_but(folder: Path, record: EncodingsRecord) -> None:
    """Remove what other encodings left behind."""
    (folder / NEXT).unlink(missing_ok=True)
    kept = {_file(folder, name, record.part) for name in record.arrays}
    for file in folder.glob("*.array"):
        if file not in kept:
            file.unlink(missing_ok=True)


def block_digest(arrays: Mapping[str, np.memmap], rows: slice) -> str:
    """sha256 of the bytes of some rows of all arrays."""
    digest = hashlib.sha256()
    for _, array in sorted(arrays.items()):
        digest.update(np.ascontiguousarray(array[rows]).view(np.uint8).data)
    return digest.hexdigest()


def _digests(arrays: Mapping[str, np.memmap], done: int) -> list[str]:
    """Of every block, several at a time: hashing takes longer than reading."""
    blocks = [slice(begin, min(begin + BLOCK, done)) for begin in range(0, done, BLOCK)]
    with ThreadPoolExecutor(len(usable_cores()) or 1) as pool:
        return list(pool.map(partial(block_digest, arrays), blocks))


def _file(folder: Path, name: str, part: int) -> Path:
    if not name.isidentifier():
        raise ValueError(f"{name!r} names no encoding")
    return folder / (f"{name}.array" if part == 0 else f"{name}.{part}.array")


def _plain_file(folder: Path, name: str, part: int) -> Path:
    path = _file(folder, name, part)
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{path} is no file")
    return path
