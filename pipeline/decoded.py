"""What is asked of a decoding child and what it answers, and how both travel through its pipes.

A message is one line of JSON, which may announce the raw bytes of arrays that follow it. Nothing is pickled: a
child that a crafted video has taken over can send wrong pixels, but no code.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from .preprocessing import Preprocessing
from .sampling import Sampling

Status = Literal["ok", "partial", "suspect", "failed"]

_MOST_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """One video to decode."""

    id: str
    path: Path
    sampling: Sampling
    preprocessing: Preprocessing
    start_seconds: float = 0.0
    """Where its span begins, counted from the first displayed frame."""
    end_seconds: float | None = None
    """Where its span ends, or None for the end of the file."""


@dataclass(frozen=True, eq=False)
class DecodedVideo:
    """The frames of one video, or why there are none."""

    id: str
    frames: UInt8[np.ndarray, "frame height width 3"]
    """Sampled frames at the size of the model's input, RGB; none when failed."""
    frame_seconds: Float32[np.ndarray, " frame"]
    """When each is shown, counted from the first displayed frame of the file."""
    frame_index: Int32[np.ndarray, " frame"]
    """The place of each in display order."""
    status: Status
    """ok: every sampled frame is here and sound. partial: only the sound ones are here, or the file breaks off.
    suspect: here, but doubtful. failed: none is here."""
    reason: str
    """Why it is not ok; empty when it is."""
    decoder: str
    """Which plug-in gave the frames; empty when failed."""
    decode_seconds: float
    """Wall-clock time."""


def failed(task: DecodeTask, reason: str, decode_seconds: float) -> DecodedVideo:
    """The record of a video without a frame."""
    size = task.preprocessing.height, task.preprocessing.width
    return DecodedVideo(
        id=task.id,
        frames=np.empty((0, *size, 3), np.uint8),
        frame_seconds=np.empty(0, np.float32),
        frame_index=np.empty(0, np.int32),
        status="failed",
        reason=reason,
        decoder="",
        decode_seconds=decode_seconds,
    )


def time_limit(fixed_seconds: float | None, duration_seconds: float) -> float:
    """Seconds that one video may take: as fixed, or at least 30 and twice its duration, but never more than a day."""
    if fixed_seconds is not None:
        return fixed_seconds
    doubled = 2.0 * duration_seconds if math.isfinite(duration_seconds) else 0.0
    return min(max(30.0, doubled), _MOST_SECONDS)


def task_message(task: DecodeTask, time_limit_seconds: float | None) -> Mapping[str, Any]:
    """A task for the wire."""
    return {**asdict(task), "path": str(task.path), "time_limit_seconds": time_limit_seconds}


def task_of(message: Mapping[str, Any]) -> tuple[DecodeTask, float | None]:
    """A task and its fixed time limit from the wire."""
    values = dict(message)
    limit = values.pop("time_limit_seconds")
    values["path"] = Path(values["path"])
    values["sampling"] = Sampling(**values["sampling"])
    preprocessing = values["preprocessing"]
    for name in ("mean", "std"):
        preprocessing[name] = tuple(preprocessing[name])
    values["preprocessing"] = Preprocessing(**preprocessing)
    return DecodeTask(**values), limit


def send_line(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write one message without arrays."""
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def send_video(stream: BinaryIO, video: DecodedVideo) -> None:
    """Write an answer: its line, then its three arrays."""
    scalars = ("id", "status", "reason", "decoder", "decode_seconds")
    line = {"video": {name: getattr(video, name) for name in scalars}, "shape": video.frames.shape}
    stream.write(json.dumps(line).encode() + b"\n")
    for array in (video.frames, video.frame_seconds, video.frame_index):
        stream.write(np.ascontiguousarray(array).data)
    stream.flush()


def received_video(stream: BinaryIO, line: Mapping[str, Any]) -> DecodedVideo | None:
    """The answer whose line has been read already, or None where the stream ends inside it."""
    shape = tuple(line["shape"])
    arrays: dict[str, Any] = {
        "frames": np.empty(shape, np.uint8),
        "frame_seconds": np.empty(shape[:1], np.float32),
        "frame_index": np.empty(shape[:1], np.int32),
    }
    for array in arrays.values():
        # An array without elements has no buffer to fill.
        if array.size and _read_into(stream, memoryview(array).cast("B")) < array.nbytes:
            return None
    return DecodedVideo(**line["video"], **arrays)


def _read_into(stream: Any, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])
        if not count:
            break
        filled += count
    return filled
