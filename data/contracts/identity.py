"""Whether two files, or two sets of settings, are the same."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that two sets of settings do not agree on."""

    name: str
    """Where it stands, the names of nested settings joined by dots."""
    stored: Any
    wanted: Any


def differing_settings(
    stored: Any, wanted: Any, may_differ: Callable[[str], bool], name: str = ""
) -> list[Difference]:
    """Every value that differs, as JSON would give it back, so that a tuple equals the list it was stored as.

    Args:
        stored: what a store or a run was made with: a value, or settings by name, nested as deep as they are.
        wanted: what is asked for now. A setting that one side lacks counts as None.
        may_differ: whether nothing depends on the setting of that (dotted) name.
        name: what the two are the value of.
    """
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        names = {key: f"{name}.{key}" if name else str(key) for key in sorted(set(stored) | set(wanted))}
        return [
            difference
            for key, dotted in names.items()
            if not may_differ(dotted)
            for difference in differing_settings(stored.get(key), wanted.get(key), may_differ, dotted)
        ]
    return [] if _plain(stored) == _plain(wanted) else [Difference(name, stored, wanted)]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
