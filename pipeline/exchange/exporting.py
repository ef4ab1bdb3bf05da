"""A store as others read it: parts of shards -> files -> what lists them -> digests of what was written."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...data.base import Caption
from ...data.contracts.errors import StoreError, UsageError, pasteable
from ...data.contracts.plug_ins import load_plug_in
from ..store.atomic_files import os_errors_as_store_error
from ..store.file_locks import FileLock
from ..store.reader import FeatureStore
from ..store.shard_reader import ShardReader
from ..store.shards import TextRow, VideoRow
from .content import Content, content_of
from .files import is_empty_folder
from .importing import LAYOUTS, OnItems
from .layouts.base import TEXT, Held, RowsAre, Sink, Writing
from .sidecar import NAME, Sidecar, load_sidecar

ROWS_PER_PART = 1 << 16
"""Rows of features that are written before it is noted that they are there: some 100 MB."""
_LOCK = ".tvr-export.lock"

Living = tuple[ShardReader, Sequence[int]]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be written, and how."""

    layout: str
    path: Path
    rows: RowsAre | None = None
    """Of layouts with one vector a row, what that stands for; None: a frame."""
    packed: bool = False


@dataclass(frozen=True)
class ExportPlan:
    """What an export writes."""

    request: ExportRequest
    store: FeatureStore
    held: Held
    losses: Sequence[str]
    is_begun: bool
    """Whether it goes on with one that was interrupted."""


@dataclass
class ExportSummary:
    """What an export came to."""

    path: Path
    layout: str
    videos: int
    texts: int
    losses: Sequence[str]
    parts_written: int = 0
    parts_skipped: int = 0
    content: Content | None = None


def plan_export(request: ExportRequest, store: FeatureStore) -> ExportPlan:
    """Look at a store and at where it is to go; nothing is written.

    Raises:
        UsageError: there is something else, or another export.
    """
    plug_in = load_plug_in(LAYOUTS, request.layout.replace("-", "_"))
    held = _held(store)
    sidecar = load_sidecar(request.path) if request.path.is_dir() else None
    if sidecar is None and not is_empty_folder(request.path):
        raise UsageError(f"{request.path} is there and holds something else. Name a new folder")
    if sidecar is not None and not _is_of(sidecar, request, store):
        raise UsageError(
            f"{request.path} holds another export: of another store, of another state of it, or in another way. Name a "
            f"new folder, or delete that one: rm -r {pasteable(request.path)}"
        )
    losses = [*_usual_losses(held), *plug_in.losses(held, _writing(request, store))]
    return ExportPlan(request, store, held, losses, sidecar is not None)


def export_store(plan: ExportPlan, on_items: OnItems = lambda stage, done, total: None) -> ExportSummary:
    """Write a store, or what of it is not there yet.

    Args:
        plan: what ``plan_export`` found.
        on_items: called often.

    Raises:
        StoreError: a shard is damaged, the folder cannot be written, or another process writes it.
    """
    request, store = plan.request, plan.store
    writing = _writing(request, store)
    plug_in = load_plug_in(LAYOUTS, request.layout.replace("-", "_"))
    with os_errors_as_store_error(request.path):
        request.path.mkdir(parents=True, exist_ok=True)
    with FileLock(request.path / _LOCK) as lock:
        if not lock.acquire():
            raise StoreError(f"another process writes {request.path}. Wait until it has ended")
        sidecar = load_sidecar(request.path) or _sidecar(request, store)
        summary = ExportSummary(
            request.path, request.layout, store.manifest.num_videos, store.manifest.num_texts, plan.losses
        )
        if sidecar.ended:
            summary.content = sidecar.content
            return summary
        sink: Sink = plug_in.Sink(writing)
        work = _Work(store, sink, request.path, sidecar, summary, on_items)
        work.write_all("video", sink.write_videos, _video_rows)
        work.write_all("text", sink.write_texts, _text_rows)
        with os_errors_as_store_error(request.path):
            sink.finish()
            summary.content = content_of(store, lambda done, total: on_items("digests", done, total))
            _ended(sidecar, store, sink, summary, plug_in.kept(plan.held, writing)).save(request.path)
    return summary


@dataclass
class _Work:
    """The parts of an export."""

    store: FeatureStore
    sink: Sink
    path: Path
    sidecar: Sidecar
    summary: ExportSummary
    on_items: OnItems

    def write_all(
        self,
        kind: str,
        write: Callable[[int, Sequence[Any]], None],
        rows_of: Callable[[Living], Iterator[Any]],
    ) -> None:
        """Write every part of a kind that is not there yet, and note each once it is whole."""
        begun = self.sidecar.parts.get(kind, 0)
        total = self.store.manifest.num_videos if kind == "video" else self.store.manifest.num_texts
        done = 0
        for number, part in enumerate(_parts(self.store, kind)):
            done += sum(len(living) for _, living in part)
            if number < begun:
                self.summary.parts_skipped += 1
            else:
                write(number, [row for each in part for row in rows_of(each)])
                self.summary.parts_written += 1
                parts = {**self.sidecar.parts, kind: number + 1}
                self.sidecar = dataclasses.replace(self.sidecar, parts=parts)
                with os_errors_as_store_error(self.path):
                    self.sidecar.save(self.path)
            self.on_items("videos" if kind == "video" else "captions", done, total)


