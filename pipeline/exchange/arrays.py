"""Arrays of strangers: numbers with a point and nothing else. A pickle inside a file is refused, never run."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ...data.contracts.errors import DataError

MAX_ARRAY_BYTES = 16 << 30
"""Of one array: more than the features of any video."""

_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
_PICKLED = (
    "it holds Python objects, which only a pickle keeps, and reading one runs what it says. Save plain numbers: "
    "np.save(file, np.asarray(features, dtype=np.float16))"
)


def read_npy(path: Path) -> NDArray[Any]:
    """The array of an ``.npy`` file.

    Raises:
        DataError: it cannot be read, is damaged, or holds a pickle.
    """
    try:
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size)
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise DataError(f"{path}: no array can be read from it: {_said(error)}") from error


class NpyRows:
    """The rows of an ``.npy`` file [row, dim] that may not fit into memory: those that are asked for are read. (Mapped,
    all that was ever read would count as this process's memory.)

    Raises:
        DataError: it cannot be read, is damaged, holds a pickle, or is of another shape.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                shape, by_columns, self._dtype = _check_header(file, path.stat().st_size)
                self._begin = file.tell()
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: no array can be read from it: {_said(error)}") from error
        if len(shape) != 2 or by_columns:
            raise DataError(
                f"{path}: its shape is {shape}{' by columns' if by_columns else ''}, not [row, dim]"
            )
        self._rows, self._width = shape

    def __len__(self) -> int:
        return self._rows

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Some rows.

        Raises:
            DataError: they cannot be read.
        """
        count, width = max(0, min(stop, self._rows) - start), self._width
        try:
            with self.path.open("rb") as file:
                file.seek(self._begin + start * width * self._dtype.itemsize)
                data = file.read(count * width * self._dtype.itemsize)
            return np.frombuffer(data, self._dtype).reshape(count, width)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: rows {start} to {stop} cannot be read: {_said(error)}") from error


def npy_of(data: bytes, place: str) -> NDArray[Any]:
    """The array of the bytes of an ``.npy`` file.

    Args:
        data: the bytes.
        place: where they come from, for errors.

    Raises:
        DataError: they are damaged, or hold a pickle.
    """
    file = io.BytesIO(data)
    try:
        _check_header(file, len(data))
        file.seek(0)
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise DataError(f"{place}: no array can be read from it: {_said(error)}") from error


def read_npz(path: Path) -> Mapping[str, NDArray[Any]]:
    """Every array of an ``.npz`` file, by its key.

    Raises:
        DataError: it cannot be read, is damaged, or holds a pickle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found: dict[str, NDArray[Any]] = {}
            for member in archive.infolist():
                if member.file_size > MAX_ARRAY_BYTES:
                    raise ValueError(f"{member.filename} claims {member.file_size:,} bytes")
                data = archive.read(member)
                found[member.filename.removesuffix(".npy")] = npy_of(data, f"{path}: {member.filename}")
            return found
    except (OSError, ValueError, EOFError, MemoryError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path}: is no .npz file that can be read: {_said(error)}") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is damaged, or no .npz file: {error}. Copy it again") from error


def feature_rows(array: NDArray[Any], dim: int | None, place: str) -> Float[np.ndarray, "row dim"]:
    """An array as rows of features, one vector as a single row.

    Args:
        array: what a file holds.
        dim: how wide they have to be; None: of any width.
        place: where they come from, for errors.

    Raises:
        DataError: they are no finite numbers, or of another shape or width.
    """
    if array.dtype.kind != "f":
        raise DataError(
            f"{place}: holds {array.dtype}, not numbers with a point. Features are float16 or float32"
        )
    rows = array[None] if array.ndim == 1 else array
    if rows.ndim != 2 or not rows.shape[1]:
        raise DataError(f"{place}: its shape is {array.shape}; features of a video are [frame, dim]")
    if dim is not None and rows.shape[1] != dim:
        raise DataError(
            f"{place}: its features are {rows.shape[1]} wide, those read before it {dim}. Features of one encoder have "
            "one width: import those of several one by one"
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = int(np.argmin(finite))
        raise DataError(
            f"{place}: row {bad} holds NaN or infinity. Leave this file out, or make its features again"
        )
    if rows.dtype == np.float16:
        return np.ascontiguousarray(rows)
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(rows, dtype=np.float32)
    if not np.isfinite(single).all():
        raise DataError(f"{place}: holds numbers that no float32 holds")
    return single


def _check_header(file: BinaryIO | io.BytesIO, size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """See that an ``.npy`` file holds plain numbers, and as many bytes as it says, before any of them is taken; its
    shape, whether it lies there by columns, and its kind of numbers."""
    version = npy_format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format is not one of plain numbers")
    shape, by_columns, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError(_PICKLED)
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if wanted > size - file.tell():
        raise ValueError(
            f"it is cut short: {size - file.tell():,} bytes of {wanted:,} are there. Copy it again"
        )
    return shape, by_columns, dtype


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
