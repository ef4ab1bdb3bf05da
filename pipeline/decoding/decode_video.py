"""How one video is decoded: by the chosen plug-in, and where that fails or is in doubt, by PyAV frame by frame.

Runs inside a decoding child.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...data.contracts.errors import DecodeError
from ..decoders.base import Decoder
from ..decoders.pyav import Decoder as PyAV
from ..sampling import sample
from ..video.damage import DamageLog, intact_frames, why_nothing
from .messages import DecodedVideo, DecodeTask, Status, failed
from .shared_frames import FrameWriter


@dataclass(frozen=True, eq=False)
class Found:
    """What one decoder gave of one video, beside the pictures themselves."""

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


def decode_video(
    task: DecodeTask, decoders: Sequence[tuple[str, Decoder]], watch: Watch, writer: FrameWriter
) -> DecodedVideo:
    """The sampled frames of a video at the size of the model's input. Does not raise for a bad file.

    Args:
        task: what to decode.
        decoders: names and plug-ins in the order of their turns. Where all fail, PyAV's reason is the one given.
        watch: where duration and errors go.
        writer: where frames go.

    Raises:
        MemoryError: the process may not have as much memory as the video takes.
    """
    started = time.perf_counter()
    reasons: dict[str, str] = {}
    for name, decoder in decoders:
        writer.restart()
        try:
            found = (
                _strictly(task, decoder, watch, writer)
                if isinstance(decoder, PyAV)
                else _plainly(task, decoder, watch, writer)
            )
        except DecodeError as error:
            reasons[name] = str(error)
        else:
            if found.status != "suspect":
                return _video(task, found, name, writer, time.perf_counter() - started)
            reasons[name] = found.reason
    reason = reasons.get("pyav") or next(reversed(reasons.values()), "")
    return failed(task, reason, time.perf_counter() - started - writer.waiting_seconds)


def _plainly(task: DecodeTask, decoder: Decoder, watch: Watch, writer: FrameWriter) -> Found:
    """By a decoder that does not know which frames are intact: what it writes to stderr makes them suspect."""
    times = decoder.probe(task.path)
    watch.announce(times.duration_seconds)
    indices = _sampled(task, times.frame_seconds)
    watch.errors()
    for frame in decoder.read(task.path, indices.tolist()):
        writer.add(frame)
    errors = watch.errors()
    return Found(times.frame_seconds[indices], indices, "suspect" if errors else "ok", errors)


def _strictly(task: DecodeTask, decoder: PyAV, watch: Watch, writer: FrameWriter) -> Found:
    """By PyAV, keeping only intact frames."""
    index = decoder.index(task.path)
    watch.announce(index.claimed_seconds)
    times = decoder.probe(task.path)
    wanted = _sampled(task, times.frame_seconds)
    log = DamageLog()
    intact: list[int] = []
    for position, frame in intact_frames(task.path, index, wanted.tolist(), log):
        if not intact or position > intact[-1]:  # a damaged stream may show one frame twice
            writer.add(frame)
            intact.append(position)
    if not intact:
        raise DecodeError(why_nothing(task.path, log))
    reason = index.damage
    if len(intact) < len(wanted):
        reason = f"{len(intact)} of {len(wanted)} frames are sound: {log.first or 'the others did not come'}"
    indices = np.array(intact)
    return Found(times.frame_seconds[indices], indices, "partial" if reason else "ok", reason)


def _sampled(task: DecodeTask, frame_seconds: Float[np.ndarray, " frame"]) -> Int[np.ndarray, " sampled"]:
    indices = sample(frame_seconds, task.sampling, task.start_seconds, task.end_seconds, task.id)
    if len(indices) == 0:
        end = "its end" if task.end_seconds is None else f"{task.end_seconds:g} s"
        raise DecodeError(
            f"shows no frame between {task.start_seconds:g} s and {end}; its last is at {frame_seconds[-1]:.2f} s"
        )
    return indices


def _video(task: DecodeTask, found: Found, decoder: str, writer: FrameWriter, seconds: float) -> DecodedVideo:
    return DecodedVideo(
        id=task.id,
        frames=writer.rest,
        num_chunks=writer.num_chunks,
        frame_seconds=found.seconds.astype(np.float32),
        frame_index=found.indices.astype(np.int32),
        status=found.status,
        reason=found.reason,
        decoder=decoder,
        decode_seconds=seconds - writer.resize_seconds - writer.waiting_seconds,
        resize_seconds=writer.resize_seconds,
    )
