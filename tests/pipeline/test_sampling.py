"""Which frames are cached: checked against plain loops over presentation times."""

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from tvr.data.contracts.errors import UsageError
from tvr.pipeline.sampling import Policy, Sampling, sample


@st.composite
def clocks(draw: st.DrawFn) -> np.ndarray:
    """Presentation times of a video of any frame rate, constant or not; times are multiples of a millisecond."""
    gaps = draw(st.lists(st.integers(1, 3000), min_size=0, max_size=60))
    if draw(st.booleans()) and gaps:
        gaps = [gaps[0]] * len(gaps)
    return np.concatenate(([0], np.cumsum(gaps, dtype=np.int64))) / 1000


@st.composite
def spans(draw: st.DrawFn) -> tuple[float, float | None]:
    start = draw(st.integers(0, 20_000))
    length = draw(st.none() | st.integers(1, 60_000))
    return start / 1000, None if length is None else (start + length) / 1000


def samplings() -> st.SearchStrategy[Sampling]:
    return st.builds(
        Sampling,
        policy=st.sampled_from(get_args(Policy)),
        num_frames=st.integers(1, 40),
        fps=st.sampled_from([0.1, 0.5, 1.0, 2.0, 7.3, 30.0, 1000.0]),
        seed=st.integers(0, 3),
    )


def frames_of(times: np.ndarray, span: tuple[float, float | None]) -> list[int]:
    """The frames that belong to a span: those that begin in it, and a still picture that is there when it begins."""
    typical = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    start, end = span[0], min(times[-1] + typical, np.inf if span[1] is None else span[1])
    inside = [i for i, time in enumerate(times) if start <= time < end]
    before = [i for i, time in enumerate(times) if time < start]
    is_still = not inside or times[inside[0]] - start > 2 * typical
    return before[-1:] + inside if start < end and is_still else inside


@settings(deadline=None)
@given(clocks(), samplings(), spans())
def test_indices_increase_and_are_on_display_in_the_span(
    times: np.ndarray, sampling: Sampling, span: tuple[float, float | None]
) -> None:
    start, end = span
    chosen = sample(times, sampling, start, end, "a video")
    assert (np.diff(chosen) > 0).all()
    assert (np.append(times, np.inf)[chosen + 1] > start).all()
    assert end is None or (times[chosen] < end).all()
    frames = frames_of(times, span)
    assert set(chosen) <= set(frames)
    assert (len(chosen) > 0) == (len(frames) > 0)
    if sampling.policy != "all":
        assert len(chosen) <= sampling.num_frames


@settings(deadline=None)
@given(clocks(), samplings(), spans())
def test_a_span_with_few_frames_gives_all_of_them(
    times: np.ndarray, sampling: Sampling, span: tuple[float, float | None]
) -> None:
    frames = frames_of(times, span)
    if sampling.policy == "all" or (sampling.policy != "fps" and len(frames) <= sampling.num_frames):
        assert sample(times, sampling, *span).tolist() == frames


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 200), samplings(), spans())
def test_at_a_constant_rate_a_frame_belongs_to_the_span_it_begins_in(
    fps: int, count: int, sampling: Sampling, span: tuple[float, float | None]
) -> None:
    times = np.round(np.arange(count) / fps, 3)
    start, end = span
    begun = times >= start if end is None else (times >= start) & (times < end)
    if begun.any():
        assert begun[sample(times, sampling, start, end)].all()


# A screen that changes for a second, shows one picture for four, and changes for another second.
SCREEN = np.concatenate((np.arange(25) / 25, 5 + np.arange(25) / 25))


@pytest.mark.parametrize("policy", get_args(Policy))
def test_a_span_between_two_frames_takes_the_frame_on_display(policy: Policy) -> None:
    assert sample(SCREEN, Sampling(policy), 2.0, 3.0).tolist() == [24]
    assert sample(SCREEN, Sampling(policy, num_frames=1), 4.99, 5.0).tolist() == [24]
    assert sample(SCREEN, Sampling(policy), 5.97).tolist() == [49]


@pytest.mark.parametrize("policy", get_args(Policy))
def test_a_still_picture_at_the_start_of_a_span_belongs_to_it(policy: Policy) -> None:
    chosen = sample(SCREEN, Sampling(policy, num_frames=7), 2.5, 6.0)
    assert chosen[0] == 24
    # Of seven half seconds five show the still picture; what begins at 5 s is not given for a moment before that.
    if policy == "uniform":
        assert SCREEN[chosen].tolist() == [0.96, 5.24, 5.72]


