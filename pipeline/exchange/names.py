"""Files named after ids of videos and captions, and the ids of such files: one name an id, below their folder."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ...data.contracts.errors import DataError
from ...data.contracts.file_names import MOST_BYTES, file_name, is_utf8

_LONGEST = 1024
"""Bytes of a whole relative path."""


def path_of_id(item_id: str) -> str:
    """Where the file of an id lies below its folder, without a suffix: the id itself, slashes and all, where that is a
    path that stays below and that every system can have; else a name with a digest of it."""
    parts = item_id.split("/")
    is_short = len(item_id.encode()) <= _LONGEST and all(len(part.encode()) <= MOST_BYTES for part in parts)
    if is_short and all(map(_is_plain, parts)):
        return item_id
    return file_name(item_id)


def _is_plain(part: str) -> bool:
    return bool(part.strip(". ")) and not part.startswith(".") and part.isprintable() and "\\" not in part


def files_below(folder: Path, suffix: str) -> Iterator[str]:
    """The paths below a folder, without their suffix, of the files that have it; hidden ones are passed over.

    Raises:
        DataError: one of them is not UTF-8, or the folder cannot be read.
    """
    waiting = [""]
    try:
        while waiting:
            inner = waiting.pop()
            with os.scandir(folder / inner) as entries:
                for entry in entries:
                    name = f"{inner}{entry.name}"
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        waiting.append(f"{name}/")
                    elif entry.name.endswith(suffix):
                        _check_text(folder, name)
                        yield name.removesuffix(suffix)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error


def _check_text(folder: Path, name: str) -> None:
    if not is_utf8(name):
        raise DataError(f"{folder}: the name {os.fsencode(name)!r} is not UTF-8. Rename the file")


def stem_of(path: str) -> str:
    """The id of a video that a table names by its file: the path without its last suffix."""
    plain = PurePosixPath(path)
    return str(plain.with_suffix("")) if plain.suffix else path
