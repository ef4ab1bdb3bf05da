"""One shard: rows of videos or of texts in one HDF5 file, and the receipt that says it is whole.

Rows are concatenated without padding; ``offsets[i]:offsets[i + 1]`` are the rows of item ``i``.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Int, Int64
from numpy.typing import NDArray

from ...data.contracts.errors import StoreError, counted
from ...data.contracts.identity import FileIdentity, sha256_of
from .atomic_files import atomic_write, os_errors_as_store_error
from .claim import Claim
from .deferred_error_file import DeferredErrorFile
from .manifest import versions
from .patches import PatchLayout, SpooledPatches
from .receipts import FIRST_RULES, WHOLE_FILE, Receipt, receipt_path, write_receipt

MISSING = "file not found"
"""The reason of a video whose file is not on the disk."""

NO_VIDEO = "no video stream"
"""How the reason of a file begins that can be read and holds no video."""

_LARGE_BYTES = 4096
_MAX_RELATIVE_ERROR = 2e-3
"""Above this, float16 loses what a head could use: rounding alone costs 5e-4, underflow much more."""


@dataclass(frozen=True)
class VideoRow:
    """What is stored of one video. A failed one has no frames and a reason."""

    id: str
    frames: Float[np.ndarray, "frame dim"]
    frame_seconds: Float[np.ndarray, " frame"]
    frame_index: Int[np.ndarray, " frame"]
    status: str
    reason: str
    decoder: str
    patches: SpooledPatches | None = None
    """Where ``frames`` have patches, those of each; None where they have not, or where there is no frame."""
    reading_rules: int = FIRST_RULES
    """By which rules its file was read: which decoder may serve it, and when its frames are shown."""
    taken_over: bool = False
    """Whether no number of it may change: a row of the shard that was here before, or of an exact import."""
    file: FileIdentity | None = None
    """Which file it was made of, as it was before it was decoded; None where there was none to be read."""
    span: tuple[float, float | None] | None = None
    """Which seconds of its file it is, None being the end; None where nobody noted it."""


@dataclass(frozen=True)
class TextRow:
    """What is stored of one text."""

    id: str
    video_id: str
    text: str
    words: Float[np.ndarray, "word dim"]
    token_ids: Int[np.ndarray, " word"]
    sentence_row: int
    """Which of ``words`` is the pooled row, the encoder's own answer for the text."""
    truncated: bool
    parts: Float[np.ndarray, "part dim"] | None = None
    """Paragraph sets: the pooled row of each sentence, encoded by itself."""
    exact: bool = False
    """Whether no number of it may change."""


@dataclass(frozen=True, slots=True)
class _LargeColumn:
    """A column that is written piece by piece, because it may not fit into memory."""

    shape: tuple[int, ...]
    dtype: Any
    pieces: Iterable[NDArray[Any]]


def write_video_shard(
    path: Path,
    rows: Sequence[VideoRow],
    dim: int,
    seconds: dict[str, float],
    patches: PatchLayout | None = None,
    claim: Claim | None = None,
) -> Receipt:
    """Write the shard and then its receipt. A crash at any moment leaves either nothing or a whole shard.

    Args:
        path: of the shard.
        rows: its videos.
        dim: width of a feature.
        seconds: by stage, for the receipt; how long the writing took is added.
        patches: how patches are stored, or None for a shard without.
        claim: the store it is made for, confirmed before the shard takes its place; None: no store is.
    """
    started = time.perf_counter()
    exact = any(row.taken_over and row.frames.dtype == np.float32 for row in rows)
    frames = as_stored(_stacked([row.frames for row in rows], dim), exact=exact)
    columns: dict[str, Any] = {
        "ids": [row.id for row in rows],
        "offsets": _offsets(len(row.frames) for row in rows),
        "frames": frames,
        "frame_seconds": _joined([row.frame_seconds for row in rows], np.float32),
        "frame_index": _joined([row.frame_index for row in rows], np.int32),
        "status": [row.status for row in rows],
        "reason": [row.reason for row in rows],
        "decoder": [row.decoder for row in rows],
    }
    if patches is not None:
        columns |= _patch_columns(rows, patches)
    _write_columns(path, columns, claim)
    seconds = seconds | {"write": time.perf_counter() - started}
    counts = {status: columns["status"].count(status) for status in sorted(set(columns["status"]))}
    missing = [row.id for row in rows if row.reason == MISSING]
    receipt = _receipt_of(path, len(rows), frames, counts, missing, seconds)
    rules = max((row.reading_rules for row in rows), default=FIRST_RULES)
    older = {row.id: row.reading_rules for row in rows if row.reading_rules < rules}
    files = {row.id: str(row.file) for row in rows if row.file and len(row.frames)}
    failed = {row.id: str(row.file) for row in rows if row.file and not len(row.frames)}
    spans = {row.id: row.span for row in rows if row.span not in (None, WHOLE_FILE)}
    unnoted = [row.id for row in rows if row.span is None]
    receipt = dataclasses.replace(
        receipt,
        reading_rules=rules,
        older_rows=older,
        files=files,
        failed_files=failed,
        spans=spans,
        unnoted=unnoted,
    )
    return write_receipt(_made_for(claim, receipt), path)