@pytest.mark.parametrize("policy", get_args(Policy))
@pytest.mark.parametrize("span", [(6.0, 7.0), (6.0, None), (1e9, None)])
def test_a_span_behind_the_end_fails(policy: Policy, span: tuple[float, float | None]) -> None:
    assert sample(SCREEN, Sampling(policy), *span).tolist() == []


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 200))
def test_uniform_takes_what_is_on_display_in_the_middle_of_each_span(
    count: int, fps: int, frames: int
) -> None:
    times = np.arange(frames) / fps
    seconds = frames / fps
    expected: list[int] = []
    for k in range(count):
        middle = (k + 0.5) * seconds / count
        shown = [i for i in range(frames) if times[i] <= middle + 1e-6]
        if shown[-1] not in expected:
            expected.append(shown[-1])
    chosen = sample(times, Sampling("uniform", count)).tolist()
    assert chosen == (expected if frames > count else list(range(frames)))


@settings(deadline=None)
@given(clocks(), st.sampled_from([0.5, 1.0, 2.0, 10.0]))
def test_fps_takes_what_is_on_display_at_every_tick(times: np.ndarray, fps: float) -> None:
    end = times[-1] + (float(np.median(np.diff(times))) if len(times) > 1 else 1.0)
    expected: list[int] = []
    tick = 0
    while tick / fps < end - 1e-9:
        shown = int(np.flatnonzero(times <= tick / fps + 1e-9)[-1])
        if shown not in expected:
            expected.append(shown)
        tick += 1
    assert sample(times, Sampling("fps", num_frames=10_000, fps=fps)).tolist() == expected


def test_fps_thins_evenly_where_there_are_more_than_its_cap() -> None:
    times = np.arange(600) / 30
    chosen = sample(times, Sampling("fps", num_frames=5, fps=1.0))
    assert times[chosen].tolist() == [2, 6, 10, 14, 18]


def test_a_frame_rate_of_a_thousand_in_the_header_changes_nothing() -> None:
    # Times in whole milliseconds, as a Matroska file has them whose header says 1000 frames a second.
    times = np.round(np.arange(300) * 1000 / 29.97) / 1000
    exact = np.arange(300) / 29.97
    for policy in ("uniform", "fps"):
        assert sample(times, Sampling(policy)).tolist() == sample(exact, Sampling(policy)).tolist()


def test_a_million_years_cost_nothing() -> None:
    times = np.array([0.0, 1.0, 3e13])
    assert sample(times, Sampling("fps", fps=1000.0)).tolist() == [0, 1, 2]


def test_segment_random_differs_between_videos_and_seeds_and_repeats_itself() -> None:
    times = np.arange(1000) / 25
    first = sample(times, Sampling("segment_random", 8), video_id="a").tolist()
    assert first == sample(times, Sampling("segment_random", 8), video_id="a").tolist()
    assert first != sample(times, Sampling("segment_random", 8), video_id="b").tolist()
    assert first != sample(times, Sampling("segment_random", 8, seed=1), video_id="a").tolist()
    segments = (times[first] // 5).tolist()
    assert segments == list(range(8))


def test_the_first_thirty_seconds_of_a_longer_video() -> None:
    times = np.arange(1500) / 25
    chosen = times[sample(times, Sampling("uniform", 6), 0.0, 30.0)]
    assert np.allclose(chosen, 2.5 + 5 * np.arange(6), atol=1 / 25)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"policy": "middle"}, "segment_random"),
        ({"num_frames": 0}, "--num-frames"),
        ({"fps": 0.0}, "fps"),
        ({"fps": float("inf")}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"seed": -1}, "seed"),
    ],
)
def test_sampling_fails(settings: dict[str, Any], named: str) -> None:
    # The shape checker of the test run looks at Literal types before the class does.
    with pytest.raises((UsageError, TypeCheckError), match=named):
        Sampling(**settings)


def test_a_frame_at_the_edge_of_a_span_begins_there_however_its_time_is_rounded() -> None:
    seconds = np.array([0.1, 0.2, np.nextafter(0.3, 0), 0.4, np.nextafter(0.5, 1), 0.6]) - 0.1
    everything = Sampling("all")
    assert sample(seconds, everything, 0.2, 0.4).tolist() == [2, 3]
    assert sample(seconds, everything, 0.1, 0.2).tolist() == [1]
