"""What a head makes of every item of a gallery, kept in half precision: made once, then mapped by every search.

Encoding the candidates of a query anew takes a head with a transformer over the frames twenty times as long as
comparing them. The folder holds one array a name of what the head encodes, written block by block; its record says
what they are of, how many items are done and the digest of each block, so that what was stopped goes on. Of a gallery
that has changed, only what is new is encoded: the rows of the rest are taken from the encodings of before, which stay
until the new ones are whole.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad

from ....data.contracts.errors import StoreError
from ....pipeline.store.file_locks import FileLock
from ...base import Encoded, Head, VideoFeatures
from ...features.feature_set import FeatureSet
from .encoded_items import EncodedItems, EncodedNow
from .encodings_folder import (
    BLOCK,
    ITEM,
    LOCK,
    NEXT,
    RECORD,
    Arrays,
    EncodingsOf,
    EncodingsRecord,
    KeptArray,
    allocate,
    block_digest,
    checked,
    mapped,
    read_record,
    remove_all_but,
    write,
)
from .item_digests import SIZE, Growth, ItemDigests, digests_of, places_by_digest

ENCODINGS_FOLDER = "encodings"
"""Of a run: what ``tvr index`` and ``tvr serve`` made."""

OnKept = Callable[[int, int], None]
"""Told how many items are kept, and how many there are."""


@dataclass(frozen=True, eq=False)
class KeptEncodings:
    """Maps what was encoded."""

    head: Head
    features: FeatureSet
    _arrays: Arrays
    """Of what the head encodes."""
    items: ItemDigests
    """What tells the items apart; empty where an earlier version kept them."""
    growth: Growth | None = None
    """What was taken from the encodings of before, where these were made now."""

    @property
    def num_bytes(self) -> int:
        """On disk."""
        return self.items.nbytes + sum(array.nbytes for array in self._arrays.values())

    def of(self, items: Int[Tensor, " item"]) -> Encoded:
        """See ``EncodedItems``."""
        found = {name: torch.from_numpy(array).index_select(0, items) for name, array in self._arrays.items()}
        return {name: rows.float() if rows.is_floating_point() else rows for name, rows in found.items()}

    def cut(self, begin: int, end: int) -> Encoded:
        """Of the items between two places, as they are kept: nothing is copied."""
        return {name: torch.from_numpy(array[begin:end]) for name, array in self._arrays.items()}

    @classmethod
    def opened(cls, folder: Path, head: Head, features: FeatureSet) -> "KeptEncodings":
        """What ``kept_encodings`` wrote, of which every byte is looked at.

        Raises:
            StoreError: they are not there, not whole, not all there, or of another head or store.
        """
        record = read_record(folder)
        if record is None or record.made_of != EncodingsOf.these(head, features):
            raise StoreError(f"{folder} holds no encodings of this head and these features")
        if record.done < record.made_of.items:
            raise StoreError(f"{folder} holds {record.done:,} of {record.made_of.items:,} encodings")
        arrays = checked(folder, record, "c")
        if not arrays:
            raise StoreError(f"{folder} holds other encodings than were written there")
        return cls(head, features, *_told_apart(arrays))


@torch.no_grad()
def encodings_bytes(head: Head, features: FeatureSet) -> int:
    """How large the encodings of every item are, without making them."""
    one = head.eval().encode_video(
        _padded(features.video_batch(torch.tensor([0]), head.shape.num_frames), _longest(head, features))
    )
    return features.num_videos * (SIZE + sum(rows.nbytes for rows in _halved(one).values()))


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
    begun = _begun(folder, made_of, _longest(head, features))
    record, arrays = begun.record, begun.arrays
    for begin in range(record.done, made_of.items, BLOCK):
        items = torch.arange(begin, min(begin + BLOCK, made_of.items))
        videos = _padded(features.video_batch(items, head.shape.num_frames), record.frames)
        rows = begun.before.rows_of(head, videos)
        if not record.arrays:
            described = {name: KeptArray.like(one, made_of.items) for name, one in rows.items()}
            record = dataclasses.replace(record, arrays=described)
            allocate(folder, record)
            arrays = mapped(folder, record, "r+")
        for name, one in rows.items():
            arrays[name][begin : begin + len(items)] = one
        digest = block_digest(arrays, slice(begin, begin + len(items)))
        record = dataclasses.replace(record, done=begin + len(items), blocks=[*record.blocks, digest])
        write(folder, begun.name, record, arrays)
        report(record.done, made_of.items)
    if begun.name == NEXT:
        write(folder, RECORD, record, arrays)
    remove_all_but(folder, record)
    encoded, items = _told_apart(arrays)
    is_grown = begun.name == NEXT
    return KeptEncodings(
        head, features, encoded, items, Growth.between(begun.before.items, items) if is_grown else None
    )


class _Before:
    """The encodings of a gallery as it was before."""

    def __init__(self, arrays: Arrays, done: int) -> None:
        self._arrays, items = _told_apart(arrays)
        self.items = items[:done]
        self._places = places_by_digest(self.items)

    def rows_of(self, head: Head, videos: VideoFeatures) -> dict[str, np.ndarray]:
        """What a head makes of some items, of which those that were there before are not encoded."""
        digests = digests_of(videos)
        places = np.array([self._places.get(bytes(row), -1) for row in digests])
        new = torch.from_numpy(np.flatnonzero(places < 0))
        if not len(new):
            return {name: array[places] for name, array in self._arrays.items()} | {ITEM: digests}
        some = VideoFeatures(videos.frames[new], videos.mask[new])
        rows: dict[str, np.ndarray] = {ITEM: digests}
        for name, encoded in _halved(head.encode_video(some)).items():
            rows[name] = np.empty((len(digests), *encoded.shape[1:]), encoded.dtype)
            rows[name][new.numpy()] = encoded
            if len(new) < len(digests):
                rows[name][places >= 0] = self._arrays[name][places[places >= 0]]
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """What is there already of the encodings that are wanted."""

    name: str
    """Of their record."""
    record: EncodingsRecord
    arrays: Arrays
    before: _Before


def _begun(folder: Path, made_of: EncodingsOf, frames: int) -> _Begun:
    """What is there already of encodings of items of so many frames, and of those of before; nothing where it is not
    what was written."""
    now = read_record(folder)
    anew = _Begun(RECORD, EncodingsRecord(made_of, 0, {}, [], frames), {}, _Before({}, 0))
    if now is None or not now.made_of.is_as(made_of) or ITEM not in now.arrays or now.frames < frames:
        return anew
    arrays = checked(folder, now, "r+" if now.made_of == made_of else "c")
    if not arrays:
        return anew
    if now.made_of == made_of:
        return dataclasses.replace(anew, record=now, arrays=arrays)
    # Where the longest item is gone, the rest stays as it was.
    record, before = EncodingsRecord(made_of, 0, {}, [], now.frames, 1 - now.part), _Before(arrays, now.done)
    grown = read_record(folder, NEXT)
    if grown is not None and dataclasses.replace(grown, done=0, arrays={}, blocks=[]) == record:
        arrays = checked(folder, grown, "r+")
        if arrays:
            return _Begun(NEXT, grown, arrays, before)
    return _Begun(NEXT, record, {}, before)


def _told_apart(arrays: Arrays) -> tuple[Arrays, ItemDigests]:
    """What the head encodes, and what tells the items apart."""
    items = np.asarray(arrays.get(ITEM, np.zeros((0, SIZE), np.uint8)))
    return {name: array for name, array in arrays.items() if name != ITEM}, items


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
