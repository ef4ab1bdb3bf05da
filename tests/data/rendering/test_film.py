"""Films: every motion is seen where and when the story says."""

import numpy as np
import pytest
from tvr.data.rendering.film import RADII, film, sprites_at
from tvr.data.rendering.twins import entries
from tvr.data.rendering.world import Event, Motion, Shape, Story

STAR = Shape("star", "white", "big")


def event(motion: Motion, steps: int = 16) -> Event:
    return Event((STAR,), motion, steps, ((0.4, 0.6),))


@pytest.mark.parametrize(
    "motion, axis, sign", [("right", 0, 1), ("left", 0, -1), ("fall", 1, 1), ("rise", 1, -1)]
)
def test_moving(motion: Motion, axis: int, sign: int) -> None:
    start, end = (sprites_at(event(motion), share)[0] for share in (0.0, 1.0))
    assert sign * (end.middle[axis] - start.middle[axis]) > 0.5
    assert end.middle[1 - axis] == start.middle[1 - axis] == (0.4, 0.6)[1 - axis]
    assert (start.radius, start.radians) == (end.radius, end.radians) == (RADII["big"], 0.0)


@pytest.mark.parametrize("motion, names", [("grow", ("small", "big")), ("shrink", ("big", "small"))])
def test_changing_size(motion: Motion, names: tuple[str, str]) -> None:
    start, end = (sprites_at(event(motion), share)[0] for share in (0.0, 1.0))
    assert (start.radius, end.radius) == pytest.approx([RADII[name] for name in names])  # pyright: ignore[reportArgumentType]
    assert start.middle == end.middle == (0.4, 0.6)


def test_spinning_and_staying() -> None:
    turned = [sprites_at(event("spin"), share)[0].radians for share in (0.0, 0.5, 1.0)]
    assert turned[0] == 0
    assert turned[2] == pytest.approx(2 * turned[1])
    assert turned[1] > np.pi / 4
    assert sprites_at(event("stay"), 0.0) == sprites_at(event("stay"), 1.0)


@pytest.mark.parametrize("fps", [8, 5, 25])
def test_frames_change_scene_at_the_span_exactly(fps: int) -> None:
    story = Story(
        "teal", (event("stay", 9), Event((Shape("ring", "red", "small"),), "stay", 24, ((0.5, 0.5),)))
    )
    frames = film(story, 32, fps)
    assert frames.shape == (round(33 / 8 * fps), 32, 32, 3)
    boundary = story.spans()[0][1]
    for number, frame in enumerate(frames):
        same = [np.array_equal(frame, frames[i]) for i in (0, -1)]
        assert same == [number / fps < boundary, number / fps >= boundary]


def test_order_twins_hold_the_very_same_pictures() -> None:
    story, twin = (entry.story for entry in entries(0, "test", 2))
    pictures = [sorted(frame.tobytes() for frame in film(s, 64, 8)) for s in (story, twin)]
    assert pictures[0] == pictures[1]
    assert not np.array_equal(film(story, 64, 8), film(twin, 64, 8))


def test_film_fails_without_frames() -> None:
    with pytest.raises(ValueError, match="at least one array"):
        film(Story("teal", (event("stay", 8),)), 32, 0)
