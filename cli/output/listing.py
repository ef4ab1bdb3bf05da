"""The lists of ``tvr runs`` and ``tvr stores``: what each says of its own, and what both say of a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from ...pipeline.store.housekeeping import note_of, size_in_words, size_of
from ..terminal import NAME_WIDTH, print_table_whole

NARROW = 8
"""Characters of the columns of words beside the names."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A run or a store as a line of its list."""

    name: str
    """``<dataset>/<folder>``, by which commands take it."""
    folder: Path
    day: str
    state: str
    cells: Sequence[str]
    """Of the columns that only its own list has."""


def folder_record(folder: Path) -> dict[str, Any]:
    """What both lists tell a program of a folder."""
    return {"folder": str(folder), "bytes": size_of(folder), "note": note_of(folder)}


def print_list(
    kind: str,
    own: Mapping[str, Literal["left", "right"]],
    listed: Sequence[Listed],
    spare: Sequence[str],
) -> None:
    """A table of them; notes have a column where there are any.

    Args:
        kind: what they are, in a word.
        own: the columns that only this list has, and how they stand in them.
        listed: the lines.
        spare: columns that a narrow terminal goes without, the first one first.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column(kind, min_width=NAME_WIDTH, overflow="fold")
    for header, justify in own.items():
        table.add_column(header, no_wrap=True, justify=justify)
    table.add_column("size", no_wrap=True, justify="right")
    table.add_column("written", no_wrap=True)
    table.add_column("state", min_width=NARROW, overflow="fold")
    notes = [note_of(one.folder) for one in listed]
    if any(notes):
        table.add_column("note", min_width=NARROW, overflow="fold")
    for one, note in zip(listed, notes, strict=True):
        size = size_in_words(size_of(one.folder))
        table.add_row(one.name, *one.cells, size, one.day, one.state, *([note] if any(notes) else []))
    print_table_whole(table, spare)
