"""When frames are shown: also where packets do not tell it (repeated, missing and restarted time stamps)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from .packets import PacketIndex
from .recordings import longest_gap

_TIE_SECONDS = 1e-6
_LARGEST_TIE_SECONDS = 1e-3
_TIMES_LOOKED_AHEAD = 4


@dataclass(frozen=True, eq=False)
class VideoTimes:
    """When every displayable frame of a file is shown, and how large the upright picture is."""

    frame_seconds: Float[np.ndarray, " frame"]
    """Presentation times relative to the first displayed frame; strictly increasing, at least one."""
    width: int
    """In pixels, after display rotation."""
    height: int
    """In pixels, after display rotation."""
    duration_seconds: float
    """What the file claims or its frames last, whichever is longer."""
    rotation: int
    """Degrees clockwise by which the stored picture is turned for display: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether the stored picture is mirrored left to right before it is turned."""
    pixel_aspect: float = 1.0
    """Width of a pixel of the upright picture over its height."""


@dataclass(frozen=True, slots=True)
class FrameTime:
    """What one decoded frame says of its time, in ticks of the stream."""

    pts: int | None
    duration: int
    """0 where it is not known."""
    packet: int | None
    """The number (in decoding order) of the packet it came from, or None where that is not known."""


def video_times(index: PacketIndex, frame_seconds: Float[np.ndarray, " frame"]) -> VideoTimes:
    """The contract's record of a file, from its packets and the times of its frames."""
    height, width, pixel_aspect = index.height, index.width, index.pixel_aspect
    if index.orientation.swaps_sides:
        height, width, pixel_aspect = width, height, 1 / pixel_aspect
    return VideoTimes(
        frame_seconds=frame_seconds,
        width=width,
        height=height,
        duration_seconds=max(index.claimed_seconds, float(frame_seconds[-1])),
        rotation=index.orientation.rotation,
        mirrored=index.orientation.mirrored,
        pixel_aspect=pixel_aspect,
    )


def display_seconds(index: PacketIndex, frames: Sequence[FrameTime]) -> Float[np.ndarray, " frame"]:
    """Strictly increasing times of frames that came out of a decoder in display order, counted from the first.

    The known times of a recording, sorted, belong to its frames in their order. A frame without one follows when the
    one before it has lasted. Of recordings joined one to another, each begins where the last one ended, unless its own
    clock says so already.
    """
    owner = np.array([0 if each.packet is None else index.recordings[each.packet] for each in frames])
    ticks = np.zeros(len(frames))
    end, longest = None, longest_gap(index.container, index.time_base)
    for recording in np.unique(owner):
        places = np.flatnonzero(owner == recording)
        own, step = _own_ticks(index, [frames[place] for place in places.tolist()])
        if end is not None and not -2 * step <= own[0] - end <= longest:
            own += end - own[0]
        ticks[places] = own
        end = own[-1] + step
    seconds = (ticks - ticks[0]) * index.time_base
    # A repeated time is moved by less than anything that matters; what counts is that no two frames share one, also
    # where times are kept as float32.
    tie = min(max(_TIE_SECONDS, 2 * float(np.spacing(np.float32(seconds.max())))), _LARGEST_TIE_SECONDS)
    ramp = tie * np.arange(len(seconds))
    return np.maximum.accumulate(seconds - ramp) + ramp


def _own_ticks(index: PacketIndex, frames: Sequence[FrameTime]) -> tuple[Float[np.ndarray, " frame"], float]:
    """Times of one recording's frames, on its own clock, and how long the last one stays."""
    places = np.flatnonzero([index.has_clock and each.pts is not None for each in frames])
    times = np.array([frames[place].pts for place in places.tolist()], np.float64)
    rises = np.diff(np.sort(times)) / np.diff(places)
    usual = float(np.median(rises[rises > 0])) if (rises > 0).any() else index.frame_ticks
    if len(times) == len(frames):
        return np.sort(times), usual
    usual = min(usual, index.frame_ticks) if index.frame_ticks > 1 else usual
    durations = np.array([each.duration or usual for each in frames], np.float64)
    # A duration may be rounded to the clock; the rate is not.
    durations[np.abs(durations - index.frame_ticks) < 1] = index.frame_ticks
    kept = _consistent(places, times, durations)
    return _filled(places[kept], times[kept], durations), usual


def _consistent(
    places: Int[np.ndarray, " known"],
    times: Float[np.ndarray, " known"],
    durations: Float[np.ndarray, " frame"],
) -> list[int]:
    """Which of the known times are believed, by their number.

    In MPEG-PS FFmpeg gives the time stamp of a packet to a frame that only ends in it, one or two frames from the one
    that it belongs to. A time is passed over where those before and behind agree with one another and not with it, and
    where it goes back.
    """
    by_duration = np.cumsum(durations) - durations
    kept: list[int] = []
    for number in range(len(places)):
        ahead = slice(number, number + 1 + _TIMES_LOOKED_AHEAD)
        if kept:
            lasts = by_duration[places[ahead]] - by_duration[places[kept[-1]]]
            agrees = np.abs(times[ahead] - times[kept[-1]] - lasts) <= durations[places[ahead]] / 4
            if not agrees[0] and (agrees.any() or times[number] <= times[kept[-1]]):
                continue
        kept.append(number)
    return kept


def _filled(
    places: Int[np.ndarray, " known"],
    times: Float[np.ndarray, " known"],
    durations: Float[np.ndarray, " frame"],
) -> Float[np.ndarray, " frame"]:
    """Times of all frames from those of some: each other one follows when the frame before it has lasted.

    So a time stamp may be left out (ISO/IEC 13818-1, 2.7.5). Where that leads beyond the next known time, those between
    are moved closer together.
    """
    by_duration = np.cumsum(durations) - durations
    if not len(places):
        return by_duration
    filled = by_duration + times[0] - by_duration[places[0]]
    for place, time, following in zip(places, times, [*places[1:], len(durations)], strict=True):
        filled[place:following] = time + by_duration[place:following] - by_duration[place]
    for (place, time), (following, next_time) in pairwise(zip(places, times, strict=True)):
        lasts = by_duration[following] - by_duration[place]
        if lasts > next_time - time > 0:
            between = by_duration[place:following] - by_duration[place]
            filled[place:following] = time + between * (next_time - time) / lasts
    return filled
