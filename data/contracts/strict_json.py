"""JSON of strangers: whatever the bytes are, the answer is plain finite data, or a ValueError of one short sentence.

Python's own reader takes numbers that no float holds, ``NaN``, keys that stand there twice (the last one wins) and as
many levels as its stack has. What it takes, whoever copies, compares or writes the value later trips over.
"""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from .numbers import LARGEST_WHOLE

MAX_LEVELS = 32
"""Lists and objects within each other. What tvr writes has 6, official annotations have 5."""
MAX_BYTES = 256 << 20
"""Of a file that is read as a whole. The receipt of a shard of a million missing videos has a tenth of that."""

_SHOWN = 40
"""Characters of a number or a key that a message repeats."""
_NO_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_SQUARE = bytes.maketrans(b"{}", b"[]")


def json_of(text: str | bytes) -> Any:
    """What a JSON text holds; bytes are UTF-8, with a byte order mark or without.

    Raises:
        ValueError: it is not UTF-8, not JSON (then a ``json.JSONDecodeError``), or none that can be meant: NaN or
            infinite, a whole number of more than 64 bits, a key twice in one object, more than ``MAX_LEVELS`` levels.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    if text.count("[") + text.count("{") > MAX_LEVELS and _is_deeper(text, MAX_LEVELS):
        raise ValueError(f"lists or objects within each other, more than {MAX_LEVELS} levels deep")
    return _DECODER.decode(text)


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``max_bytes``, or not what ``json_of`` takes.
    """
    return json_of(read_bytes(path, max_bytes))


def read_json_lines(path: Path, max_bytes: int = MAX_BYTES) -> list[Any]:
    """What each line of a JSON-lines file holds; blank lines do not count.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``max_bytes``, or a line is not what ``json_of`` takes; the message names it.
    """
    values: list[Any] = []
    for number, line in enumerate(read_bytes(path, max_bytes).split(b"\n"), 1):
        try:
            if line.strip():
                values.append(json_of(line))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return values


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """A whole file, unless it is larger than whoever reads it has a use for.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``max_bytes``.
    """
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"more than {max_bytes >> 20} MiB long")
    return data


def _is_deeper(text: str, levels: int) -> bool:
    """Whether brackets outside of strings stand within each other more than so many times.

    Counted before anything is built, by replacements alone: a loop over the characters would take longer than reading
    them. Brackets that do not match, and what stands in place of each other, are left to the decoder.
    """
    data = text.encode("utf-8", "surrogatepass").replace(b"\\\\", b"").replace(b'\\"', b"")
    data = data.translate(_SQUARE, _NO_BRACKETS).replace(b'""', b"")
    data = b"".join(data.split(b'"')[::2])  # what stands between strings
    for _ in range(levels):
        data = data.replace(b"[]", b"")  # takes the innermost level away
    return b"[]" in data or data.count(b"[") > levels


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"duplicate key {_shown(twice)!r}")
    return record


def _whole(digits: str) -> int:
    number = int(digits) if len(digits) <= _SHOWN else None
    if number is None or abs(number) > LARGEST_WHOLE:
        raise ValueError(f"the number {_shown(digits)} has more than 64 bits")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {_shown(digits)} is larger than any that can be used")
    return number


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_no_number
)
