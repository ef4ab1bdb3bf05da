"""A folder with a ``base.py`` holds one plug-in per file, and the file name is its name on the command line."""

import dataclasses
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import UsageError, unknown_name

_KINDS = {
    "tvr.data": "data set",
    "tvr.heads": "head",
    "tvr.pipeline.decoders": "decoder",
    "tvr.pipeline.encoders": "encoder",
}
"""What the plug-ins of a folder are called in an error."""


def plug_in_names(package: str) -> list[str]:
    """Names of the plug-ins in a package such as ``tvr.heads``: its modules, without ``base`` and sub-folders."""
    paths = import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(paths) if not m.ispkg and m.name != "base")


def load_plug_in(package: str, name: str) -> ModuleType:
    """Import the one plug-in that is named.

    Raises:
        UsageError: there is no plug-in of that name; the message lists the known ones.
    """
    names = plug_in_names(package)
    if name not in names:
        raise UsageError(unknown_name(_KINDS.get(package, package), name, names))
    return import_module(f"{package}.{name}")


def configured(config: type, settings: Mapping[str, str], owner: str) -> Any:
    """A frozen ``Config`` dataclass from ``key=value`` strings, each parsed as the type of its field.

    Raises:
        UsageError: a field that does not exist or a value that its type does not admit.
    """
    kinds = get_type_hints(config)
    known = [field.name for field in dataclasses.fields(config)]
    values: dict[str, Any] = {}
    for key, text in settings.items():
        if key not in known:
            raise UsageError(unknown_name(f"setting of {owner}", key, known))
        try:
            values[key] = _parsed(text, kinds[key])
        except ValueError as error:
            raise UsageError(f"{owner}: {key} must be {error}, got {text!r}") from None
    return config(**values)


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
        return parsers[kind](text)
    except (KeyError, ValueError):
        raise ValueError("true or false" if kind is bool else f"of type {kind.__name__}") from None
