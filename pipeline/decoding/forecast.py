"""What decoding a video would give, as far as the packets of its file tell: nothing is decoded but its first frame.

Runs inside a decoding child, because a file from anywhere can crash whoever opens it.
"""

import time
from dataclasses import replace
from functools import lru_cache

import av
import numpy as np

from ...data.contracts.errors import DecodeError
from ...data.sources.video_file import VideoFile
from ..sampling import sample
from ..video.container import opened
from ..video.packets import PacketIndex, index_packets
from ..video.seeking_decoder import why_declined
from .messages import DecodedVideo, DecodeTask, failed


def forecast(task: DecodeTask) -> DecodedVideo:
    """The record of a video without its frames. Does not raise for a bad file.

    Returns:
        ``frame_index`` and ``frame_seconds`` are of the frames that would be chosen now. ``status`` is partial where
        the packets are seen to be damaged, failed where the file cannot be read or shows nothing in the span, and
        suspect where the packets do not tell the frames: then they are a guess, or none. ``reason`` is why a decoder
        that seeks would not serve it, and empty where it may.
    """
    started = time.perf_counter()
    try:
        index = _index(task.path)
    except DecodeError as error:
        return failed(task, str(error), time.perf_counter() - started)
    is_damaged = bool(index.damage) or any(packet.damage for packet in index.packets)
    seconds = (
        index.frame_seconds if index.trustworthy or (not is_damaged and _suggests(index)) else np.empty(0)
    )
    chosen = sample(seconds, task.sampling, task.start_seconds, task.end_seconds, task.id)
    if index.trustworthy and len(chosen) == 0:
        return failed(task, "shows no frame of its span", time.perf_counter() - started)
    size = task.preprocessing.height, task.preprocessing.width
    return DecodedVideo(
        id=task.id,
        frames=np.empty((0, *size, 3), np.uint8),
        num_chunks=0,
        frame_seconds=seconds[chosen].astype(np.float32),
        frame_index=chosen.astype(np.int32),
        status="partial" if is_damaged else "ok" if index.trustworthy else "suspect",
        reason=why_declined(index),
        decoder="",
        decode_seconds=time.perf_counter() - started,
    )


def claimed_duration(task: DecodeTask) -> DecodedVideo:
    """How long a file says that it is: ``frame_seconds`` is that one number. Does not raise for a bad file.

    Failed where the file cannot be read or does not say it.
    """
    started = time.perf_counter()
    try:
        with opened(task.path) as (container, stream):
            ticks, time_base = stream.duration or 0, float(stream.time_base or 0)
            seconds = max((container.duration or 0) / av.time_base, ticks * time_base)
    except DecodeError as error:
        return failed(task, str(error), time.perf_counter() - started)
    if seconds <= 0:
        return failed(task, "does not say how long it is", time.perf_counter() - started)
    claim = np.array([seconds], np.float32)
    unread = failed(task, "", time.perf_counter() - started)
    return replace(unread, status="ok", frame_seconds=claim, frame_index=np.zeros(1, np.int32))


def _suggests(index: PacketIndex) -> bool:
    """Whether the packets of a file whose frames have to be counted look as if each were one frame at its own time."""
    shown = [packet for packet in index.packets if packet.is_shown]
    pts = {packet.pts for packet in shown}
    has_fields = any(packet.pictures.is_field for packet in shown)
    return None not in pts and len(pts) == len(shown) > 0 and not has_fields and not index.recordings.any()


@lru_cache(maxsize=1)
def _index(path: VideoFile) -> PacketIndex:
    """The packets of a file; the spans of one file are asked for one after another."""
    return index_packets(path)
