"""Which texts run through a network together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_POSITIONS_STEP = 4
"""To a multiple of it the texts of a repeatable pass are padded: few kinds of passes, little padding."""
_FILLED = {"cuda": 128}
_FILLED_ELSEWHERE = 16
"""Texts of a repeatable pass: so many that a processor is busy, so few that filling the last one up costs little."""


@dataclass(frozen=True, slots=True)
class TextPass:
    """Texts that run together."""

    places: list[int]
    """Which of all texts."""
    positions: int
    """How many positions of each are run."""
    size: int
    """How many texts are run: the last one is repeated until there are so many."""

    @property
    def filled(self) -> list[int]:
        """Which texts are run, the repeated ones too."""
        return self.places + self.places[-1:] * (self.size - len(self.places))


def text_passes(needed: Sequence[int], most: int, longest: int) -> Iterator[TextPass]:
    """As few passes, and as little padding, as texts of these lengths allow.

    Args:
        needed: how many positions of each text have to be run.
        most: texts of a pass.
        longest: positions that the network has.
    """
    by_length = sorted(range(len(needed)), key=needed.__getitem__)
    for start in range(0, len(needed), most):
        places = by_length[start : start + most]
        yield TextPass(places, min(needed[places[-1]], longest), len(places))


def repeatable_passes(needed: Sequence[int], device: str, longest: int) -> Iterator[TextPass]:
    """Passes in which a text's features are the same, bit for bit, whatever it is encoded with.

    How a product of matrices is rounded depends on their shapes, so the shape of a text's pass follows from its own
    length: all its texts are padded to the same length, and it is filled up.

    Args:
        needed: how many positions of each text have to be run.
        device: the kind of the device, such as ``cpu``.
        longest: positions that the network has.
    """
    alike: defaultdict[int, list[int]] = defaultdict(list)
    for place, positions in enumerate(needed):
        alike[min(-(-positions // _POSITIONS_STEP) * _POSITIONS_STEP, longest)].append(place)
    size = _FILLED.get(device, _FILLED_ELSEWHERE)
    for positions, places in sorted(alike.items()):
        for start in range(0, len(places), size):
            yield TextPass(places[start : start + size], positions, size)
