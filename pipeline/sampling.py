"""Which frames of a video are cached: pure functions of presentation times.

Nothing here believes a frame rate or a frame count of a file header, so a variable frame rate, a header that
says 1000 frames a second and an edit list are harmless.
"""

import zlib
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from ..data.contracts.errors import UsageError
from ..data.contracts.numbers import Count, Positive, as_option, check_numbers

# A frame at 2 s whose time is rounded to 2.0000001 or 1.9999999 begins to be on display at 2 s.
_ROUNDING_SECONDS = 1e-6
# More than a dropped frame of a camera, or times in whole milliseconds, make of a constant rate.
_STILL_FRAMES = 2

Policy = Literal["uniform", "fps", "segment_random", "all"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How frames are chosen.

    Raises:
        UsageError: a policy that does not exist, or a number that is not positive.
    """

    policy: Policy = "uniform"
    """uniform: the frames on display in the middle of N equal spans. fps: those on display every 1/fps
    seconds. segment_random: one at a random moment of each of N equal spans. all: every frame."""
    num_frames: Count = 12
    """N of uniform and segment_random; of fps the most frames, evenly thinned when there are more. Ignored by
    all."""
    fps: Positive = 1.0
    """Frames per second of the policy fps."""
    seed: int = 0
    """Of segment_random: equal seeds choose equal frames of the same video."""

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise UsageError(f"--sampling must be one of {', '.join(get_args(Policy))}, got {self.policy!r}")
        if self.num_frames < 1:
            raise UsageError(f"--num-frames must be at least 1, got {self.num_frames}")
        if not 0 < self.fps < float("inf"):
            raise UsageError(f"--fps must be a positive number of frames per second, got {self.fps}")
        if self.seed < 0:
            raise UsageError(f"--seed must not be negative, got {self.seed}")
        check_numbers(self, as_option)


def sample(
    frame_seconds: Float[np.ndarray, " frame"],
    sampling: Sampling,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
    video_id: str = "",
) -> Int[np.ndarray, " sampled"]:
    """Indices of the frames to cache: strictly increasing, without repeats, all on display within [start, end).

    A span's frames are those that begin in it, and the one that is on display when it begins if that is a still
    picture: no other frame begins in the span, or none for longer than two typical frames. A frame of a constant rate
    belongs to the span that it begins in alone, so that neighbouring spans share none.

    A span with no more frames than are asked for gives all of them. A frame that stays on display over
    several of the asked moments is given once, so a clip of a variable frame rate may give fewer than N. A span
    behind the end of the video gives none.

    Args:
        frame_seconds: presentation time of every displayable frame, strictly increasing.
        sampling: the policy.
        start_seconds: where the span begins, on the clock of ``frame_seconds``.
        end_seconds: where it ends, or None for the end of the video.
        video_id: enters the random numbers of segment_random, so that videos do not share their moments.
    """
    end = _end_of_video(frame_seconds)
    end = end if end_seconds is None else min(end, end_seconds)
    inside = _within(frame_seconds, start_seconds, end)
    if len(inside) == 0 or sampling.policy == "all":
        return inside
    if sampling.policy == "fps":
        chosen = inside[_shown_at_ticks(frame_seconds[inside], start_seconds, end, sampling.fps)]
        return chosen[_middles(len(chosen), sampling.num_frames)]
    if len(inside) <= sampling.num_frames:
        return inside
    moments = start_seconds + _shares(sampling, video_id) * (end - start_seconds)
    on_display = np.searchsorted(frame_seconds, moments + _ROUNDING_SECONDS, side="right") - 1
    return np.unique(np.clip(on_display, inside[0], inside[-1]))


def _within(
    frame_seconds: Float[np.ndarray, " frame"], start: float, end: float
) -> Int[np.ndarray, " inside"]:
    """The frames that belong to [start, end)."""
    first, last = np.searchsorted(frame_seconds, [start - _ROUNDING_SECONDS, end - _ROUNDING_SECONDS])
    if first > 0 and start < end:
        next_change = frame_seconds[first] if first < last else np.inf
        if next_change - start > _STILL_FRAMES * _typical_seconds(frame_seconds):
            first -= 1
    return np.arange(first, last)


def _end_of_video(frame_seconds: Float[np.ndarray, " frame"]) -> float:
    """When the last frame leaves the display: it is taken to stay as long as the typical frame does."""
    stays = max(_typical_seconds(frame_seconds), 2 * _ROUNDING_SECONDS)
    return float(frame_seconds[-1]) + stays if len(frame_seconds) else 0.0


def _typical_seconds(frame_seconds: Float[np.ndarray, " frame"]) -> float:
    """How long a frame stays on display: the median."""
    return float(np.median(np.diff(frame_seconds))) if len(frame_seconds) > 1 else 1.0


def _shares(sampling: Sampling, video_id: str) -> Float[np.ndarray, " moment"]:
    """One moment in each of N equal spans, as shares of the whole: its middle, or a random one."""
    within = np.full(sampling.num_frames, 0.5)
    if sampling.policy == "segment_random":
        within = np.random.default_rng([sampling.seed, zlib.crc32(video_id.encode())]).random(len(within))
    return (np.arange(len(within)) + within) / len(within)


def _shown_at_ticks(
    frame_seconds: Float[np.ndarray, " inside"], start: float, end: float, fps: float
) -> Bool[np.ndarray, " inside"]:
    """Which frames are on display at start, start + 1/fps, start + 2/fps ... before the end.

    Counted per frame, not per tick: a damaged file may claim to last a million years.
    """
    edges = np.concatenate(([start], frame_seconds[1:], [end]))
    ticks_before = np.ceil((edges - start - _ROUNDING_SECONDS) * fps)
    return np.diff(ticks_before) > 0


def _middles(count: int, wanted: int) -> Int[np.ndarray, " wanted"]:
    """At most ``wanted`` of ``count`` positions: the middles of equal spans."""
    if count <= wanted:
        return np.arange(count)
    return ((np.arange(wanted) + 0.5) * count / wanted).astype(np.int64)
