"""The options of a command as the TOML that ``--config`` reads: values, lists, and one level of tables."""

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile("[A-Za-z0-9_-]+")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""What stands for a byte of a path that is not UTF-8; TOML has nothing for it."""


def toml_of(options: Mapping[str, Any], heading: str) -> str:
    """Options as TOML.

    Args:
        options: by their long names, None where there is nothing to say; a table for ``--set`` and the like, in which
            None is written ``none``, as it would be typed.
        heading: lines of a comment.

    What TOML cannot hold, a path that is not UTF-8, is a comment that says so.
    """
    plain = {
        key: value for key, value in options.items() if value is not None and not isinstance(value, Mapping)
    }
    lines = [f"# {line}" for line in heading.splitlines()] + [
        _line(key, value) for key, value in plain.items()
    ]
    for name, table in options.items():
        if isinstance(table, Mapping) and table:
            lines += ["", f"[{_key(name)}]", *(_line(str(key), value) for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any) -> str:
    line = f"{_key(key)} = {_value(value)}"
    if _LONE_SURROGATE.search(line):
        return f"# {_LONE_SURROGATE.sub('?', line)} is not UTF-8, which TOML cannot hold: type it"
    return line


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return _text("none" if value is None else str(value))


def _text(text: str) -> str:
    """JSON's strings are TOML's, but for one control character that TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
