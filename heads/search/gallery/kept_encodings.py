"""What a head makes of every item of a gallery, kept in half precision: made once, then mapped by every search.

Encoding the candidates of a query anew takes a head with a transformer over the frames twenty times as long as
comparing them. The folder holds one array a name of what the head encodes, written block by block; its record says
what they are of, how many items are done and the digest of each block, so that what was stopped goes on.
"""

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad

from ....data.contracts.errors import StoreError
from ....data.contracts.records import restored
from ....pipeline.machine import usable_cores
from ....pipeline.store.checksummed_json import read_checksummed, write_checksummed
from ....pipeline.store.file_locks import FileLock
from ...base import Encoded, Head, VideoFeatures
from ...features.feature_set import FeatureSet
from ...features.from_store import CONTENT_DIGEST
from .coarse import digest_of
from .encoded_items import EncodedItems, EncodedNow

ENCODINGS_FOLDER = "encodings"
"""Of a run: what ``tvr index`` and ``tvr serve`` made."""
RECORD, LOCK = "encodings.json", "encodings.lock"
BLOCK = 1024
"""Items that are written, and told apart by a digest, at once."""

Mode = Literal["c", "r+"]
"""For reading (torch shares no memory that numpy may not write, so a private copy of what is written), or writing."""

OnKept = Callable[[int, int], None]
"""Told how many items are kept, and how many there are."""


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


@dataclass(frozen=True, slots=True)
class KeptArray:
    """One file of numbers."""

    kind: Literal["float16", "float32", "float64", "bool", "uint8", "int32", "int64"]
    shape: tuple[int, ...]
    """The first axis is the item."""


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


@dataclass(frozen=True, eq=False)
class KeptEncodings:
    """Maps what was encoded."""

    head: Head
    features: FeatureSet
    _arrays: dict[str, np.memmap]
    """Each with a row an item."""
    blocks: tuple[str, ...]
    """sha256 of the bytes of each ``BLOCK`` of items."""

    @property
    def num_bytes(self) -> int:
        """On disk."""
        return sum(array.nbytes for array in self._arrays.values())

    def of(self, items: Int[Tensor, " item"]) -> Encoded:
        """See ``EncodedItems``."""
        found = {name: torch.from_numpy(array).index_select(0, items) for name, array in self._arrays.items()}
        return {name: rows.float() if rows.is_floating_point() else rows for name, rows in found.items()}

    def cut(self, begin: int, end: int) -> Encoded:
        """Of the items between two places, as they are kept: nothing is copied."""
        return {name: torch.from_numpy(array[begin:end]) for name, array in self._arrays.items()}

    def digest(self, begin: int, end: int) -> str:
        """sha256 of the bytes of the items between two places."""
        return _digest(self._arrays, slice(begin, end))

    @classmethod
    def opened(cls, folder: Path, head: Head, features: FeatureSet) -> "KeptEncodings":
        """What ``kept_encodings`` wrote, of which every byte is looked at.

        Raises:
            StoreError: they are not there, not whole, not all there, or of another head or store.
        """
        record = _record(folder)
        if record is None or record.made_of != EncodingsOf.these(head, features):
            raise StoreError(f"{folder} holds no encodings of this head and these features")
        if record.done < record.made_of.items:
            raise StoreError(f"{folder} holds {record.done:,} of {record.made_of.items:,} encodings")
        arrays = _checked(folder, record, "c")
        if not arrays:
            raise StoreError(f"{folder} holds other encodings than were written there")
        return cls(head, features, arrays, tuple(record.blocks))


@torch.no_grad()
def encodings_bytes(head: Head, features: FeatureSet) -> int:
    """How large the encodings of every item are, without making them."""
    one = head.eval().encode_video(
        _padded(features.video_batch(torch.tensor([0]), head.shape.num_frames), _longest(head, features))
    )
    return features.num_videos * sum(rows.nbytes for rows in _halved(one).values())


def kept_or_anew(head: Head, features: FeatureSet, folder: Path) -> EncodedItems:
    """The kept encodings of a folder where it has those of this head and these items, else such as are made anew."""
    try:
        return KeptEncodings.opened(folder, head, features)
    except StoreError:
        return EncodedNow(head, features)


@torch.no_grad()
def kept_encodings(
    head: Head, features: FeatureSet, folder: Path, report: OnKept = lambda done, total: None
) -> KeptEncodings:
    """Encode every item and keep it, or go on where it was stopped, or take what is there.

    Args:
        head: that encodes.
        features: the items.
        folder: for them.
        report: told of the progress.

    Raises:
        StoreError: the folder cannot be written, another process writes there now, or half precision cannot hold what
            the head encodes.
    """
    try:
        if folder.is_symlink():
            raise StoreError(f"{folder} is a link, and nothing is written where it leads. Remove it")
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK) as lock:
            if not lock.acquire():
                raise StoreError(
                    f"another process writes the encodings in {folder} now. Wait until it has ended"
                )
            return _kept(head.eval(), features, folder, report)
    except OSError as error:
        raise StoreError(
            f"encodings cannot be kept in {folder}: {error}. Make room, or allow writing"
        ) from error


