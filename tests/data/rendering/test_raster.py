"""Painted shapes: their areas, their edges, their angles, and the same pixels every time."""

import hashlib
import itertools
import math

import numpy as np
import pytest
from tvr.data.rendering.raster import DISTANCES, REACH, Canvas, Sprite, picture_of
from tvr.data.rendering.world import BACKGROUNDS, COLOURS, KINDS, ShapeKind

SIDE = 96


def covered(picture: Canvas, background: str = "black", colour: str = "white") -> np.ndarray:
    """How much of each pixel is painted, told from its green value."""
    low, high = BACKGROUNDS[background][1], COLOURS[colour][1]
    return (picture[:, :, 1].astype(float) - low) / (high - low)


@pytest.mark.parametrize(
    "kind, area",
    [
        ("circle", math.pi),
        ("ring", math.pi * (1 - 0.48**2)),
        ("cross", 2 * 2 * 0.66 - 0.66**2),
        # Apothem 0.56: an equilateral triangle of area 3 * sqrt(3) * apothem squared.
        ("triangle", 3 * math.sqrt(3) * 0.56**2),
        # Ten triangles between tip and notch, 36 degrees apart.
        ("star", 10 * 0.5 * 1.12 * 0.48 * math.sin(math.radians(36))),
    ],
)
def test_area(kind: ShapeKind, area: float) -> None:
    radius = 0.3
    picture = picture_of("black", [Sprite(kind, "white", (0.5, 0.5), radius)], SIDE)
    assert covered(picture).sum() == pytest.approx(area * (radius * SIDE) ** 2, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_edges_are_smooth(kind: ShapeKind) -> None:
    share = covered(picture_of("black", [Sprite(kind, "white", (0.5, 0.5), 0.3, 0.3)], SIDE))
    assert share.min() == 0
    assert share.max() == 1
    partly = ((share > 0.05) & (share < 0.95)).sum()
    # About as many pixels as the outline is long: more would be a blur, none a staircase.
    assert 0.3 * SIDE * 3 < partly < 0.3 * SIDE * 20


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_painted_beyond_reach(kind: ShapeKind) -> None:
    grid = np.linspace(-2, 2, 201, dtype=np.float32)
    x, y = np.meshgrid(grid, grid)
    inside = DISTANCES[kind](x, y) <= 0
    assert np.sqrt(x * x + y * y)[inside].max() < REACH - 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_quarter_turn_turns_the_pixels_clockwise(kind: ShapeKind) -> None:
    upright, turned = (
        picture_of("teal", [Sprite(kind, "red", (0.5, 0.5), 0.3, angle)], SIDE)
        for angle in (0.0, math.pi / 2)
    )
    assert np.abs(np.rot90(upright, -1).astype(int) - turned).max() <= 1


def test_middle_and_radius_are_shares_of_the_side() -> None:
    share = covered(picture_of("black", [Sprite("circle", "white", (0.25, 0.75), 0.1)], SIDE))
    rows, columns = np.indices(share.shape) + 0.5
    assert (columns * share).sum() / share.sum() == pytest.approx(0.25 * SIDE, abs=0.05)
    assert (rows * share).sum() / share.sum() == pytest.approx(0.75 * SIDE, abs=0.05)


def test_later_sprites_are_in_front() -> None:
    both = [Sprite("square", colour, (0.5, 0.5), 0.2) for colour in ("red", "blue")]
    assert tuple(picture_of("grey", both, SIDE)[SIDE // 2, SIDE // 2]) == COLOURS["blue"]


@pytest.mark.parametrize("middle", [(0.0, 0.5), (1.0, 1.0), (3.0, 0.5), (-2.0, -2.0)])
def test_what_lies_outside_is_cut_off(middle: tuple[float, float]) -> None:
    share = covered(picture_of("black", [Sprite("circle", "white", middle, 0.2)], SIDE))
    visible = {(0.0, 0.5): 0.5, (1.0, 1.0): 0.25}.get(middle, 0.0)
    assert share.sum() == pytest.approx(visible * math.pi * (0.2 * SIDE) ** 2, rel=0.02)


def test_pixels_never_change() -> None:
    """Every kind and colour on every background; other pixels need another version of the set."""
    digest = hashlib.sha256()
    for i, (background, kind) in enumerate(itertools.product(BACKGROUNDS, KINDS)):
        colour = tuple(COLOURS)[(i + i // 8) % len(COLOURS)]
        sprite = Sprite(kind, colour, (0.4, 0.55), 0.19, 0.1 * i)
        digest.update(picture_of(background, [sprite], 64).tobytes())
    assert digest.hexdigest() == "ac9dd44a8655d6d49c9d00529abdbc16394e94018d50c4d57bc6d58ff265fbb0"


def test_picture_fails_for_an_unknown_background() -> None:
    with pytest.raises(KeyError, match="sky"):
        picture_of("sky", [], SIDE)
