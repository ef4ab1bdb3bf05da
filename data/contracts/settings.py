"""What can be chosen of a plug-in, in words: the fields of its ``Config``, with what their docstrings say of them."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from .numbers import Range

_KINDS = {int: "a whole number", float: "a number", str: "text"}


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One field of a ``Config``, as a person types it."""

    name: str
    default: str
    """As it would be typed; empty for nothing."""
    allowed: str
    """What it may be, in words."""
    description: str
    """What it decides: the docstring below the field."""


def settings_of(config: type, limits: Mapping[str, range] = MappingProxyType({})) -> tuple[Setting, ...]:
    """The settings of a dataclass, those that it inherits too, in their order.

    Args:
        config: the dataclass.
        limits: of whole numbers that their type does not limit, by name.
    """
    hints = get_type_hints(config, include_extras=True)
    words = {
        name: text for kind in reversed(config.__mro__) for name, text in _field_docstrings(kind).items()
    }
    return tuple(
        Setting(
            field.name,
            typed(field.default),
            _within(limits[field.name]) if field.name in limits else _allowed(hints[field.name]),
            words.get(field.name, ""),
        )
        for field in dataclasses.fields(config)
    )


def typed(value: Any) -> str:
    """A value as it would be typed behind ``key=``."""
    if value is dataclasses.MISSING:
        return "(needed)"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@cache
def _field_docstrings(kind: type) -> dict[str, str]:
    """The string below each field of a class, on one line; nothing where its source is not at hand."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def _within(limit: range) -> str:
    return f"{'an even' if limit.step == 2 else 'a whole'} number from {limit[0]:,} to {limit[-1]:,}"


def _allowed(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = [str(extra) for extra in parts[1:] if isinstance(extra, Range)]
        return ", ".join([_allowed(parts[0]), *limits])
    if origin is Literal:
        return " or ".join(map(str, parts))
    if hint is bool:
        return "true or false"
    if origin is tuple:
        return f"{_allowed(parts[0])}, several set apart by commas"
    if parts:
        return " or ".join("none" if part is NoneType else _allowed(part) for part in parts)
    return _KINDS.get(hint, "a path")
