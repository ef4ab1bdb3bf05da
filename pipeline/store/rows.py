"""What a store gives: rows of videos and texts, and how videos fared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from .shards import MISSING


@dataclass(frozen=True)
class VideoRows:
    """Frames of several videos, concatenated."""

    ids: tuple[str, ...]
    frames: Float[np.ndarray, "row dim"]
    offsets: Int[np.ndarray, " boundary"]
    """Rows ``offsets[i]:offsets[i + 1]`` belong to video ``i``; a failed video has none."""
    frame_seconds: Float[np.ndarray, " row"]


@dataclass(frozen=True)
class TextRows:
    """Words of several texts, concatenated."""

    ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    texts: tuple[str, ...]
    words: Float[np.ndarray, "row dim"]
    token_ids: Int[np.ndarray, " row"]
    offsets: Int[np.ndarray, " boundary"]
    sentence_row: Int[np.ndarray, " text"]
    """Which of a text's own rows is the pooled one."""
    truncated: Bool[np.ndarray, " text"]
    parts: Float[np.ndarray, "part dim"] | None
    """Paragraph sets: the pooled row of every sentence, concatenated; else None."""
    part_offsets: Int[np.ndarray, " boundary"] | None


@dataclass(frozen=True, slots=True)
class VideoStatus:
    """How one video fared."""

    id: str
    status: str
    reason: str
    decoder: str
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class OlderRow:
    """A video with frames that was read by older rules than those of today."""

    id: str
    shard: str
    """File name of the shard."""
    status: str
    decoder: str
    frame_seconds: Float[np.ndarray, " frame"]
    frame_index: Int[np.ndarray, " frame"]


def worst_first(statuses: Sequence[VideoStatus]) -> list[VideoStatus]:
    """Videos that are not ok: those that failed, then those with the fewest frames."""
    bad = [row for row in statuses if row.status != "ok"]
    return sorted(bad, key=lambda row: (row.status != "failed", row.reason == MISSING, row.frames, row.id))
