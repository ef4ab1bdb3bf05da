"""What tells one item of a gallery from others, wherever it stands: the digest of what a head is given of it."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

from ...base import VideoFeatures

SIZE = 16
"""Bytes of a digest."""

ItemDigests = UInt8[np.ndarray, "_ 16"]
"""A row an item."""


def digests_of(videos: VideoFeatures) -> ItemDigests:
    """blake2b of the frames of each item as a head is given them, and of which of them are there."""
    frames, masks = videos.frames.cpu().contiguous().numpy(), videos.mask.cpu().contiguous().numpy()
    rows: list[bytes] = []
    for own, mask in zip(frames, masks, strict=True):
        digest = hashlib.blake2b(own.data, digest_size=SIZE)
        digest.update(mask.data)
        rows.append(digest.digest())
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, SIZE)


def places_by_digest(digests: ItemDigests) -> dict[bytes, int]:
    """Where each item stands; of equal ones the last."""
    return {bytes(row): place for place, row in enumerate(digests)}


@dataclass(frozen=True, slots=True)
class Growth:
    """What a gallery has of the one of before."""

    kept: int
    new: int
    gone: int

    @classmethod
    def between(cls, before: ItemDigests, now: ItemDigests) -> "Growth":
        """Counted by their digests."""
        places = moved(before, now)
        kept = int((places >= 0).sum())
        return cls(kept, len(now) - kept, len(before) - kept)

    def __str__(self) -> str:
        return f"{self.new:,} new, {self.kept:,} as before, {self.gone:,} gone"


def moved(before: ItemDigests, now: ItemDigests) -> Int[np.ndarray, " _"]:
    """Where the items of before stand now, each somewhere else; -1 where one is gone."""
    standing: defaultdict[bytes, list[int]] = defaultdict(list)
    for place in range(len(now) - 1, -1, -1):
        standing[bytes(now[place])].append(place)
    found = (standing.get(bytes(row)) for row in before)
    return np.array([places.pop() if places else -1 for places in found], np.int64)