def write_text_shard(
    path: Path,
    rows: Sequence[TextRow],
    dim: int,
    seconds: dict[str, float],
    claim: Claim | None = None,
) -> Receipt:
    """Write the shard and then its receipt. A crash at any moment leaves either nothing or a whole shard.

    The arguments are those of ``write_video_shard``.
    """
    started = time.perf_counter()
    exact = any(row.exact and row.words.dtype == np.float32 for row in rows)
    words = as_stored(_stacked([row.words for row in rows], dim), exact=exact)
    columns: dict[str, Any] = {
        "ids": [row.id for row in rows],
        "video_ids": [row.video_id for row in rows],
        "texts": [row.text for row in rows],
        "offsets": _offsets(len(row.words) for row in rows),
        "words": words,
        "token_ids": _joined([row.token_ids for row in rows], np.int32),
        "sentence_row": np.array([row.sentence_row for row in rows], dtype=np.int32),
        "truncated": np.array([row.truncated for row in rows], dtype=np.bool_),
    }
    if any(row.parts is not None for row in rows):
        parts = [row.parts if row.parts is not None else np.zeros((0, dim), np.float32) for row in rows]
        columns["sentence_offsets"] = _offsets(len(part) for part in parts)
        columns["sentences"] = as_stored(_stacked(parts, dim), exact=exact)
    _write_columns(path, columns, claim)
    counts = {"ok": len(rows) - sum(row.truncated for row in rows)}
    if counts["ok"] < len(rows):
        counts["truncated"] = len(rows) - counts["ok"]
    seconds = seconds | {"write": time.perf_counter() - started}
    return write_receipt(_made_for(claim, _receipt_of(path, len(rows), words, counts, [], seconds)), path)


def _large_columns(shard: Path) -> list[list[int]]:
    """Where in a shard that was just written its large columns of numbers lie."""
    with h5py.File(shard, "r", locking=False) as file:
        columns = [column for column in file.values() if column.dtype.kind in "biuf"]
        places = [(column.id.get_offset(), column.id.get_storage_size()) for column in columns]
    return sorted([start, size] for start, size in places if start is not None and size >= _LARGE_BYTES)


def structure_sha256(shard: Path, rows_at: list[list[int]]) -> str:
    """sha256 of all bytes of a shard but its large columns of numbers.

    Raises:
        OSError: it cannot be read.
        ValueError: the columns are not one behind the other.
    """
    digest, position = hashlib.sha256(), 0
    with shard.open("rb") as file:
        for start, size in [*rows_at, [shard.stat().st_size, 0]]:
            if start < position or size < 0:
                raise ValueError(f"its receipt names rows at {start}, before {position}")
            file.seek(position)
            digest.update(file.read(start - position))
            position = start + size
    return digest.hexdigest()