def _kept(head: Head, features: FeatureSet, folder: Path, report: OnKept) -> KeptEncodings:
    made_of = EncodingsOf.these(head, features)
    record, arrays = _begun(folder, made_of)
    padded = _longest(head, features)
    for begin in range(record.done, made_of.items, BLOCK):
        items = torch.arange(begin, min(begin + BLOCK, made_of.items))
        rows = _halved(head.encode_video(_padded(features.video_batch(items, head.shape.num_frames), padded)))
        if not record.arrays:
            described = {name: _described(one, made_of.items) for name, one in rows.items()}
            record = dataclasses.replace(record, arrays=described)
            _allocate(folder, record)
            arrays = _mapped(folder, record, "r+")
        for name, one in rows.items():
            arrays[name][begin : begin + len(items)] = one
        digest = _digest(arrays, slice(begin, begin + len(items)))
        record = dataclasses.replace(record, done=begin + len(items), blocks=[*record.blocks, digest])
        _flush(folder, record, arrays)
        report(record.done, made_of.items)
    return KeptEncodings(head, features, arrays, tuple(record.blocks))


def _begun(folder: Path, made_of: EncodingsOf) -> tuple[EncodingsRecord, dict[str, np.memmap]]:
    """What is there already of these encodings; nothing where it is not what was written."""
    record = _record(folder)
    if record is not None and record.made_of == made_of:
        arrays = _checked(folder, record, "r+")
        if arrays:
            return record, arrays
    return EncodingsRecord(made_of, 0, {}, []), {}


def _record(folder: Path) -> EncodingsRecord | None:
    """None where there is none that can be read."""
    try:
        return restored(EncodingsRecord, read_checksummed(folder / RECORD))
    except (OSError, ValueError):
        return None


def _described(rows: np.ndarray, items: int) -> KeptArray:
    kind = str(rows.dtype)
    assert kind in get_args(get_type_hints(KeptArray)["kind"]), kind
    return KeptArray(kind, (items, *rows.shape[1:]))  # pyright: ignore[reportArgumentType]  # as was just seen


def _allocate(folder: Path, record: EncodingsRecord) -> None:
    """Take all the room at once: a mapped file that finds the disk full kills its process."""
    for name, one in record.arrays.items():
        path = _file(folder, name)
        path.unlink(missing_ok=True)  # who put a link there shall not have written where it leads
        with path.open("xb") as file:
            size = max(1, math.prod(one.shape) * np.dtype(one.kind).itemsize)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)


def _mapped(folder: Path, record: EncodingsRecord, mode: Mode) -> dict[str, np.memmap]:
    """The arrays of a record; none where a file is not there, or not as large as it should be."""
    try:
        return {
            name: np.memmap(_plain_file(folder, name), np.dtype(one.kind), mode, shape=one.shape)
            for name, one in record.arrays.items()
        }
    except (OSError, ValueError):
        return {}


def _checked(folder: Path, record: EncodingsRecord, mode: Mode) -> dict[str, np.memmap]:
    """The arrays of a record; none where their bytes are not those that were written."""
    arrays = _mapped(folder, record, mode)
    return arrays if _digests(arrays, record.done) == record.blocks else {}


def _file(folder: Path, name: str) -> Path:
    if not name.isidentifier():
        raise ValueError(f"{name!r} names no encoding")
    return folder / f"{name}.array"


def _plain_file(folder: Path, name: str) -> Path:
    path = _file(folder, name)
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{path} is no file")
    return path


def _flush(folder: Path, record: EncodingsRecord, arrays: dict[str, np.memmap]) -> None:
    """The rows before the record that names them."""
    for array in arrays.values():
        array.flush()
    write_checksummed(folder / RECORD, dataclasses.asdict(record))


def _digests(arrays: dict[str, np.memmap], done: int) -> list[str]:
    """Of every block, several at a time: hashing takes longer than reading."""
    blocks = [slice(begin, min(begin + BLOCK, done)) for begin in range(0, done, BLOCK)]
    with ThreadPoolExecutor(len(usable_cores()) or 1) as pool:
        return list(pool.map(partial(_digest, arrays), blocks))


def _digest(arrays: dict[str, np.memmap], rows: slice) -> str:
    digest = hashlib.sha256()
    for _, array in sorted(arrays.items()):
        digest.update(np.ascontiguousarray(array[rows]).view(np.uint8).data)
    return digest.hexdigest()


def _longest(head: Head, features: FeatureSet) -> int:
    """Frames of an item, of the longest."""
    return min(head.shape.num_frames, int(features.frames.lengths.max()))


def _padded(videos: VideoFeatures, length: int) -> VideoFeatures:
    """As long as every other batch, so that all rows of the gallery have one shape."""
    missing = length - videos.mask.shape[1]
    return VideoFeatures(pad(videos.frames, (0, 0, 0, missing)), pad(videos.mask, (0, missing)))


def _halved(encoded: Encoded) -> dict[str, np.ndarray]:
    """Numbers in half precision, all else as it is.

    Raises:
        StoreError: a number is too large for it.
    """
    found: dict[str, np.ndarray] = {}
    for name, rows in encoded.items():
        floats = rows.is_floating_point()
        if floats and float(rows.abs().max()) > torch.finfo(torch.float16).max:
            raise StoreError(f"{name!r} of this head is too large for half precision, so it is not kept")
        found[name] = (rows.half() if floats else rows).cpu().numpy()
    return found
