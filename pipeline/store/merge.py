"""What a shard holds already and a new attempt failed to get: a disk may be gone for an hour, a child may be killed."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .patches import PatchLayout, SpooledPatches, StoredPatches
from .shard_reader import ShardReader
from .shards import VideoRow
from .verification import damage_of


def merge_with_stored(
    shard: Path, rows: Sequence[VideoRow], patches: PatchLayout | None = None
) -> list[VideoRow]:
    """The rows of a shard that is done again, with the stored row for each video that now failed but once had frames.

    A shard that is damaged, or not there, has nothing to give.
    """
    lost = {row.id for row in rows if row.status == "failed"}
    if not lost or damage_of(shard):
        return list(rows)
    stored = {
        row.id: row for row in _stored_rows(ShardReader(shard), patches) if row.id in lost and len(row.frames)
    }
    return [stored.get(row.id, row) for row in rows]


def _stored_rows(shard: ShardReader, layout: PatchLayout | None) -> list[VideoRow]:
    offsets = shard.array("offsets")
    cuts = offsets[1:-1]
    per_frame = [np.split(shard.array(name), cuts) for name in ("frames", "frame_seconds", "frame_index")]
    texts = [shard.strings(name) for name in ("status", "reason", "decoder")]
    patches: Sequence[SpooledPatches | None] = [None] * len(shard.ids)
    if layout is not None:
        source = StoredPatches({name: shard.array(name) for name in layout.record.names or ()}, layout)
        patches = [SpooledPatches([(source, first, last)]) for first, last in pairwise(offsets.tolist())]
    return [VideoRow(*values) for values in zip(shard.ids, *per_frame, *texts, patches, strict=True)]
