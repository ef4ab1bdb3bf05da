"""Features of others become a store: look at what is there -> manifest -> shard after shard -> digests.

A shard is the unit, as in an extraction: what is whole is not read again, and the same command goes on.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...data.base import Caption
from ...data.contracts.errors import DataError, UsageError, counted, cut_short
from ...data.contracts.plug_ins import load_plug_in
from ..encode_texts import sentences_of, text_rows
from ..encoders.base import Encoder
from ..options import EncoderSpec
from ..plan import TextShardPlan
from ..store.claim import Claim, claimed_store
from ..store.generations.record import shard_name
from ..store.manifest import Manifest
from ..store.reader import FeatureStore
from ..store.receipts import read_receipt, receipt_time_of
from ..store.shard_locks import ShardLocks
from ..store.shards import TextRow, VideoRow, write_text_shard, write_video_shard
from .content import Content, content_of
from .imported import Described, ImportRequest, described_import, manifest_of_import
from .layouts.base import FeatureSource, ReadPlace
from .sidecar import Sidecar, load_sidecar

LAYOUTS = "tvr.pipeline.exchange.layouts"

OnItems = Callable[[str, int, int], None]
"""Told a stage (``videos``, ``captions``, ``digests``), how many are done, and how many there are to be."""


@dataclass(frozen=True)
class Planned:
    """What an import reads and makes."""

    request: ImportRequest
    source: FeatureSource
    sidecar: Sidecar | None
    manifest: Manifest
    split_ids: Mapping[str, Sequence[str]]
    encoder: Encoder | None
    """That makes the features of captions; None: they are there, or there are no captions."""

    @property
    def described(self) -> Described:
        """What is known of it, for a person."""
        return described_import(self.manifest)


@dataclass
class ImportSummary:
    """What an import came to."""

    folder: Path
    videos: int = 0
    texts: int = 0
    shards_done: int = 0
    shards_skipped: int = 0
    shards_left: int = 0
    """That another process is at."""
    rounding: float = 0.0
    """The largest relative distance of a float32 row from the float16 one that is kept of it, of what this run read."""
    content: Content | None = None
    """Digests of all that the store holds; None while it is not whole."""
    differs: tuple[str, ...] = ()
    """Of features that tvr exported, what is not as it was in the store they came from."""


def plan_import(request: ImportRequest, load: Callable[[EncoderSpec], Encoder] = EncoderSpec.load) -> Planned:
    """Look at what is to be read; nothing is written.

    Args:
        request: what it is.
        load: of an encoder, where captions have no features and one is named.

    Raises:
        UsageError: something has to be said that the files do not say; the message names the option.
        DataError: the files are laid out otherwise, damaged, or hold an id twice.
        WeightsError: the encoder's weights are missing.
    """
    if not request.path.exists():
        raise DataError(f"{request.path}: there is no such file or folder")
    sidecar = load_sidecar(request.path) if request.path.is_dir() else None
    _refuse_other_export(request, sidecar)
    plug_in = load_plug_in(LAYOUTS, request.layout.replace("-", "_"))
    source: FeatureSource = plug_in.open_source(ReadPlace(request.path, request.read, sidecar))
    _check_ids("video", source.video_ids, request.path)
    _check_ids("caption", source.caption_ids, request.path)
    encoder = _encoder_of_texts(request, source, load)
    if encoder is not None and encoder.identity.dim != source.dim:
        raise UsageError(
            f"{encoder.identity.model} {encoder.identity.pretrained} makes features {encoder.identity.dim} wide, those "
            f"of {request.path} are {source.dim}: it did not make them. Name the one that did"
        )
    manifest, split_ids = manifest_of_import(request, source, sidecar, encoder)
    return Planned(request, source, sidecar, manifest, split_ids, encoder)


def import_store(
    planned: Planned, folder: Path, on_items: OnItems = lambda stage, done, total: None
) -> ImportSummary:
    """Write the store, or what of it is not there yet.

    Args:
        planned: what ``plan_import`` found.
        folder: of the store.
        on_items: called often.

    Raises:
        DataError: a file is damaged; the message names it. Every shard before it stays.
        StoreError: the folder holds another store, or cannot be written.
    """
    summary = ImportSummary(folder)
    with claimed_store(folder, planned.manifest, planned.split_ids) as manifest, ShardLocks(folder) as locks:
        work = _Work(planned, Claim(folder, manifest), locks, summary, on_items)
        work.write_all(
            "video", len(planned.source.video_ids), planned.request.videos_per_shard, work.write_videos
        )
        work.write_all("text", manifest.num_texts, planned.request.texts_per_shard, work.write_texts)
    store = FeatureStore.open(folder, complete=False)
    summary.videos, summary.texts = manifest.num_videos, manifest.num_texts
    summary.shards_left = len(store.absent_shards())
    if not summary.shards_left:
        summary.content = content_of(store, lambda done, total: on_items("digests", done, total))
        summary.differs = _differing(summary.content, planned)
    return summary


@dataclass
class _Work:
    """The shards of an import."""

    planned: Planned
    claim: Claim
    locks: ShardLocks
    summary: ImportSummary
    on_items: OnItems

    def write_all(self, kind: str, items: int, size: int, write: Callable[[Path, range], None]) -> None:
        """Write every shard of a kind that is not there, and that nobody else writes."""
        count, stage = -(-items // size), "videos" if kind == "video" else "captions"
        for number in range(count):
            name, cut = shard_name(kind, number, count), range(number * size, min(items, (number + 1) * size))
            path = self.claim.folder / name
            if read_receipt(path) is not None:
                self.summary.shards_skipped += 1
            elif self.locks.acquire(name, receipt_time_of(path)):
                write(path, cut)
                self.locks.release(name)
                self.summary.shards_done += 1
            self.on_items(stage, cut.stop, items)

    def write_videos(self, path: Path, cut: range) -> None:
        rows = [self._as_it_fared(self.planned.source.video(place)) for place in cut]
        dim = self.claim.manifest.dim
        for row in rows:
            if row.frames.shape[1] != dim:
                raise DataError(f"video {row.id!r} has features {row.frames.shape[1]} wide, the others {dim}")
            self._note_rounding(row.frames)
        if self._is_exact:
            rows = [replace(row, taken_over=True) for row in rows]
        write_video_shard(path, rows, dim, {}, None, self.claim)

    def write_texts(self, path: Path, cut: range) -> None:
        dim, encoder = self.claim.manifest.dim, self.planned.encoder
        if encoder is None:
            rows = [self.planned.source.text(place) for place in cut]
            for row in rows:
                self._note_rounding(row.words)
        else:
            rows = self._encoded(encoder, [self.planned.source.caption(place) for place in cut])
        if self._is_exact:
            rows = [replace(row, exact=True) for row in rows]
        write_text_shard(path, rows, dim, {}, self.claim)

    def _encoded(self, encoder: Encoder, captions: Sequence[Caption]) -> list[TextRow]:
        paragraphs = self.claim.manifest.protocol == "paragraph"
        if paragraphs:
            captions = [replace(one, sentences=sentences_of(one) or (one.text,)) for one in captions]
        shard = TextShardPlan("texts", tuple(captions))
        rows, _ = text_rows(shard, encoder, lambda done: None, policy="truncate", paragraphs=paragraphs)
        return rows

    def _as_it_fared(self, row: VideoRow) -> VideoRow:
        fared = self._fared.get(row.id)
        if fared is not None:
            status, reason, decoder = fared
            return replace(row, status=status, reason=reason, decoder=decoder)
        is_known = self.planned.sidecar is not None and len(row.frames) and not row.decoder
        return replace(row, decoder=self.claim.manifest.decoder) if is_known else row

    def __post_init__(self) -> None:
        known = self.planned.sidecar.fared if self.planned.sidecar else ()
        self._fared = {video: (status, reason, decoder) for video, status, reason, decoder in known}
        self._is_exact = (self.claim.manifest.imported or {}).get("dtype") == "float32"

    def _note_rounding(self, rows: np.ndarray) -> None:
        if self._is_exact or rows.dtype == np.float16 or not rows.size:
            return
        with np.errstate(over="ignore"):
            kept = rows.astype(np.float16).astype(np.float32)
        if np.isfinite(kept).all():  # otherwise the shard stays float32
            norm = np.maximum(np.linalg.norm(rows, axis=1), 1e-12)
            apart = float((np.linalg.norm(kept - rows, axis=1) / norm).max())
            self.summary.rounding = max(self.summary.rounding, apart)


def _refuse_other_export(request: ImportRequest, sidecar: Sidecar | None) -> None:
    if sidecar is None:
        return
    if sidecar.layout != request.layout:
        raise UsageError(
            f"{request.path} was written as {sidecar.layout}, not as {request.layout}: "
            f"tvr import-features {sidecar.layout} ..."
        )
    if not sidecar.ended:
        raise DataError(
            f"{request.path} is an export that has not ended. Run the `tvr export` that began it again: it goes on"
        )


def _check_ids(kind: str, ids: Sequence[str], path: Path) -> None:
    """See that there are items, and each has an id of its own.

    Raises:
        DataError: that is not so.
    """
    if kind == "video" and not ids:
        raise DataError(f"{path}: holds no video")
    if len(set(ids)) < len(ids):
        seen = set[str]()
        twice = [one for one in ids if one in seen or seen.add(one)]
        named = cut_short([repr(one) for one in twice])
        raise DataError(
            f"{path}: {counted(len(twice), f'duplicate {kind} id')}: {named}. Give every {kind} an id of its own"
        )
    if any(not one or "\0" in one for one in ids):
        raise DataError(f"{path}: a {kind} has an empty id, or one with a NUL in it")


def _encoder_of_texts(
    request: ImportRequest, source: FeatureSource, load: Callable[[EncoderSpec], Encoder]
) -> Encoder | None:
    """The encoder that makes the features of captions; None where they have some, or there is no caption.

    Raises:
        UsageError: one is needed and none is named.
    """
    if source.text_features != "none" or not len(source.caption_ids):
        return None
    if request.encoder is None:
        why = f"{source.why_no_text_features}. Or name" if source.why_no_text_features else "Name"
        raise UsageError(
            f"{request.path}: {counted(len(source.caption_ids), 'caption')} without features that frames can be "
            f"compared with. {why} the encoder that made the frames, which then reads the captions: --model ViT-B-32 "
            "--pretrained openai, or leave captions out: --no-captions"
        )
    return load(request.encoder)


def _differing(content: Content, planned: Planned) -> tuple[str, ...]:
    """What is not as it was in the store that the files were exported from, as far as the layout could hold it."""
    if planned.sidecar is None or planned.sidecar.content is None:
        return ()
    before = planned.sidecar.content
    found = dataclasses.asdict(content)
    without = ("texts", "words") if planned.request.read.without_captions else ()
    kept = [name for name in planned.sidecar.kept if name not in without]
    return tuple(name for name in kept if found[name] != getattr(before, name))
