"""The storyboard world: coloured shapes that do one thing after another on a plain background.

Everything random is drawn from ``randomness``, so that a story follows from its name alone. It uses
``RandomState`` because NumPy promises never to change its streams.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar, get_args

import numpy as np

ShapeKind = Literal["circle", "square", "triangle", "star", "heart", "ring", "cross", "moon"]
Size = Literal["small", "big"]
Motion = Literal["right", "left", "rise", "fall", "grow", "shrink", "spin", "stay"]
Rgb = tuple[int, int, int]
Point = tuple[float, float]

KINDS: tuple[ShapeKind, ...] = get_args(ShapeKind)
SIZES: tuple[Size, ...] = get_args(Size)
MOTIONS: tuple[Motion, ...] = get_args(Motion)

COLOURS: dict[str, Rgb] = {
    "red": (232, 52, 58),
    "orange": (255, 146, 28),
    "yellow": (252, 224, 66),
    "green": (84, 204, 92),
    "blue": (74, 144, 255),
    "purple": (168, 92, 236),
    "pink": (255, 150, 206),
    "white": (248, 248, 248),
}
"""What shapes are painted with: bright, so that each stands out on every background."""

BACKGROUNDS: dict[str, Rgb] = {
    "black": (20, 21, 26),
    "teal": (0, 78, 84),
    "navy": (24, 32, 88),
    "brown": (82, 56, 38),
    "grey": (78, 82, 90),
    "maroon": (86, 16, 42),
}
"""What is behind the shapes: dark, one for a whole video."""

SPINNABLE: tuple[ShapeKind, ...] = tuple(kind for kind in KINDS if kind not in ("circle", "ring"))
"""A turning circle or ring looks like a resting one."""

GRID_SECONDS = 0.125
"""Events begin and end on this grid, so that spans are exact binary fractions of a second."""
EVENT_STEPS = range(8, 25)
"""How long one event may last, in grid steps: 1 to 3 seconds."""
STORY_STEPS = range(32, 65)
"""How long a whole story may last, in grid steps: 4 to 8 seconds."""
PAIR_SHARE = 0.35
"""How many of the events show two shapes."""
LANE = 0.22
"""How far each of two shapes stands from the middle, as a share of the picture's side."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape:
    """A look: what is painted, but not where."""

    kind: ShapeKind
    colour: str
    """A name of ``COLOURS``."""
    size: Size


@dataclass(frozen=True, slots=True)
class Event:
    """One or two shapes doing one thing for some time."""

    shapes: tuple[Shape, ...]
    motion: Motion
    steps: int
    """Duration in ``GRID_SECONDS``."""
    places: tuple[Point, ...]
    """Where each shape has its middle, x to the right and y down, as shares of the picture's side. A shape
    that moves does so through this point."""

    @property
    def seconds(self) -> float:
        """How long the event lasts."""
        return self.steps * GRID_SECONDS


@dataclass(frozen=True, slots=True)
class Story:
    """Events in sequence on one background."""

    background: str
    """A name of ``BACKGROUNDS``."""
    events: tuple[Event, ...]

    @property
    def seconds(self) -> float:
        """How long the whole story lasts."""
        return self.spans()[-1][1]

    def spans(self) -> tuple[tuple[float, float], ...]:
        """The first and the last second of each event, the last one excluded."""
        ends = np.cumsum([event.steps for event in self.events]) * GRID_SECONDS
        return tuple(
            (float(end) - event.seconds, float(end)) for event, end in zip(self.events, ends, strict=True)
        )


def randomness(*name: str | int) -> np.random.RandomState:
    """A stream of random numbers that follows from a name, such as (version, seed, split, index)."""
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))


def pick(dice: np.random.RandomState, choices: Sequence[T]) -> T:
    """One of the choices, each as likely as the others."""
    return choices[int(dice.randint(len(choices)))]


def is_held_out(kind: ShapeKind, colour: str, background: str) -> bool:
    """Whether this kind in this colour on this background is kept from training.

    A quarter of the combinations are: for each background, kinds and colours are dealt out in pairs, and two kinds are
    held out in two colours. So every two of the three occur in training, and only the three together are new.
    """
    return _pairs(background, KINDS)[kind] == _pairs(background, tuple(COLOURS))[colour]


@cache
def _pairs(background: str, names: tuple[str, ...]) -> dict[str, int]:
    """Each name with the number of the pair that it is dealt into."""
    order = randomness("held out", background, *names).permutation(len(names))
    return {names[place]: position // 2 for position, place in enumerate(order)}


def draw_story(dice: np.random.RandomState, *, held_out: bool) -> Story:
    """A story of two to four events whose shapes are all held out from training, or all not."""
    background = pick(dice, tuple(BACKGROUNDS))
    durations = _durations(dice, count=int(dice.randint(2, 5)))
    events = tuple(_event(dice, steps, background, held_out=held_out) for steps in durations)
    return Story(background, events)


def draw_shape(dice: np.random.RandomState, motion: Motion, background: str, *, held_out: bool) -> Shape:
    """A shape that can make that motion, held out on that background or not."""
    kind = pick(dice, SPINNABLE if motion == "spin" else KINDS)
    colour = pick(dice, [name for name in COLOURS if is_held_out(kind, name, background) == held_out])
    # The size word says how a shape begins: only a small one can grow and only a big one can shrink.
    drawn = pick(dice, SIZES)
    begins: dict[Motion, Size] = {"grow": "small", "shrink": "big"}
    return Shape(kind, colour, begins.get(motion, drawn))


def _durations(dice: np.random.RandomState, count: int) -> list[int]:
    """Grid steps of each event: unequal, and together within ``STORY_STEPS``."""
    while True:
        steps = [pick(dice, EVENT_STEPS) for _ in range(count)]
        if sum(steps) in STORY_STEPS and len(set(steps)) == count:
            return steps


def _event(dice: np.random.RandomState, steps: int, background: str, *, held_out: bool) -> Event:
    motion = pick(dice, MOTIONS)
    shapes = [draw_shape(dice, motion, background, held_out=held_out)]
    is_pair = dice.random_sample() < PAIR_SHARE
    while is_pair and len(shapes) < 2:
        other = draw_shape(dice, motion, background, held_out=held_out)
        if other.kind != shapes[0].kind and other.colour != shapes[0].colour:
            shapes.append(other)
    return Event(tuple(shapes), motion, steps, _places(dice, motion, len(shapes)))


def _places(dice: np.random.RandomState, motion: Motion, count: int) -> tuple[Point, ...]:
    """Middles of one or two shapes; two stand beside each other, across the way they move."""
    jitters = [(float(dice.uniform(-0.04, 0.04)), float(dice.uniform(-0.04, 0.04))) for _ in range(count)]
    if count == 1:
        # A single shape has the picture to itself and may stand well off the middle.
        return ((0.5 + 4 * jitters[0][0], 0.5 + 4 * jitters[0][1]),)
    side_by_side = {"rise": True, "fall": True, "right": False, "left": False}.get(
        motion, bool(dice.randint(2))
    )
    lanes = (-LANE, LANE) if dice.randint(2) else (LANE, -LANE)
    offsets = [(lane, 0.0) if side_by_side else (0.0, lane) for lane in lanes]
    return tuple((0.5 + dx + jx, 0.5 + dy + jy) for (dx, dy), (jx, jy) in zip(offsets, jitters, strict=True))
