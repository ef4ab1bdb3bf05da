"""Frozen dataclasses from what a user typed, or from what JSON gave: a record of a store may come from anybody."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import UsageError, one_line, unknown_name
from .numbers import LARGEST_WHOLE, check_numbers

Record = TypeVar("Record")

_CONTAINERS = {Mapping: (dict,), dict: (dict,), **dict.fromkeys((Sequence, list, tuple), (list, tuple))}
"""What JSON and dataclasses have of each kind of annotation."""
_SHOWN = 200
"""Characters of a value that a message repeats."""


def configured(config: type[Record], settings: Mapping[str, str], owner: str) -> Record:
    """A frozen ``Config`` dataclass from ``key=value`` strings, each parsed as the type of its field.

    Raises:
        UsageError: a field that does not exist, a value that its type does not admit, or a number that is not finite or
            not within the field's ``Range``.
    """
    made = config(**_values_of(config, settings, owner))
    check_numbers(made)
    return made


def reconfigured(base: Record, settings: Mapping[str, str], owner: str) -> Record:
    """A ``Config`` with some fields changed as ``configured`` would set them.

    Raises:
        UsageError: as ``configured``.
    """
    values = _values_of(type(base), settings, owner)
    made = dataclasses.replace(base, **values)  # pyright: ignore[reportArgumentType]  # every Config is a dataclass
    check_numbers(made)
    return made


def _values_of(config: type, settings: Mapping[str, str], owner: str) -> dict[str, Any]:
    hints = _hints(config)
    values: dict[str, Any] = {}
    for key, text in settings.items():
        if key not in hints:
            raise UsageError(unknown_name(f"setting of {owner}", key, hints))
        try:
            values[key] = _parsed(text, hints[key])
        except ValueError as error:
            raise UsageError(f"{owner}: {key} must be {error}, got {one_line(text)[:_SHOWN]!r}") from None
    return values


def restored(record: type[Record], values: Any, name: str = "") -> Record:
    """A dataclass from what JSON made of it: lists become tuples, strings paths, objects the dataclasses inside it.

    Args:
        record: the dataclass; a field with a default may be absent.
        values: the JSON object.
        name: of the field that the object is the value of, for errors.

    Raises:
        ValueError: a field is missing, unknown or of another type; the message names it. What the dataclass itself
            refuses is its own error.
    """
    if type(values) is not dict:
        raise ValueError(f"{name or 'it'} is {values!r}"[:_SHOWN])
    hints, inside = _hints(record), f"{name}." if name else ""
    if unknown := values.keys() - hints.keys():
        raise ValueError(f"it has the unknown field {inside + min(map(str, unknown))!r}"[:_SHOWN])
    given = {key: restored_value(value, hints[key], inside + key) for key, value in values.items()}
    if missing := [key for key in _required(record) if key not in given]:
        raise ValueError(f"it has no {inside}{missing[0]}")
    return record(**given)


def restored_value(value: Any, hint: Any, name: str) -> Any:
    """The value of one field, as its annotation says, to the innermost list.

    Raises:
        ValueError: it is of another type; the message is ``<name> is <value>``.
    """
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if dataclasses.is_dataclass(origin):
        return restored(origin, value, name)  # pyright: ignore[reportArgumentType]  # a class, as every annotation
    if origin in (Union, UnionType):
        return _of_any_type(value, inner, name)
    kinds = _CONTAINERS.get(origin, ())
    if type(value) in kinds:
        return _of_parts(value, origin, inner, name)
    if not _is_plain(value, origin, inner):
        raise ValueError(f"{name} is {value!r}"[:_SHOWN])
    if origin is Path and "\0" in value:
        raise ValueError(f"{name} is {value!r}, and no path has a NUL"[:_SHOWN])
    return origin(value) if origin in (Path, float) else value


def _of_parts(value: Any, origin: Any, inner: Sequence[Any], name: str) -> Any:
    """Each part of a mapping, or of a sequence, as its own annotation says."""
    if type(value) is dict:
        if _are_plain(value.values(), inner[1]):
            return value
        return {key: restored_value(one, inner[1], f"{name}.{key}") for key, one in value.items()}
    if origin is not tuple and _are_plain(value, inner[0]):
        return list(value)
    hints = inner if origin is tuple and Ellipsis not in inner else [inner[0]] * len(value)
    if len(value) != len(hints):
        raise ValueError(f"{name} is {value!r}"[:_SHOWN])
    pairs = zip(value, hints, strict=True)
    items = [restored_value(one, hint, f"{name}.{place}") for place, (one, hint) in enumerate(pairs)]
    return tuple(items) if origin is tuple else items


def _of_any_type(value: Any, hints: Sequence[Any], name: str) -> Any:
    for hint in hints:
        try:
            return restored_value(value, hint, name)
        except ValueError:
            continue  # the next type may admit it
    raise ValueError(f"{name} is {value!r}"[:_SHOWN])


def _is_plain(value: Any, origin: Any, choices: Sequence[Any]) -> bool:
    """Whether a value without parts is of its type; an integer is no boolean, but a number with a point."""
    if origin is Literal:
        return type(value) is str and value in choices
    admitted = {Any: (type(value),), float: (int, float), Path: (str,)}.get(origin, (origin,))
    return type(value) in admitted


def _are_plain(values: Collection[Any], hint: Any) -> bool:
    """Whether all are strings, or whole numbers, as they are to be: of the thousands that a receipt holds."""
    return hint in (str, int) and set(map(type, values)) <= {hint}


@cache
def _hints(record: type) -> dict[str, Any]:
    """The annotation of each field, in their order."""
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


@cache
def _required(record: type) -> tuple[str, ...]:
    absent = dataclasses.MISSING
    fields = dataclasses.fields(record)
    return tuple(field.name for field in fields if field.default is absent is field.default_factory)


def _parsed(text: str, kind: Any) -> Any:
    """The string as a value of ``kind``; a ValueError says what would have been allowed."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if text not in arguments:
            raise ValueError(f"one of {', '.join(map(str, arguments))}")
        return text
    if origin is tuple:
        return tuple(_parsed(part.strip(), arguments[0]) for part in text.split(",") if part.strip())
    if origin in (Union, UnionType):
        if NoneType in arguments and text.lower() == "none":
            return None
        return _parsed(text, next(argument for argument in arguments if argument is not NoneType))
    return _scalar(text, kind)


def _scalar(text: str, kind: Any) -> bool | int | float | str | Path:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    parsers = {bool: lambda value: words[value.lower()], int: int, float: float, str: str, Path: Path}
    try:
        value = parsers[kind](text)
    except (KeyError, ValueError):
        raise ValueError("true or false" if kind is bool else f"of type {kind.__name__}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise ValueError(f"at most {LARGEST_WHOLE}")
    return value
