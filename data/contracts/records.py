"""Whether what JSON gave is of the kind that an annotation names: records of a store may come from anybody."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def has_type(value: Any, hint: Any) -> bool:
    """Whether a value is what a field of a record is annotated as, to the innermost list."""
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if hint is Any:
        return True
    if origin is UnionType:
        return any(has_type(value, one) for one in inner)
    if origin is float:
        return type(value) in (int, float)
    if origin in (Mapping, dict):
        return type(value) is dict and all(has_type(one, inner[1]) for one in value.values())
    if origin in (Sequence, list):
        return type(value) is list and all(has_type(one, inner[0]) for one in value)
    return type(value) is origin


def first_mistyped_field(values: Mapping[str, Any], record: type) -> str:
    """The first field of a record of which a value is missing or unfit, or nothing.

    Raises:
        ValueError: there are fields that the record does not have.
    """
    hints = get_type_hints(record)
    known = {field.name for field in dataclasses.fields(record)}
    if unknown := values.keys() - known:
        raise ValueError(f"it has the unknown field {min(unknown)!r}")
    return next((name for name in hints if name in known and not has_type(values.get(name), hints[name])), "")
