"""When frames are shown whose packets do not tell it reliably: repeated, missing and restarted time stamps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from .packets import PacketIndex

_TIE_SECONDS = 1e-6
_LONGEST_GAP_SECONDS = 10.0
"""In a broadcast stream a longer step ahead is another recording joined on, as FFmpeg takes it, too."""
_BROADCAST = ("mpegts", "mpeg")


@dataclass(frozen=True, slots=True)
class FrameTime:
    """What one decoded frame says of its time, in ticks of the stream."""

    pts: int | None
    duration: int
    """0 where it is not known."""
    packet: int | None
    """The number (in decoding order) of the packet it came from, or None where that is not known."""


def display_seconds(index: PacketIndex, frames: Sequence[FrameTime]) -> Float[np.ndarray, " frame"]:
    """Strictly increasing times of frames that came out of a decoder in display order, counted from the first.

    The known times of a recording, sorted, belong to its frames in their order. Frames without one take theirs from
    durations and from their place between those that have one. Of recordings joined one to another, each begins
    where the last one ended.
    """
    recordings = _recordings(index)
    owner = np.array([0 if each.packet is None else recordings[each.packet] for each in frames])
    ticks = np.zeros(len(frames))
    end = None
    for recording in np.unique(owner):
        places = np.flatnonzero(owner == recording)
        own, step = _own_ticks([frames[place] for place in places], index.frame_ticks)
        if end is not None:
            own += end - own[0]
        ticks[places] = own
        end = own[-1] + step
    seconds = (ticks - ticks[0]) * index.time_base
    # A repeated time is moved by less than anything that matters; what counts is that no two frames share one.
    ramp = _TIE_SECONDS * np.arange(len(seconds))
    return np.maximum.accumulate(seconds - ramp) + ramp


def _own_ticks(
    frames: Sequence[FrameTime], usual_duration: float
) -> tuple[Float[np.ndarray, " frame"], float]:
    """Times of one recording's frames, on its own clock, and how long the last one stays."""
    known = np.array([each.pts is not None for each in frames])
    times = np.sort(np.array([each.pts for each in frames if each.pts is not None], np.float64))
    steps = np.diff(np.unique(times))
    usual = float(np.median(steps)) if len(steps) else usual_duration
    durations = np.array([each.duration or usual for each in frames], np.float64)
    if not len(times):
        return np.cumsum(durations) - durations, float(durations[-1])
    if known.all():
        return times, usual
    # Where each would be by durations alone; stretched between the frames whose times are known.
    by_duration = np.cumsum(durations) - durations
    anchors = by_duration[known]
    filled = np.interp(by_duration, anchors, times)
    filled += np.minimum(by_duration - anchors[0], 0.0) + np.maximum(by_duration - anchors[-1], 0.0)
    return filled, usual


def _recordings(index: PacketIndex) -> Int[np.ndarray, " packet"]:
    """The number of the recording that each packet belongs to: a clock that goes back is another recording's."""
    is_broadcast = index.container in _BROADCAST and index.time_base > 0
    longest = _LONGEST_GAP_SECONDS / index.time_base if is_broadcast else math.inf
    starts = np.zeros(len(index.packets), np.int64)
    dts = key_pts = None
    for number, packet in enumerate(index.packets):
        own_key_pts = packet.pts if packet.is_key else None
        if not 0 <= _step(dts, packet.dts) <= longest or _step(key_pts, own_key_pts) < 0:
            starts[number] = 1
            dts = key_pts = None
        dts = dts if packet.dts is None else packet.dts
        key_pts = key_pts if own_key_pts is None else own_key_pts
    return np.cumsum(starts)


def _step(before: int | None, now: int | None) -> int:
    return 0 if before is None or now is None else now - before
