"""How one video is decoded: by the chosen plug-in, and where that fails or is in doubt, by PyAV frame by frame.

Runs inside a decoding child.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...data.contracts.errors import DecodeError, counted
from ..decoders.base import Decoder
from ..decoders.pyav import Decoder as PyAV
from ..sampling import sample
from ..video.damage import DamageLog
from ..video.decoder_output import ComplaintError, DisorderError, why_nothing
from ..video.frames import strict_frames
from ..video.packets import PacketIndex
from ..video.times import VideoTimes
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
                _by_pyav(task, decoder, watch, writer)
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
    writer.show_with(times.pixel_aspect)
    indices = _sampled(task, times.frame_seconds)
    watch.errors()
    for frame in decoder.read(task.path, indices.tolist()):
        writer.add(frame)
    errors = watch.errors()
    return Found(times.frame_seconds[indices], indices, "suspect" if errors else "ok", errors)


def _by_pyav(task: DecodeTask, decoder: PyAV, watch: Watch, writer: FrameWriter) -> Found:
    """By PyAV: as fast as it goes, and where anything complains once more, keeping only intact frames."""
    index = decoder.index(task.path)
    watch.announce(index.claimed_seconds)
    times = decoder.probe(task.path)
    writer.show_with(times.pixel_aspect)
    if not index.trustworthy:
        return _intact(task, decoder, times, writer)
    try:
        return _strictly(task, index, times, writer)
    except ComplaintError:
        writer.restart()
    with suppress(DisorderError):
        found = _intact(task, decoder, times, writer)
        if found.status != "suspect":
            return found
    # Packets announce frames that do not come, or in another order: only counting tells which ones there are.
    writer.restart()
    return _intact(task, decoder, decoder.counted_times(task.path), writer, by_counting=True)


def _strictly(task: DecodeTask, index: PacketIndex, times: VideoTimes, writer: FrameWriter) -> Found:
    indices = _sampled(task, times.frame_seconds)
    for _, frame in strict_frames(task.path, index, indices.tolist()):
        writer.add(frame)
    return Found(times.frame_seconds[indices], indices, "partial" if index.damage else "ok", index.damage)


def _intact(
    task: DecodeTask, decoder: PyAV, times: VideoTimes, writer: FrameWriter, *, by_counting: bool = False
) -> Found:
    """The intact ones of the sampled frames; suspect where frames did not come though nothing is damaged."""
    index, log = decoder.index(task.path), DamageLog()
    wanted = _sampled(task, times.frame_seconds)
    intact: list[int] = []
    for position, frame in decoder.intact_frames(task.path, wanted.tolist(), log, counted=by_counting):
        writer.add(frame)
        intact.append(position)
    damage = log.first or index.damage
    if len(intact) < len(wanted) and not damage and index.trustworthy and not by_counting:
        return Found(times.frame_seconds[:0], wanted[:0], "suspect", "frames did not come")
    if not intact:
        raise DecodeError(why_nothing(task.path, log))
    reason = index.damage
    if by_counting or not index.trustworthy:
        reason = reason or decoder.survey(task.path).lost
    if len(intact) < len(wanted):
        reason = f"{len(intact)} of {counted(len(wanted), 'frame')} are sound: {damage or 'the others did not come'}"
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
