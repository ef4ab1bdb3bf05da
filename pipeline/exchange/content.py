"""What a store holds, as digests that are the same however its rows are cut into shards, and in whatever order."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..store.reader import FeatureStore

_BITS = 1 << 256


@dataclass(frozen=True, slots=True)
class Content:
    """Digests of the items of a store: of each sum over its items, so that no order and no million of them matters."""

    num_videos: int
    """With frames."""
    videos: str
    """Of ids, frames and their seconds, as float32."""
    num_texts: int
    texts: str
    """Of ids, videos and what they say."""
    words: str
    """Of ids and features: rows as float32, which of them is the pooled one, and those of sentences."""


def content_of(
    store: FeatureStore, on_shard: Callable[[int, int], None] = lambda done, total: None
) -> Content:
    """Read a whole store, a shard after another.

    Args:
        store: one that is complete.
        on_shard: called after each shard.

    Raises:
        StoreError: a shard is damaged.
    """
    sums = {"videos": 0, "texts": 0, "words": 0}
    counts = {"video": 0, "text": 0}
    total = len(store.shard_names("video")) + len(store.shard_names("text"))
    done = 0
    for shard, living in store.living("video"):
        offsets = list(pairwise(shard.array("offsets").tolist()))
        frames, seconds = shard.array("frames"), shard.array("frame_seconds")
        for row in living:
            start, stop = offsets[row]
            if start < stop:
                counts["video"] += 1
                sums["videos"] += _number(shard.ids[row], frames[start:stop], seconds[start:stop])
        on_shard(done := done + 1, total)
    for shard, living in store.living("text"):
        videos, texts = shard.strings("video_ids"), shard.strings("texts")
        words, pooled = shard.items("words", living), shard.array("sentence_row")
        parts = shard.items("sentences", living) if shard.has_sentences else [np.zeros((0, 0))] * len(living)
        for place, row in enumerate(living):
            counts["text"] += 1
            sums["texts"] += _number(f"{shard.ids[row]}\0{videos[row]}\0{texts[row]}")
            sums["words"] += _number(shard.ids[row], words[place], pooled[row : row + 1], parts[place])
        on_shard(done := done + 1, total)
    digests = {name: f"{number % _BITS:064x}" for name, number in sums.items()}
    return Content(num_videos=counts["video"], num_texts=counts["text"], **digests)


def _number(text: str, *arrays: NDArray[np.generic]) -> int:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(f"\0{array.shape}".encode())
        digest.update(np.ascontiguousarray(array, np.float32).data)
    return int.from_bytes(digest.digest())
