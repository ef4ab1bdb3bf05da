"""Recordings that were joined one to another in one file: each has a clock of its own."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

_LONGEST_GAP_SECONDS = 10.0
"""In a broadcast stream a key frame that is further ahead begins another recording; FFmpeg takes it for that, too."""
_MOST_SECONDS_BEFORE = 1.0
"""By which a careless muxer may have a frame shown before it is decoded."""
_STEPS_OF_A_GAP = 3
"""A stream of still pictures has such steps all along."""
_BROADCAST = ("mpegts", "mpeg")


def recordings_of(
    clock: Sequence[tuple[int | None, int | None]], container: str, time_base: float
) -> Int[np.ndarray, " packet"]:
    """The number of the recording that each packet belongs to: a clock that goes back is another recording's.

    Args:
        clock: the dts of each packet of a stream, and of a key frame the pts, in ticks, in decoding order.
        container: its name in FFmpeg.
        time_base: seconds per tick.
    """
    steps = np.diff([dts for dts, _ in clock if dts is not None] or [0])
    usual = float(np.median(steps)) if len(steps) > 2 else 0.0
    longest = max(longest_gap(container, time_base), _STEPS_OF_A_GAP * usual)
    starts = np.zeros(len(clock), np.int64)
    dts = key_pts = None
    for number, (stored_dts, own_key_pts) in enumerate(clock):
        own_dts = stored_dts
        is_far_ahead = own_key_pts is not None and _step(dts, own_dts) > longest
        # The times of key frames decide only where there are no others: a flag may lie, and B-frames go back.
        goes_back = _step(dts, own_dts) < 0 or (own_dts is None and _step(key_pts, own_key_pts) < 0)
        # Nothing is shown before it is decoded: that dts is still the one that was due in the recording before.
        is_due_before = _step(own_key_pts, own_dts) * time_base > _MOST_SECONDS_BEFORE
        own_dts = None if is_due_before else own_dts
        if goes_back or is_far_ahead or is_due_before:
            starts[number] = 1
            dts = key_pts = None
        dts = dts if own_dts is None else own_dts
        key_pts = key_pts if own_key_pts is None else own_key_pts
    return np.cumsum(starts)


def longest_gap(container: str, time_base: float) -> float:
    """How many ticks a clock may go ahead from one frame to the next within a recording."""
    return _LONGEST_GAP_SECONDS / time_base if container in _BROADCAST and time_base > 0 else math.inf


def _step(before: int | None, now: int | None) -> int:
    return 0 if before is None or now is None else now - before
