"""What lies in a folder, whatever it is: files, folders, what is neither, and links to nothing."""

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..contracts.errors import DataError
from ..contracts.file_names import printable

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
