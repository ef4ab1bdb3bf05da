"""What lies in a folder, whatever it is: files, folders, what is neither, and links to nothing; and names as text."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..contracts.errors import DataError

# What an escaped byte of a name that is not UTF-8 looks like.
_LIKE_AN_ESCAPED_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")

Kind = Literal["folder", "file", "other", "absent"]


@dataclass(frozen=True, slots=True)
class Listing:
    """Names in one folder, sorted. None of them was opened."""

    folders: tuple[str, ...]
    """Links to folders, too."""
    files: tuple[str, ...]
    """Links to files, too."""
    others: tuple[str, ...]
    """Named pipes, sockets, devices, and links of which it may not be known what they lead to."""
    absent: tuple[str, ...]
    """Links to what is not there, or to themselves."""


def listed(folder: str | Path) -> Listing:
    """List one folder.

    Raises:
        OSError: it is not there, or may not be listed.
    """
    names: Mapping[Kind, list[str]] = {"folder": [], "file": [], "other": [], "absent": []}
    with os.scandir(folder) as entries:
        for entry in entries:
            names[_kind(entry)].append(entry.name)
    return Listing(*(tuple(sorted(names[kind])) for kind in ("folder", "file", "other", "absent")))


def _kind(entry: os.DirEntry[str]) -> Kind:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        entry.stat()  # both are false for a link to what is not there as well
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError as error:
        return "absent" if error.errno == errno.ELOOP else "other"
    return "other"


def walk(root: Path) -> Iterator[tuple[str, Listing]]:
    """Every folder below a root and what lies in it, in order; links are followed once, hidden folders skipped.

    Raises:
        DataError: a folder may not be listed.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            listing = listed(folder)
        except FileNotFoundError:
            continue  # removed since its parent was listed
        except OSError as error:
            raise DataError(
                f"{printable(folder)}: cannot be listed: {error.strerror}. Check who may read it."
            ) from error
        below = [f"{folder.rstrip(os.sep)}{os.sep}{name}" for name in listing.folders if name[0] != "."]
        waiting += reversed(below)
        yield folder, listing


def printable(path: str) -> str:
    """A path as text that can be stored and printed: itself, unless a name in it is not UTF-8.

    In such a name each byte that is not UTF-8 is written as ``\\xff``, and every backslash is doubled. So it is in a
    name that merely looks as if it held such a byte: two names never have one text.
    """
    if path.isascii() and "\\" not in path:
        return path
    return "/".join(map(_printable_name, path.split("/")))


def is_utf8(name: str) -> bool:
    """Whether a name is text; Python has half surrogate pairs for the bytes of one that is not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable_name(name: str) -> str:
    if not is_utf8(name):
        return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
    return name.replace("\\", "\\\\") if _LIKE_AN_ESCAPED_BYTE.search(name) else name
