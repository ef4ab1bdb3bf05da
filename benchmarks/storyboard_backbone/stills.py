"""Still pictures of the storyboard world with captions, to train the backbone on.

A still shows one to three shapes anywhere on one background, never a combination that ``is_held_out``. Its caption
says what is seen; nothing happens in it, so that no word for a motion or a sequence occurs.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from tvr.data.rendering.raster import Sprite, picture_of
from tvr.data.rendering.world import BACKGROUNDS, SPINNABLE, Point, Shape, Size, draw_shape, pick

COUNTS = (1, 1, 2, 2, 2, 3)
"""How many shapes a still shows, each count as often as it stands here."""
RADII: dict[Size, tuple[float, float]] = {"small": (0.08, 0.125), "big": (0.155, 0.2)}
"""Smallest and largest radius that a size word covers, as a share of the picture's side."""
SIZE_WORDS: dict[Size, tuple[str, ...]] = {
    "small": ("small", "small", "small", "little"),
    "big": ("big", "big", "big", "large"),
}
ROWS = ("top", "", "bottom")
COLUMNS = ("left", "", "right")
MARGIN = 0.16
"""Middles of shapes keep this distance from the picture's edge."""
TILTED_SHARE = 0.4
"""How many of the shapes that show it are turned."""


@dataclass(frozen=True, slots=True)
class Still:
    """What a picture shows, and what is said of it."""

    background: str
    sprites: tuple[Sprite, ...]
    caption: str

    def picture(self, side_pixels: int) -> UInt8[np.ndarray, "side side 3"]:
        """The still as pixels."""
        return picture_of(self.background, self.sprites, side_pixels)


@dataclass(frozen=True, slots=True)
class _Placed:
    shape: Shape
    sprite: Sprite


def draw_still(dice: np.random.RandomState, *, held_out: bool = False, says_all: bool = False) -> Still:
    """A still whose shapes are all held out from training, or all not.

    Its caption leaves out traits now and then, so that every word is learned by itself, or says them all.
    """
    background = pick(dice, tuple(BACKGROUNDS))
    placed: list[_Placed] = []
    count = pick(dice, COUNTS)
    while len(placed) < count:
        candidate = _placed(dice, background, held_out=held_out)
        if all(_is_apart(candidate.sprite, other.sprite) for other in placed):
            placed.append(candidate)
    return Still(background, tuple(p.sprite for p in placed), _caption(dice, background, placed, says_all))


def _placed(dice: np.random.RandomState, background: str, *, held_out: bool) -> _Placed:
    shape = draw_shape(dice, "stay", background, held_out=held_out)
    x, y = (float(dice.uniform(MARGIN, 1 - MARGIN)) for _ in range(2))
    is_turned = shape.kind in SPINNABLE and dice.random_sample() < TILTED_SHARE
    radians = float(dice.uniform(0.2, 2 * math.pi - 0.2)) if is_turned else 0.0
    radius = float(dice.uniform(*RADII[shape.size]))
    return _Placed(shape, Sprite(shape.kind, shape.colour, (x, y), radius, radians))


def _is_apart(one: Sprite, other: Sprite) -> bool:
    return math.dist(one.middle, other.middle) > one.radius + other.radius


def _caption(dice: np.random.RandomState, background: str, placed: list[_Placed], says_all: bool) -> str:
    looks = " and ".join(_look(dice, one, says_all) for one in placed)
    says_background = says_all or dice.random_sample() < 0.5
    return f"{looks} on a {background} background" if says_background else looks


def _look(dice: np.random.RandomState, one: _Placed, says_all: bool) -> str:
    shape, sprite = one.shape, one.sprite
    says_size, says_tilt, says_place = (
        says_all or dice.random_sample() < share for share in (0.85, 0.7, 0.5)
    )
    words = [pick(dice, SIZE_WORDS[shape.size])] if says_size else []
    words += ["tilted"] if sprite.radians and says_tilt else []
    words += [shape.colour, shape.kind]
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words, *([_place(sprite.middle)] if says_place else [])])


def _place(middle: Point) -> str:
    """In which ninth of the picture a point lies, in words."""
    row, column = (
        names[min(int(share * 3), 2)] for names, share in ((ROWS, middle[1]), (COLUMNS, middle[0]))
    )
    if not row and not column:
        return "in the middle"
    return f"at the {row} {column}".replace("  ", " ").rstrip()