def _parts(store: FeatureStore, kind: str) -> Iterator[list[Living]]:
    """Consecutive shards with some ``ROWS_PER_PART`` rows."""
    part, rows = list[Living](), 0
    for shard, living in store.living(kind):
        part.append((shard, living))
        rows += int(shard.array("offsets")[-1])
        if rows >= ROWS_PER_PART:
            yield part
            part, rows = [], 0
    if part:
        yield part


def _video_rows(living: Living) -> Iterator[VideoRow]:
    shard, rows = living
    cuts = list(pairwise(shard.array("offsets").tolist()))
    frames, seconds, index = (shard.array(name) for name in ("frames", "frame_seconds", "frame_index"))
    status, reason, decoder = (shard.strings(name) for name in ("status", "reason", "decoder"))
    for row in rows:
        cut = slice(*cuts[row])
        yield VideoRow(
            shard.ids[row], frames[cut], seconds[cut], index[cut], status[row], reason[row], decoder[row]
        )


def _text_rows(living: Living) -> Iterator[TextRow]:
    shard, rows = living
    videos, texts = shard.strings("video_ids"), shard.strings("texts")
    words, tokens = shard.items("words", rows), shard.items("token_ids", rows)
    parts = shard.items("sentences", rows) if shard.has_sentences else [None] * len(rows)
    pooled, truncated = shard.array("sentence_row"), shard.array("truncated")
    for place, row in enumerate(rows):
        yield TextRow(
            shard.ids[row],
            videos[row],
            texts[row],
            words[place],
            tokens[place],
            int(pooled[row]),
            bool(truncated[row]),
            parts[place],
        )


def captions_of_store(store: FeatureStore) -> Iterator[Caption]:
    """What the captions of a store say, in stored order."""
    for shard, rows in store.living("text"):
        videos, texts = shard.strings("video_ids"), shard.strings("texts")
        for row in rows:
            yield Caption(shard.ids[row], videos[row], (texts[row],))


def _ended(
    sidecar: Sidecar, store: FeatureStore, sink: Sink, summary: ExportSummary, kept: Sequence[str]
) -> Sidecar:
    """The record of an export of which all is written."""
    usual = store.manifest.decoder
    statuses = store.statuses()
    fared = [
        [row.id, row.status, row.reason, row.decoder]
        for row in statuses
        if row.status != "ok" or row.decoder != usual
    ]
    names = {sink.name_of(row.id): row.id for row in statuses}
    names |= {f"{TEXT}{sink.name_of(one.id)}": one.id for one in captions_of_store(store)}
    return dataclasses.replace(
        sidecar,
        ended=True,
        parts={},
        splits={name: list(ids) for name, ids in store.splits.items()},
        fared=fared,
        names={name: item for name, item in names.items() if name.removeprefix(TEXT) != item},
        content=summary.content,
        kept=list(kept),
        losses=list(summary.losses),
    )


def _sidecar(request: ExportRequest, store: FeatureStore) -> Sidecar:
    return Sidecar(request.layout, _ways(request), store.digest, store.manifest.as_record())


def _ways(request: ExportRequest) -> dict[str, Any]:
    return {"rows": request.rows or "frame", "packed": request.packed}


def _is_of(sidecar: Sidecar, request: ExportRequest, store: FeatureStore) -> bool:
    wanted = (request.layout, _ways(request), store.digest)
    return (sidecar.layout, dict(sidecar.ways), sidecar.store_digest) == wanted


def _writing(request: ExportRequest, store: FeatureStore) -> Writing:
    return Writing(
        request.path,
        store.manifest,
        store.splits,
        request.rows or "frame",
        request.packed,
        frozenset(row.id for row in store.statuses() if not row.frames),
        lambda: captions_of_store(store),
    )


def _held(store: FeatureStore) -> Held:
    """What of a store layouts differ in: of what its receipts and boundaries say."""
    failed = frames = words = captions = 0
    counts = dict[str, int]()
    for shard, rows in store.living("video"):
        lengths = np.diff(shard.array("offsets"))[list(rows)]
        failed, frames = failed + int((lengths == 0).sum()), max(frames, int(lengths.max(initial=0)))
    for shard, rows in store.living("text"):
        words = max(words, int(np.diff(shard.array("offsets")).max(initial=0)))
        owners = shard.strings("video_ids")
        for row in rows:
            counts[owners[row]] = counts.get(owners[row], 0) + 1
    captions = max(counts.values(), default=0)
    return Held(
        failed,
        store.manifest.num_texts,
        words > 1,
        store.manifest.protocol == "paragraph",
        store.has_patches,
        captions,
        frames,
    )


def _usual_losses(held: Held) -> list[str]:
    """What only ``tvr.json``, which others pass over, or nothing at all keeps, whatever the layout."""
    lost = ["patches: no layout has a place for them"] if held.has_patches else []
    lost.append(f"what made the features, and the order of splits, stand in {NAME} alone")
    lost.append("which files the videos were (tvr inspect --changed): kept nowhere")
    return lost
