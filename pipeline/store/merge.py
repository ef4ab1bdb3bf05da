"""What a shard holds already: a new attempt may fail to get it (a disk is gone for an hour, a child is killed), or is
made for a few of its videos alone."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...data.contracts.errors import StoreError, pasteable
from .patches import PatchLayout, SpooledPatches, StoredPatches
from .receipts import load_receipt
from .shard_reader import ShardReader
from .shards import NO_VIDEO, VideoRow
from .verification import damage_of


def merge_with_stored(
    shard: Path,
    rows: Sequence[VideoRow],
    patches: PatchLayout | None = None,
    taken_over: Collection[str] = (),
    replaced: Collection[str] = (),
) -> list[VideoRow]:
    """The rows of a shard that is done again, with the stored row for each video that now failed but once had frames.

    A shard that is damaged, or not there, has nothing to give.

    Args:
        shard: its path.
        rows: of the new attempt, one for each video.
        patches: how patches are stored, or None for a shard without.
        taken_over: ids of videos that were not attempted: their rows are the stored ones, whatever they are.
        replaced: ids of videos whose stored rows were made of other files: nothing of these is kept.

    Raises:
        StoreError: rows are to be taken over, and the shard is damaged or does not have them.
    """
    # A file that was read and holds no video has nothing to keep: earlier versions took a cover picture for one.
    lost = {row.id for row in rows if row.status == "failed" and not row.reason.startswith(NO_VIDEO)}
    lost = lost.difference(replaced)
    if not lost.union(taken_over):
        return list(rows)
    if damage := damage_of(shard):
        if taken_over:
            raise _cannot_take_over(shard, damage)
        return list(rows)
    stored = {row.id: row for row in stored_rows(shard, patches)}
    if absent := set(taken_over).difference(stored):
        raise _cannot_take_over(shard, f"has no video {min(absent)!r}")
    kept = {i for i in lost if i in stored and len(stored[i].frames)}.union(taken_over)
    return [stored[row.id] if row.id in kept else row for row in rows]


def _cannot_take_over(shard: Path, problem: str) -> StoreError:
    return StoreError(
        f"{shard} {problem}, so the rows of its other videos cannot be taken over. "
        f"`tvr verify --store {pasteable(shard.parent)} --repair` mends it"
    )


def stored_rows(path: Path, layout: PatchLayout | None) -> list[VideoRow]:
    """The rows of a shard, mapped.

    Raises:
        StoreError: it is damaged.
    """
    receipt = load_receipt(path)
    shard = ShardReader(path, receipt=receipt)
    offsets = shard.array("offsets")
    cuts = offsets[1:-1]
    per_frame = [np.split(shard.array(name), cuts) for name in ("frames", "frame_seconds", "frame_index")]
    texts = [shard.strings(name) for name in ("status", "reason", "decoder")]
    patches: Sequence[SpooledPatches | None] = [None] * len(shard.ids)
    if layout is not None:
        source = StoredPatches({name: shard.array(name) for name in layout.record.names or ()}, layout)
        patches = [SpooledPatches([(source, first, last)]) for first, last in pairwise(offsets.tolist())]
    columns = zip(shard.ids, *per_frame, *texts, patches, strict=True)
    return [
        VideoRow(
            *values,
            reading_rules=receipt.rules_of(values[0]),
            taken_over=True,
            file=receipt.file_of(values[0]),
            span=receipt.span_of(values[0]),
        )
        for values in columns
    ]
