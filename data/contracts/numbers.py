"""Numbers that a user typed or a file holds: finite, and within what can be meant.

``nan`` passes every comparison that was written to refuse something (``nan <= 0`` is false), and is not even itself: a
store made with it could never be extended.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from .errors import UsageError

LARGEST_WHOLE = 2**63 - 1
"""Whole numbers beyond that no array and no file holds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """Finite numbers from ``least`` to ``most``."""

    least: int | float
    most: int | float
    without_least: bool = False
    """Whether ``least`` itself is too little."""

    def __contains__(self, number: int | float) -> bool:
        above = number > self.least if self.without_least else number >= self.least
        return above and number <= self.most  # false for nan, whatever the limits

    def __str__(self) -> str:
        if self.without_least:
            return f"above {self.least:,} and at most {self.most:,}"
        return f"from {self.least:,} to {self.most:,}"


MANY = 1_000_000
"""More layers, parts or frames than any model has, few enough to be counted with."""

AT_LEAST_ONE = Range(1, MANY)
Count = Annotated[int, AT_LEAST_ONE]
Layers = Annotated[int, Range(0, 100)]
Share = Annotated[float, Range(0, 1)]
Weight = Annotated[float, Range(0, MANY)]
Positive = Annotated[float, Range(0, MANY, without_least=True)]
"""Types of fields whose numbers are checked: ``layers: Layers = 4``."""


def check_number(name: str, number: int | float | None, allowed: Range) -> None:
    """See that a number is within its range; None is no number.

    Raises:
        UsageError: it is not, or not finite; the message says what is allowed.
    """
    if number is not None and number not in allowed:
        raise UsageError(f"{name} must be {allowed}, got {_shown(number)}")


def check_numbers(config: Any, called: Callable[[str], str] = str) -> None:
    """See that every number of a dataclass is finite, and within the ``Range`` of its annotation if it has one.

    Args:
        config: the dataclass.
        called: how a user knows the field of a name; by default by that name.

    Raises:
        UsageError: one is not; the message names the field and says what is allowed.
    """
    for name, allowed in _ranges(type(config)).items():
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not isinstance(number, bool):
                _check(called(name), number, allowed)


def as_option(field: str) -> str:
    """The option of ``tvr extract`` that a field is chosen with, such as ``--batch-size``."""
    return f"--{_OPTIONS.get(field, field).replace('_', '-')}"


_OPTIONS = {"num_children": "decoding_processes", "frames_per_batch": "batch_size", "policy": "sampling"}
"""Options that are called otherwise than their field."""


def _check(name: str, number: int | float, allowed: Range | None) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise UsageError(f"{name} must be {allowed or 'a finite number'}, got {number}")
    check_number(name, number, allowed or _ANY)


_ANY = Range(-math.inf, math.inf)


@cache
def _ranges(config: type) -> Mapping[str, Range | None]:
    """The range of each field, None where its annotation has none."""
    hints = get_type_hints(config, include_extras=True)
    return {field.name: _range_in(hints[field.name]) for field in dataclasses.fields(config)}


def _range_in(hint: Any) -> Range | None:
    """The range that an annotation, or the first part of it that has one, was given."""
    if get_origin(hint) is Annotated:
        return next((extra for extra in get_args(hint)[1:] if isinstance(extra, Range)), None)
    return next((found for part in get_args(hint) if (found := _range_in(part))), None)


def _shown(number: int | float) -> str:
    text = repr(number)
    return text if len(text) <= 40 else f"{text[:40]}..."
