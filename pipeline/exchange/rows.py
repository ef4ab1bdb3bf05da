"""Rows of a store from arrays of others, and when their frames are shown."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from ...data.contracts.errors import DataError, UsageError, counted
from ...data.contracts.identity import FileDigest, FileIdentity
from ..decoding.messages import READING_RULES
from ..encode_videos import row_without_frames
from ..encoders.base import NO_TOKEN
from ..store.shards import MISSING, TextRow, VideoRow

UNKNOWN_INDEX = -1
"""In ``frame_index``: nobody knows which frame of its file it is."""


def shown_at(
    count: int, clip_seconds: float | None, fps: float | None, known: NDArray[Any] | None, place: str
) -> Float[np.ndarray, " frame"]:
    """When each of the rows of a video is shown: as a person says, else as the files say.

    Args:
        count: of the rows.
        clip_seconds: each row stands for a clip of so many seconds, and is shown in its middle.
        fps: rows a second, the first at 0.
        known: what the files say, if they do.
        place: where the rows come from, for errors.

    Raises:
        UsageError: nobody says it, or a person says two things.
        DataError: the files say what cannot be.
    """
    if clip_seconds is not None and fps is not None:
        raise UsageError("--clip-seconds and --fps say the same: leave one of them out")
    if clip_seconds is not None:
        return ((np.arange(count) + 0.5) * clip_seconds).astype(np.float32)
    if fps is not None:
        return (np.arange(count) / fps).astype(np.float32)
    if known is None:
        raise UsageError(
            f"{place}: nothing says when its {counted(count, 'row')} are shown. Say how they were made: --fps 1 for "
            "one row a second from the start, --clip-seconds 2 for one row a clip of two seconds"
        )
    seconds = np.asarray(known, np.float32).reshape(-1)
    if len(seconds) != count:
        raise DataError(f"{place}: has {counted(count, 'row')} and the seconds of {len(seconds):,}")
    if not np.isfinite(seconds).all() or (np.diff(seconds) < 0).any():
        raise DataError(f"{place}: its seconds are no times that rise: {seconds[:5].tolist()}")
    return seconds


def imported_video(
    video_id: str,
    frames: Float[np.ndarray, "frame dim"],
    seconds: Float[np.ndarray, " frame"],
    *,
    index: Int[np.ndarray, " frame"] | None = None,
    file: FileIdentity | None = None,
) -> VideoRow:
    """A video whose features are there; without a row it is one that failed."""
    is_empty = len(frames) == 0
    own = np.full(len(frames), UNKNOWN_INDEX, np.int32) if index is None else np.asarray(index, np.int32)
    return VideoRow(
        id=video_id,
        frames=frames,
        frame_seconds=seconds,
        frame_index=own,
        status="failed" if is_empty else "ok",
        reason="its features have no rows" if is_empty else "",
        decoder="",
        reading_rules=READING_RULES,  # there is no file that could be read by others
        file=file,
    )


def failed_video(video_id: str, dim: int, reason: str = MISSING, decoder: str = "") -> VideoRow:
    """A video without features."""
    return row_without_frames(video_id, dim, reason, decoder, np.float16)


def imported_text(ids: tuple[str, str], text: str, words: Float[np.ndarray, "word dim"]) -> TextRow:
    """A caption whose features are there, of tokens that nobody knows; the last row is the pooled one.

    Args:
        ids: its own and its video's.
        text: what it says.
        words: one row a token, or the pooled one alone.
    """
    tokens = np.full(len(words), NO_TOKEN, np.int32)
    return TextRow(ids[0], ids[1], text, words, tokens, len(words) - 1, truncated=False)


def checked_text(row: TextRow, place: str) -> TextRow:
    """The row, if its parts belong together.

    Args:
        row: of a caption.
        place: where it comes from, for errors.

    Raises:
        DataError: it has no row of features, another number of tokens, or no such pooled row.
    """
    count = len(row.words)
    if not 0 <= row.sentence_row < count or len(row.token_ids) != count:
        raise DataError(
            f"{place}: {counted(count, 'row')} of a caption with {counted(len(row.token_ids), 'token')} and the pooled "
            f"row {row.sentence_row}: these do not belong together"
        )
    return row


def file_digest(path: Path, kind: FileDigest) -> str:
    """Length and digest of a file, the same for every copy of it.

    Raises:
        DataError: it cannot be read.
    """
    try:
        found = FileIdentity.of(path, kind)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return f"{found.bytes} bytes, {found.kind} {found.digest}"


def identity_of_file(path: Path, kind: FileDigest) -> FileIdentity:
    """Which file it is.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return FileIdentity.of(path, kind)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
