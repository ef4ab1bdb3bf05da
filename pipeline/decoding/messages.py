"""What is asked of a decoding child and what it answers, and how both travel.

A message is one line of JSON through a pipe; pixels lie in shared memory (``shared_frames.py``). Nothing is
pickled: a child that a crafted video has taken over can send wrong pixels, but no code.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from ...data.contracts.identity import FileDigest
from ...data.contracts.records import restored
from ...data.sources.video_file import VideoFile
from ..preprocessing import DEFAULT_PIXELS, Pixels, Preprocessing, Resize, check_resize
from ..sampling import Sampling

READING_RULES = 2
"""Which rules decide who reads a file and when its frames are shown: ``why_declined`` of seeking decoders, the times of
``PacketIndex``, what counts as damage. Every receipt says it; one without was written under rules 1. Whoever changes a
rule so that rows read before are doubtful raises it."""

Status = Literal["ok", "partial", "suspect", "failed"]

_MAX_SECONDS = 24 * 3600.0
SERVER_SECONDS = 900.0
"""That a child may wait for one answer of a server: more than the clients of servers wait themselves."""


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """One video to decode."""

    id: str
    path: VideoFile
    sampling: Sampling
    preprocessing: Preprocessing
    start_seconds: float = 0.0
    """Where its span begins, counted from the first displayed frame."""
    end_seconds: float | None = None
    """Where its span ends, or None for the end of the file."""
    frames_per_chunk: int = 64
    """A chunk of so many frames is handed over as soon as it is full: memory does not grow with the video."""
    pixels: Pixels = DEFAULT_PIXELS
    """Whether frames get the proportions in which a player shows them, or those in which they are stored."""
    resize: Resize = "exact"
    """How frames are resampled."""
    packets_only: bool = False
    """Ask for ``forecast`` instead: which frames it would be, without decoding them."""
    header_only: bool = False
    """Ask for ``claimed_duration`` instead: how long the file says that it is."""
    identify: FileDigest | None = None
    """Ask also which file it was that was read, by this digest."""

    def __post_init__(self) -> None:
        check_resize(self.resize)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive frames of a video that is still being decoded."""

    video_id: str
    number: int
    """From 0 on. 0 comes again where a second decoder starts over: what came before is void then."""
    frames: UInt8[np.ndarray, "frame height width 3"]
    """``frames_per_chunk`` of them."""


@dataclass(frozen=True, eq=False)
class DecodedVideo:
    """The frames of one video, or why there are none."""

    id: str
    frames: UInt8[np.ndarray, "frame height width 3"]
    """Sampled frames at the size of the model's input, RGB, without those of its chunks; none when failed."""
    num_chunks: int
    """How many chunks came before ``frames``; more may have come that are void."""
    frame_seconds: Float32[np.ndarray, " all_frames"]
    """When each is shown, counted from the first displayed frame of the file. Those of the chunks, too."""
    frame_index: Int32[np.ndarray, " all_frames"]
    """The place of each in display order."""
    status: Status
    """ok: every sampled frame is here and intact. partial: only the intact ones are here, or the file breaks off.
    suspect: here, but doubtful. failed: none is here."""
    reason: str
    """Why it is not ok; empty when it is."""
    decoder: str
    """Which plug-in gave the frames; empty when failed."""
    decode_seconds: float
    """Wall-clock time in the child but for resizing and for waiting until a chunk was taken."""
    resize_seconds: float = 0.0
    file: str = ""
    """Which file it was (``FileIdentity`` as text), where that was asked for."""


def failed(task: DecodeTask, reason: str, decode_seconds: float) -> DecodedVideo:
    """The record of a video without a frame."""
    size = task.preprocessing.height, task.preprocessing.width
    return DecodedVideo(
        id=task.id,
        frames=np.empty((0, *size, 3), np.uint8),
        num_chunks=0,
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
    return min(max(30.0, doubled), _MAX_SECONDS)


def task_message(
    task: DecodeTask, time_limit_seconds: float | None, frames_descriptor: int
) -> Mapping[str, Any]:
    """A task for the wire, and the file descriptor of the memory for its frames."""
    return {
        "task": asdict(task),
        "time_limit_seconds": time_limit_seconds,
        "frames_descriptor": frames_descriptor,
    }


def task_of(message: Mapping[str, Any]) -> DecodeTask:
    """The task of a message from the wire."""
    return restored(DecodeTask, message["task"])


def send_line(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write one message; paths go as their names."""
    stream.write(json.dumps(message, default=os.fspath).encode() + b"\n")
    stream.flush()


_SCALARS = ("id", "num_chunks", "status", "reason", "decoder", "decode_seconds", "resize_seconds", "file")


def send_video(stream: BinaryIO, video: DecodedVideo) -> None:
    """Write an answer whose pixels are in shared memory already: its line, then times and indices."""
    line = {
        "video": {name: getattr(video, name) for name in _SCALARS},
        "num_in_memory": len(video.frames),
        "num_frames": len(video.frame_index),
    }
    stream.write(json.dumps(line).encode() + b"\n")
    for array in (video.frame_seconds, video.frame_index):
        stream.write(np.ascontiguousarray(array).data)
    stream.flush()


def received_video(
    stream: BinaryIO, line: Mapping[str, Any], frames: UInt8[np.ndarray, "frame height width 3"]
) -> DecodedVideo | None:
    """The answer whose line and pixels have been read already, or None where the stream ends inside it."""
    arrays: dict[str, Any] = {
        "frame_seconds": np.empty(line["num_frames"], np.float32),
        "frame_index": np.empty(line["num_frames"], np.int32),
    }
    for array in arrays.values():
        # An array without elements has no buffer to fill.
        if array.size and _read_into(stream, memoryview(array).cast("B")) < array.nbytes:
            return None
    return DecodedVideo(**line["video"], frames=frames, **arrays)


def _read_into(stream: Any, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])
        if not count:
            break
        filled += count
    return filled
