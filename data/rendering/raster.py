"""Paints anti-aliased shapes: each is a signed distance, and a pixel is covered by how far it lies inside.

Only operations that IEEE 754 rounds exactly are applied to arrays, and sines come rounded from Python's
``math``: the same picture has the same pixels on every machine.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from .world import BACKGROUNDS, COLOURS, Point, ShapeKind

Plane = Float32[np.ndarray, "height width"]
Canvas = UInt8[np.ndarray, "height width 3"]

REACH = 1.25
"""No shape reaches further from its middle than this many radii."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """A shape at one moment: where it is and how it is turned."""

    kind: ShapeKind
    colour: str
    middle: Point
    """x to the right and y down, as shares of the picture's side."""
    radius: float
    """As a share of the picture's side."""
    radians: float = 0.0
    """Turned clockwise by this angle."""


def picture_of(
    background: str, sprites: Sequence[Sprite], side_pixels: int
) -> UInt8[np.ndarray, "side side 3"]:
    """A square picture of the sprites, later ones in front."""
    picture = np.empty((side_pixels, side_pixels, 3), dtype=np.uint8)
    picture[:] = BACKGROUNDS[background]
    for sprite in sprites:
        paint(picture, sprite)
    return picture


def paint(picture: Canvas, sprite: Sprite) -> None:
    """Paint the sprite over a square picture, in place. What lies outside the picture is cut off."""
    side = picture.shape[0]
    rows, columns = (_window(centre, sprite.radius * REACH, side) for centre in reversed(sprite.middle))
    x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) / side - np.float32(sprite.middle[0])
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / side - np.float32(sprite.middle[1])
    cosine, sine = (np.float32(round(f(sprite.radians), 6) / sprite.radius) for f in (math.cos, math.sin))
    distance = DISTANCES[sprite.kind](
        cosine * x[None, :] + sine * y[:, None], cosine * y[:, None] - sine * x[None, :]
    )
    coverage = np.clip(0.5 - distance * np.float32(sprite.radius * side), 0, 1)[:, :, None]
    window = picture[rows, columns]
    colour = np.array(COLOURS[sprite.colour], dtype=np.float32)
    picture[rows, columns] = np.rint(window + coverage * (colour - window))


def _window(centre: float, reach: float, side: int) -> slice:
    """The pixels of one axis that lie within reach of the centre."""
    first, last = math.floor((centre - reach) * side), math.ceil((centre + reach) * side)
    return slice(min(max(first, 0), side), min(max(last, 0), side))


def _length(x: Plane, y: Plane) -> Plane:
    return np.sqrt(x * x + y * y)


def _circle(x: Plane, y: Plane) -> Plane:
    return _length(x, y) - 1


def _ring(x: Plane, y: Plane) -> Plane:
    return np.abs(_length(x, y) - 0.74) - 0.26


def _box(x: Plane, y: Plane, half_width: float, half_height: float) -> Plane:
    dx, dy = np.abs(x) - np.float32(half_width), np.abs(y) - np.float32(half_height)
    return _length(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)


def _square(x: Plane, y: Plane) -> Plane:
    return _box(x, y, 0.78, 0.78) - np.float32(0.06)


def _cross(x: Plane, y: Plane) -> Plane:
    return np.minimum(_box(x, y, 1.0, 0.33), _box(x, y, 0.33, 1.0))


def _triangle(x: Plane, y: Plane) -> Plane:
    # Three half-planes; the middle is the centroid, so that a spinning triangle does not wobble.
    slanted = np.float32(0.8660254) * np.abs(x) - 0.5 * y
    return np.maximum(y, slanted) - np.float32(0.56)


def _star(x: Plane, y: Plane) -> Plane:
    # Folded into the 36 degrees between the upper tip and the notch to its right, it has one straight edge.
    x, y = np.abs(x), -y
    for degrees in (108, 72, 36):
        across, along = _direction(degrees)
        beyond = 2 * np.maximum(across * x - along * y, 0)
        x, y = x - beyond * across, y + beyond * along
    tip, notch = 1.12, 0.48
    right, up = notch * math.sin(math.radians(36)), notch * math.cos(math.radians(36))
    edge = math.sqrt(right**2 + (tip - up) ** 2)
    return x * np.float32((tip - up) / edge) + (y - np.float32(tip)) * np.float32(right / edge)


def _direction(degrees: int) -> tuple[np.float32, np.float32]:
    """Across and along factors of a line through the middle, leaning right from upright by the angle."""
    radians = math.radians(degrees)
    return np.float32(round(math.cos(radians), 6)), np.float32(round(math.sin(radians), 6))


def _heart(x: Plane, y: Plane) -> Plane:
    # A square on its tip with half a disc on each of its upper sides.
    half, y = 0.62, y - np.float32(0.1)
    shift = np.float32(half * math.sqrt(0.5))
    tipped = (np.abs(x) + np.abs(y)) * np.float32(math.sqrt(0.5)) - np.float32(half)
    return np.minimum(tipped, _length(np.abs(x) - shift, y + shift) - np.float32(half))


def _moon(x: Plane, y: Plane) -> Plane:
    bite = _length(x - np.float32(0.5), y + np.float32(0.12)) - np.float32(0.78)
    return np.maximum(_circle(x, y), -bite)


DISTANCES: dict[ShapeKind, Callable[[Plane, Plane], Plane]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "ring": _ring,
    "cross": _cross,
    "moon": _moon,
}
"""Signed distance to each outline in radii, negative inside."""