def as_stored(rows: Float[np.ndarray, "row dim"], *, exact: bool = False) -> Float[np.ndarray, "row dim"]:
    """Rows as float16, or as float32 where float16 would overflow or lose, or where they are to stay exactly so.

    Raises:
        StoreError: a row holds NaN or infinity: the encoder, not the number format, is at fault.
    """
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows)).any(axis=1).sum())
        raise StoreError(
            f"the encoder gave NaN or infinity in {bad:,} of {counted(len(rows), 'row')}; try --precision fp32"
        )
    if exact or (rows.size and np.abs(rows).max() > np.finfo(np.float16).max):
        return rows.astype(np.float32)
    half = rows.astype(np.float16)
    norm = np.linalg.norm(rows, axis=1)
    error = np.linalg.norm(half.astype(np.float32) - rows, axis=1)
    return half if bool((error <= _MAX_RELATIVE_ERROR * norm).all()) else rows.astype(np.float32)


def _write_columns(path: Path, columns: dict[str, Any], claim: Claim | None) -> None:
    strings = h5py.string_dtype("utf-8")
    with os_errors_as_store_error(path.parent), atomic_write(path) as beside:
        with (
            DeferredErrorFile(beside) as raw,
            h5py.File(raw, "w", alignment_threshold=4096, alignment_interval=64) as file,
        ):
            for name, values in columns.items():
                if isinstance(values, np.ndarray):
                    file.create_dataset(name, data=values)
                elif isinstance(values, _LargeColumn):
                    _write_pieces(file.create_dataset(name, values.shape, values.dtype), values.pieces)
                else:
                    file.create_dataset(name, data=np.array(values, dtype=object), dtype=strings)
        if claim is not None:
            claim.confirm()
        # Between the renaming of a shard that is done again and its new receipt, the old one must not vouch for it.
        receipt_path(path).unlink(missing_ok=True)


def _write_pieces(column: h5py.Dataset, pieces: Iterable[NDArray[Any]]) -> None:
    start = 0
    for piece in pieces:
        column[start : start + len(piece)] = piece
        start += len(piece)


def _patch_columns(rows: Sequence[VideoRow], layout: PatchLayout) -> dict[str, _LargeColumn]:
    """``patches`` and, where rows have scales, ``patch_scales``, for each frame of the shard."""
    frames = sum(len(row.frames) for row in rows)
    return {
        name: _LargeColumn(
            (frames, *layout.record[name].shape),
            layout.record[name].base,
            _pieces(rows, name),
        )
        for name in layout.record.names or ()
    }


def _pieces(rows: Sequence[VideoRow], name: str) -> Iterator[NDArray[Any]]:
    for row in rows:
        for piece in row.patches.pieces() if row.patches else ():
            yield piece[name]


def _receipt_of(
    path: Path,
    items: int,
    rows: NDArray[Any],
    status: dict[str, int],
    missing: list[str],
    seconds: dict[str, float],
) -> Receipt:
    size, rows_at = path.stat().st_size, _large_columns(path)
    return Receipt(
        shard=path.name,
        items=items,
        rows=len(rows),
        bytes=size,
        sha256=sha256_of(path),
        structure_sha256=structure_sha256(path, rows_at),
        rows_at=rows_at,
        dtype=str(rows.dtype),
        status=status,
        missing=missing,
        seconds={stage: round(value, 3) for stage, value in seconds.items()},
        versions=versions(),
    )


def _made_for(claim: Claim | None, receipt: Receipt) -> Receipt:
    return receipt if claim is None else dataclasses.replace(receipt, made_as=claim.manifest.features_digest)


def _offsets(lengths: Iterable[int]) -> Int64[np.ndarray, " boundary"]:
    return np.concatenate([[0], np.cumsum(list(lengths), dtype=np.int64)]).astype(np.int64)


def _stacked(parts: Sequence[NDArray[Any]], dim: int) -> Float[np.ndarray, "row dim"]:
    return np.concatenate([np.zeros((0, dim), np.float32), *parts]).astype(np.float32, copy=False)


def _joined(parts: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *(part.astype(dtype) for part in parts)])
