"""Rows of parquet files of any size, a few of them in memory at a time, and written a part at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from jaxtyping import Float
from numpy.typing import NDArray
from pyarrow import parquet

from ...data.contracts.errors import DataError
from ..store.atomic_files import atomic_write

BATCH_ROWS = 128
"""In memory at a time: of videos with 512 frames, 64 MB."""


class ParquetRows:
    """The rows of several parquet files, one behind the other, with the same columns.

    Rows are asked for in their order; another order reads much more than it gives.

    Raises:
        DataError: a file cannot be read, or lacks a column that the first one has.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        self.columns: list[str] = []
        groups: list[tuple[int, int]] = []
        sizes: list[int] = []
        for number, path in enumerate(self._files):
            with _opened(path) as file:
                names = list(file.schema_arrow.names)
                if number and set(names) != set(self.columns):
                    others = f"{self._files[0]} {', '.join(self.columns)}"
                    raise DataError(f"{path}: has the columns {', '.join(names)}, {others}")
                self.columns = names
                for group in range(file.metadata.num_row_groups):
                    groups.append((number, group))
                    sizes.append(file.metadata.row_group(group).num_rows)
        self._groups = groups
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._read: Iterator[dict[str, Any]] = iter(())
        self._at = -1

    def __len__(self) -> int:
        return int(self._starts[-1])

    def values(self, name: str) -> Iterator[Any]:
        """The values of one column, of every row."""
        for path in self._files:
            with _opened(path) as file:
                try:
                    for batch in file.iter_batches(1 << 16, columns=[name]):
                        yield from batch.column(0).to_pylist()
                except _REFUSALS as error:
                    raise _damaged(path, error) from error

    def ids(self, name: str) -> Iterator[str]:
        """The values of a column of ids.

        Raises:
            DataError: a row has none.
        """
        for row, value in enumerate(self.values(name)):
            if value is None or value == "":
                raise DataError(f"{self.file_of(row)}: row {row - int(self._begin_of(row))} has no {name}")
            yield str(value)

    def row(self, place: int) -> dict[str, Any]:
        """A row, as scalars of Arrow by column."""
        if place != self._at:
            self._read, self._at = self._from(place), place
        self._at += 1
        return next(self._read)

    def file_of(self, place: int) -> Path:
        """In which file a row lies."""
        group = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self._files[self._groups[group][0]]

    def _begin_of(self, place: int) -> int:
        """At which row of all the file of a row begins."""
        number = self._files.index(self.file_of(place))
        return int(self._starts[next(at for at, (of, _) in enumerate(self._groups) if of == number)])

    def _from(self, place: int) -> Iterator[dict[str, Any]]:
        first = int(np.searchsorted(self._starts, place, side="right")) - 1
        skip = place - int(self._starts[first])
        for number, path in enumerate(self._files):
            wanted = [group for at, (of, group) in enumerate(self._groups) if of == number and at >= first]
            if not wanted:
                continue
            with _opened(path) as file:
                try:
                    for batch in file.iter_batches(BATCH_ROWS, row_groups=wanted):
                        columns = {name: batch.column(at) for at, name in enumerate(batch.schema.names)}
                        for row in range(min(skip, batch.num_rows), batch.num_rows):
                            yield {name: column[row] for name, column in columns.items()}
                        skip = max(0, skip - batch.num_rows)
                except _REFUSALS as error:
                    raise _damaged(path, error) from error


_REFUSALS = (pyarrow.ArrowException, OSError, ValueError, MemoryError)


def _opened(path: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path, memory_map=False)
    except _REFUSALS as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path}: no parquet file that can be read, or a damaged one: {error}. Copy it again")


def cell_rows(value: Any, place: str) -> Float[np.ndarray, "row dim"] | None:
    """Features of a cell: a list of lists, or a single list, of numbers; None of an empty cell.

    Raises:
        DataError: it holds something else, or rows of several widths.
    """
    if value is None or not value.is_valid:
        return None
    inner = value.values
    if pyarrow.types.is_fixed_size_list(inner.type):
        width, flat = inner.type.list_size, inner.flatten()
    elif pyarrow.types.is_list(inner.type) or pyarrow.types.is_large_list(inner.type):
        widths = {len(one) for one in inner}
        if len(widths) > 1:
            raise DataError(f"{place}: its rows are of {len(widths)} widths")
        width, flat = next(iter(widths), 0), inner.flatten()
    else:
        width, flat = len(inner), inner
    if not pyarrow.types.is_floating(flat.type):
        raise DataError(f"{place}: holds {flat.type}, not numbers with a point")
    if flat.null_count or len(flat) % max(width, 1):
        raise DataError(f"{place}: has empty cells among its numbers")
    return flat.to_numpy(zero_copy_only=False).reshape(-1, max(width, 1))


def numbers_of_cell(value: Any, place: str) -> NDArray[Any] | None:
    """A list of numbers; None of an empty cell.

    Raises:
        DataError: it holds something else.
    """
    if value is None or not value.is_valid:
        return None
    try:
        numbers = np.asarray(value.values.to_numpy(zero_copy_only=False))
    except (AttributeError, *_REFUSALS) as error:
        raise DataError(f"{place}: is no list of numbers: {error}") from error
    if numbers.dtype.kind not in "iuf":
        raise DataError(f"{place}: holds {value.values.type} where numbers are wanted")
    return numbers


def feature_column(parts: Sequence[NDArray[Any]], dim: int) -> Any:
    """Rows of each item as ``list<fixed_size_list<halffloat or float>[dim]>``."""
    dtype = np.result_type(np.float16, *{part.dtype for part in parts})
    flat = np.concatenate([np.zeros((0, dim), dtype), *parts]).astype(dtype, copy=False).reshape(-1)
    fixed = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat), dim)
    return pyarrow.ListArray.from_arrays(_bounds(parts), fixed)


def number_column(parts: Sequence[NDArray[Any]], dtype: Any) -> Any:
    """Numbers of each item as a list."""
    flat = np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)
    return pyarrow.ListArray.from_arrays(_bounds(parts), pyarrow.array(flat))


def _bounds(parts: Sequence[NDArray[Any]]) -> Any:
    return pyarrow.array(np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int32))


def write_table(path: Path, columns: dict[str, Any], row_group_size: int = 1024) -> None:
    """Write a parquet file and put it in its place as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as beside:
        parquet.write_table(pyarrow.table(columns), beside, row_group_size=row_group_size)
