"""How one video is decoded: by the chosen plug-in, and where that fails or is in doubt, by PyAV frame by frame.

Runs inside a decoding child.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..data.contracts.errors import DecodeError
from .decoded import DecodedVideo, DecodeTask, Status, failed
from .decoders.base import Decoder
from .decoders.pyav import Decoder as PyAV
from .preprocessing import resize
from .sampling import sample
from .soundness import DamageLog, sound_frames, why_nothing

Picture = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, eq=False)
class Frames:
    """What one decoder gave of one video."""

    pictures: Sequence[Picture]
    seconds: Float[np.ndarray, " frame"]
    indices: Int[np.ndarray, " frame"]
    status: Status
    reason: str


@dataclass(frozen=True)
class Watch:
    """The two lines between the decoding of a video and the process it happens in."""

    announce: Callable[[float], None]
    """Told the duration in seconds as soon as it is known; the time limit follows from it."""
    errors: Callable[[], str]
    """What the decoder has written to stderr since it was last asked."""


def decode_video(task: DecodeTask, decoders: Sequence[tuple[str, Decoder]], watch: Watch) -> DecodedVideo:
    """The sampled frames of a video at the size of the model's input. Does not raise for a bad file.

    Args:
        task: what to decode.
        decoders: names and plug-ins in the order of their turns; the last is PyAV.
        watch: where duration and errors go.

    Raises:
        MemoryError: the process may not have as much memory as the video takes.
    """
    started = time.perf_counter()
    reason = ""
    for name, decoder in decoders:
        try:
            frames = (
                _strictly(task, decoder, watch)
                if isinstance(decoder, PyAV)
                else _plainly(task, decoder, watch)
            )
        except DecodeError as error:
            reason = str(error)
        else:
            if frames.status != "suspect":
                return _video(task, frames, name, time.perf_counter() - started)
    return failed(task, reason, time.perf_counter() - started)


def _plainly(task: DecodeTask, decoder: Decoder, watch: Watch) -> Frames:
    """By a decoder that does not know which frames are sound: what it writes to stderr makes them suspect."""
    times = decoder.probe(task.path)
    watch.announce(times.duration_seconds)
    indices = _sampled(task, times.frame_seconds)
    watch.errors()
    pictures = [resize(frame, task.preprocessing) for frame in decoder.read(task.path, indices.tolist())]
    errors = watch.errors()
    return Frames(pictures, times.frame_seconds[indices], indices, "suspect" if errors else "ok", errors)


def _strictly(task: DecodeTask, decoder: PyAV, watch: Watch) -> Frames:
    """By PyAV, keeping only sound frames."""
    index = decoder.index(task.path)
    watch.announce(index.claimed_seconds)
    times = decoder.probe(task.path)
    wanted = _sampled(task, times.frame_seconds)
    log = DamageLog()
    pictures: dict[int, Picture] = {}
    for position, frame in sound_frames(task.path, index, wanted.tolist(), log):
        pictures[position] = resize(frame, task.preprocessing)
    if not pictures:
        raise DecodeError(why_nothing(task.path, log))
    reason = index.damage
    if len(pictures) < len(wanted):
        reason = (
            f"{len(pictures)} of {len(wanted)} frames are sound: {log.first or 'the others did not come'}"
        )
    indices = np.array(sorted(pictures))
    status = "partial" if reason else "ok"
    return Frames([pictures[i] for i in indices], times.frame_seconds[indices], indices, status, reason)


def _sampled(task: DecodeTask, frame_seconds: Float[np.ndarray, " frame"]) -> Int[np.ndarray, " sampled"]:
    indices = sample(frame_seconds, task.sampling, task.start_seconds, task.end_seconds, task.id)
    if len(indices) == 0:
        end = "its end" if task.end_seconds is None else f"{task.end_seconds:g} s"
        raise DecodeError(
            f"shows no frame between {task.start_seconds:g} s and {end}; its last is at {frame_seconds[-1]:.2f} s"
        )
    return indices


def _video(task: DecodeTask, frames: Frames, decoder: str, decode_seconds: float) -> DecodedVideo:
    return DecodedVideo(
        id=task.id,
        frames=np.stack(list(frames.pictures)),
        frame_seconds=frames.seconds.astype(np.float32),
        frame_index=frames.indices.astype(np.int32),
        status=frames.status,
        reason=frames.reason,
        decoder=decoder,
        decode_seconds=decode_seconds,
    )
