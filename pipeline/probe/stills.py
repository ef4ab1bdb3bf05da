"""Thirty-two rendered stills, each with the caption that describes it better than it does any other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from ...data.rendering.raster import Sprite, picture_of
from ...data.rendering.world import COLOURS, KINDS, Point, ShapeKind

StillKind = Literal["colours", "shapes", "counts", "places"]

SIDE_PIXELS = 360
_BACKGROUND = "black"
_MIDDLE: Point = (0.5, 0.5)
_LARGE, _MEDIUM, _SMALL = 0.4, 0.3, 0.16
"""Radii, as shares of the picture's side."""

_COUNTS: dict[str, tuple[Point, ...]] = {
    "one": (_MIDDLE,),
    "two": ((0.3, 0.5), (0.7, 0.5)),
    "three": ((0.3, 0.3), (0.7, 0.3), (0.5, 0.72)),
    "four": ((0.28, 0.28), (0.72, 0.28), (0.28, 0.72), (0.72, 0.72)),
}
_PLACES: dict[str, Point] = {
    "on the left": (0.2, 0.5),
    "on the right": (0.8, 0.5),
    "at the top": (0.5, 0.2),
    "at the bottom": (0.5, 0.8),
}
_LOOKS: tuple[tuple[ShapeKind, str], ...] = (("circle", "red"), ("star", "white"))
"""Of what is counted and placed."""


@dataclass(frozen=True)
class Still:
    """A picture and what it shows."""

    kind: StillKind
    """In what it differs from the others of its kind."""
    picture: UInt8[np.ndarray, "side side 3"]
    caption: str


@cache
def rendered_stills() -> tuple[Still, ...]:
    """Eight of each kind, the same on every machine, drawn once a process."""
    return tuple(_stills())


def _stills() -> Iterator[Still]:
    for colour in COLOURS:
        yield _still("colours", "circle", colour, (_MIDDLE,), _LARGE, f"a big {colour} circle")
    for kind in KINDS:
        yield _still("shapes", kind, "yellow", (_MIDDLE,), _MEDIUM, f"a yellow {kind}")
    for kind, colour in _LOOKS:
        for count, places in _COUNTS.items():
            plural = "s" if len(places) > 1 else ""
            yield _still("counts", kind, colour, places, _SMALL, f"{count} {colour} {kind}{plural}")
        for where, place in _PLACES.items():
            yield _still("places", kind, colour, (place,), _SMALL, f"a {colour} {kind} {where}")


def _still(
    what: StillKind, kind: ShapeKind, colour: str, places: tuple[Point, ...], radius: float, caption: str
) -> Still:
    sprites = [Sprite(kind, colour, place, radius) for place in places]
    return Still(what, picture_of(_BACKGROUND, sprites, SIDE_PIXELS), caption)
