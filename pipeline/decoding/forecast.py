"""What decoding a video would give, as far as the packets of its file tell: nothing is decoded but its first frame.

Runs inside a decoding child, because a file from anywhere can crash whoever opens it.
"""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...data.contracts.errors import DecodeError
from ..sampling import sample
from ..video.packets import PacketIndex, index_packets
from ..video.seeking_decoder import why_declined
from .messages import DecodedVideo, DecodeTask, failed


def forecast(task: DecodeTask) -> DecodedVideo:
    """The record of a video without its frames. Does not raise for a bad file.

    Returns:
        ``frame_index`` and ``frame_seconds`` are of the frames that would be chosen now; none where the packets do
        not tell the times. ``status`` is partial where the packets are seen to be damaged, and failed where the file
        cannot be read or shows nothing in the span. ``reason`` is why a decoder that seeks would not serve it, and
        empty where it may.
    """
    started = time.perf_counter()
    try:
        index = _index(task.path)
    except DecodeError as error:
        return failed(task, str(error), time.perf_counter() - started)
    seconds, chosen = np.empty(0), np.empty(0, np.int64)
    if index.trustworthy:
        seconds = index.frame_seconds
        chosen = sample(seconds, task.sampling, task.start_seconds, task.end_seconds, task.id)
        if len(chosen) == 0:
            return failed(task, "shows no frame of its span", time.perf_counter() - started)
    is_damaged = bool(index.damage) or any(packet.damage for packet in index.packets)
    size = task.preprocessing.height, task.preprocessing.width
    return DecodedVideo(
        id=task.id,
        frames=np.empty((0, *size, 3), np.uint8),
        num_chunks=0,
        frame_seconds=seconds[chosen].astype(np.float32),
        frame_index=chosen.astype(np.int32),
        status="partial" if is_damaged else "ok",
        reason=why_declined(index),
        decoder="",
        decode_seconds=time.perf_counter() - started,
    )


@lru_cache(maxsize=1)
def _index(path: Path) -> PacketIndex:
    """The packets of a file; the spans of one file are asked for one after another."""
    return index_packets(path)
