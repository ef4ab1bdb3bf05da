"""Files of an export: each whole or not there, whatever is killed; small ones are flushed a part at a time."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.contracts.errors import StoreError
from ..store.atomic_files import atomic_write, flush_to_disk, temporary_path

_FLUSHED_ONE_BY_ONE = 64
"""Files; of more the whole system's are flushed at once."""


class Files:
    """The files below the folder of an export."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folders = set[Path]()
        self._unflushed: list[Path] = []

    def write(self, name: str, data: bytes) -> None:
        """Put a small file in its place; it survives a power cut after ``flush``.

        Raises:
            StoreError: it cannot be written.
        """
        path = self.folder / name
        try:
            if path.parent not in self._folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(path.parent)
            beside = temporary_path(path)
            beside.write_bytes(data)
            beside.replace(path)
        except OSError as error:
            raise StoreError(
                f"cannot write {path}: {error.strerror or error}. What is there is whole; make room or allow writing, "
                "and run the same command again: it goes on"
            ) from error
        self._unflushed.append(path)

    def write_npy(self, name: str, array: NDArray[Any]) -> None:
        """An array as an ``.npy`` file."""
        self.write(name, npy_bytes(array))

    def write_npz(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Arrays as an ``.npz`` file."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def flush(self) -> None:
        """Return when all that was written would survive a power cut."""
        if len(self._unflushed) > _FLUSHED_ONE_BY_ONE:
            os.sync()  # one by one, ten thousand small files take most of a minute
        else:
            for path in [*self._unflushed, *{path.parent for path in self._unflushed}]:
                flush_to_disk(path)
        self._unflushed.clear()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """What an ``.npy`` file of an array holds."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """A text file, written line by line and put in its place as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def csv_line(cells: Iterable[object]) -> str:
    """Cells as a line of CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def json_line_of(record: Mapping[str, Any]) -> str:
    """A record as a line of JSON lines."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def is_empty_folder(path: Path) -> bool:
    """Whether something may be written there: a folder without a file, or none yet."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))
