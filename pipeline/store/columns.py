"""Columns of a shard, read as if anybody might have made the file.

A column that a shard of tvr cannot have is refused before a byte of it is asked for: one that is elsewhere (another
file, a link, a plug-in's compression), or larger than its file, which would fill the memory or take for ever.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...data.contracts.errors import StoreError

_NUMBERS = "biuf"
_REFUSALS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    MemoryError,
    AttributeError,
)
"""What h5py and numpy raise on a file whose bytes make no sense."""
_BOUNDARIES = {"sentences": "sentence_offsets"}
"""By which column the rows of another are cut; by ``offsets`` unless another is named here."""
FEATURES = ("frames", "words", "sentences")
_AXES = {"frames": 2, "words": 2, "sentences": 2, "patches": 3, "patch_scales": 2}
"""Axes of the columns that have more than one."""
_OF_ITEMS = ("sentence_row", "truncated")
"""Columns of numbers that have one for each item, not for each row."""


def numbers(path: Path, file: h5py.File, name: str) -> NDArray[Any]:
    """A column of numbers as a read-only memory map.

    Raises:
        StoreError: there is no such column, or it cannot be one of a shard.
    """
    column = _column(path, file, name)
    try:
        if column.dtype.kind not in _NUMBERS:
            raise ValueError(f"it holds {column.dtype}")
        place = column.id.get_offset()
        if place is None:  # an empty column has no place in the file
            return np.zeros(column.shape, column.dtype)
        # As a plain array: slicing numpy's memmap class costs several times more than slicing what it maps.
        return np.asarray(np.memmap(path, dtype=column.dtype, mode="r", offset=place, shape=column.shape))
    except _REFUSALS as error:
        raise _damaged(path, name, error) from error


def strings(path: Path, file: h5py.File, name: str) -> list[str]:
    """A column of strings.

    Raises:
        StoreError: there is no such column, or it does not hold UTF-8.
    """
    column = _column(path, file, name)
    try:
        return [str(value) for value in column.asstr()[:]]
    except _REFUSALS as error:
        raise _damaged(path, name, error) from error


def check_boundaries(path: Path, name: str, boundaries: NDArray[Any]) -> NDArray[Any]:
    """The boundaries themselves, if they cut rows one after another.

    Raises:
        StoreError: they do not.
    """
    is_line = boundaries.ndim == 1 and boundaries.dtype.kind == "i" and len(boundaries) > 0
    if not is_line or boundaries[0] != 0 or (np.diff(boundaries) < 0).any():
        raise _damaged(path, name, "it does not rise from 0")
    return boundaries


def boundaries_of(name: str) -> str | None:
    """The column that says which rows of this one belong to which item; None of a column that is one itself."""
    return None if name.endswith("offsets") else _BOUNDARIES.get(name, "offsets")


def check_length(path: Path, name: str, length: int, boundaries: NDArray[Any], *, of_items: bool) -> None:
    """Refuse a column that has more or fewer rows than its boundaries, or its items, say."""
    wanted = len(boundaries) - 1 if of_items or name in _OF_ITEMS else int(boundaries[-1])
    if length != wanted:
        raise _damaged(path, name, f"it has {length:,} entries, not {wanted:,}")


def check_width(path: Path, name: str, features: NDArray[Any], dim: int) -> None:
    """Refuse features of another width than the encoder's, or of another kind than numbers with a point."""
    if features.dtype.kind != "f" or features.shape[1] != dim:
        raise _damaged(path, name, f"it holds {features.dtype} {features.shape[1]} wide, not {dim}")


def _column(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    try:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError("there is none")
        column = file[name]
        if not isinstance(column, h5py.Dataset):
            raise ValueError("it is a group")
        if column.external or column.is_virtual or column.chunks is not None:
            raise ValueError("its bytes are not in one piece in this file")
        if column.ndim != _AXES.get(name, 1):
            raise ValueError(f"its shape is {column.shape}")
        if column.size is None or column.size * column.dtype.itemsize > path.stat().st_size:
            raise ValueError(f"its shape {column.shape} is larger than the file")
    except _REFUSALS as error:
        raise _damaged(path, name, error) from error
    return column


def _damaged(path: Path, name: str, why: object) -> StoreError:
    return StoreError(
        f"{path}: column {name!r} is not one of a tvr store, or damaged: {why or type(why).__name__}. "
        f"`tvr verify --store {path.parent} --repair` mends what was damaged"
    )
