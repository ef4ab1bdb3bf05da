"""One shard, opened once and read as if anybody might have made the file.

A column that a shard of tvr cannot have is refused before a byte of it is asked for: one that is elsewhere (another
file, a link, a plug-in's compression), or larger than its file, which would fill the memory or take for ever.
"""

import errno
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from h5py.h5l import TYPE_HARD
from numpy.typing import NDArray

from ...data.contracts.errors import StoreError, pasteable
from ...data.contracts.open_files import allow_open_files, most_open_files
from .receipts import Receipt, load_receipt
from .shards import structure_sha256


@dataclass(frozen=True, slots=True)
class _Column:
    """What a column holds, and how many entries it has."""

    holds: Literal["strings", "boundaries", "features", "numbers"]
    entries: Literal["items", "offsets", "sentence_offsets"] = "items"
    """As many as there are items, or as the last of these boundaries says."""
    axes: int = 1


_COLUMNS: Mapping[str, _Column] = {
    "offsets": _Column("boundaries"),
    "sentence_offsets": _Column("boundaries"),
    "ids": _Column("strings"),
    "status": _Column("strings"),
    "reason": _Column("strings"),
    "decoder": _Column("strings"),
    "frames": _Column("features", "offsets", axes=2),
    "frame_seconds": _Column("numbers", "offsets"),
    "frame_index": _Column("numbers", "offsets"),
    "patches": _Column("numbers", "offsets", axes=3),
    "patch_scales": _Column("numbers", "offsets", axes=2),
    "video_ids": _Column("strings"),
    "texts": _Column("strings"),
    "words": _Column("features", "offsets", axes=2),
    "token_ids": _Column("numbers", "offsets"),
    "sentence_row": _Column("numbers"),
    "truncated": _Column("numbers"),
    "sentences": _Column("features", "sentence_offsets", axes=2),
}
"""Every column of a shard of videos or of texts; boundaries come before what they cut."""

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


class ShardReader:
    """The columns of one shard: numbers mapped into memory, strings read. The file itself is closed again.

    HDF5 hangs for ever on one damaged shard in two hundred, in native code that nothing can interrupt. So no byte of
    the file's structure reaches it before it was compared with the receipt; rows are mapped, not read by HDF5.

    Args:
        path: of the shard.
        dim: width of a feature, where it is known.
        receipt: of the shard, where it has been read already.

    Raises:
        StoreError: the shard is absent, its structure is not what was written, or a column cannot be one of a shard.
    """

    def __init__(self, path: Path, dim: int | None = None, receipt: Receipt | None = None) -> None:
        self.path = path
        self._dim = dim
        self._arrays: dict[str, NDArray[Any]] = {}
        self._strings: dict[str, list[str]] = {}
        file, mapped = _open_checked(path, receipt)
        with file:
            names = set(file)
            for name, kind in _COLUMNS.items():
                try:
                    if name in names:
                        self._read(name, kind, file, mapped)
                except _REFUSALS as error:
                    raise self._damaged(name, error) from error

    def array(self, name: str) -> NDArray[Any]:
        """A column of numbers as a read-only memory map: no HDF5 lock, pages shared between processes.

        Raises:
            StoreError: the shard has no such column.
        """
        if name not in self._arrays:
            raise self._damaged(name, "there is none")
        return self._arrays[name]

    def strings(self, name: str) -> list[str]:
        """A column of strings, one for each item.

        Raises:
            StoreError: the shard has no such column.
        """
        if name not in self._strings:
            raise self._damaged(name, "there is none")
        return self._strings[name]

    def items(self, name: str, places: Sequence[int]) -> list[NDArray[Any]]:
        """What a column of numbers holds of each of the items at these places, mapped as well.

        Raises:
            StoreError: the shard has no such column.
        """
        values, entries = self.array(name), _COLUMNS[name].entries
        if entries == "items":
            return [values[place : place + 1] for place in places]
        cuts = self.array(entries).tolist()
        return [values[cuts[place] : cuts[place + 1]] for place in places]

    @property
    def ids(self) -> list[str]:
        """Item ids in stored order."""
        return self.strings("ids")

    @property
    def has_sentences(self) -> bool:
        """Whether the texts are paragraphs whose sentences were encoded one by one as well."""
        return "sentences" in self._arrays

    def _read(self, name: str, kind: _Column, file: h5py.File, mapped: NDArray[np.uint8]) -> None:
        column = _sound_column(file, name, kind.axes, len(mapped))
        if kind.holds == "strings":
            self._strings[name] = [str(value) for value in column.asstr()[:]]
        else:
            values = self._arrays[name] = _mapped_column(column, mapped)
            if kind.holds == "boundaries":
                _check_boundaries(values)
            elif kind.holds == "features":
                _check_features(values, self._dim)
        wanted = self._num_entries(name, kind)
        if len(column) != wanted:
            raise ValueError(f"it has {len(column):,} entries, not {wanted:,}")

    def _num_entries(self, name: str, kind: _Column) -> int:
        if kind.entries != "items":
            return int(self.array(kind.entries)[-1])
        return len(self.array("offsets")) - (kind.holds != "boundaries")

    def _damaged(self, name: str, why: object) -> StoreError:
        return StoreError(
            f"{self.path}: column {name!r} is not one of a tvr store, or damaged: {why or type(why).__name__}. "
            f"`tvr verify --store {pasteable(self.path.parent)} --repair` mends what was damaged"
        )


def _open_checked(path: Path, receipt: Receipt | None) -> tuple[h5py.File, NDArray[np.uint8]]:
    """The shard, without file locks (NFS and Lustre may have none), once its structure is what was written; all its
    bytes in one mapping, for one mapping a column would hold one file descriptor a column."""
    try:
        receipt = receipt or load_receipt(path)
        if (
            path.stat().st_size != receipt.bytes
            or structure_sha256(path, receipt.rows_at) != receipt.structure_sha256
        ):
            raise ValueError("it is not what was written")
        mapped = np.memmap(path, np.uint8, "r")
        return h5py.File(path, "r", locking=False), mapped
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            if allow_open_files():
                return _open_checked(path, receipt)
            raise StoreError(
                f"{path} is one of more shards than this process may have files open ({most_open_files():,}): allow "
                "more with `ulimit -n`, or extract into larger shards, with --videos-per-shard"
            ) from error
        raise StoreError(
            f"{path} cannot be read ({error}); `tvr verify --store {pasteable(path.parent)}` lists what is damaged, "
            "and mends it with --repair"
        ) from error


def _sound_column(file: h5py.File, name: str, axes: int, file_bytes: int) -> h5py.Dataset:
    """The column, if its bytes lie in one piece in this file and can be so many; ValueError otherwise."""
    if file.id.links.get_info(name.encode()).type != TYPE_HARD:
        raise ValueError("it is a link")
    column = file[name]
    if not isinstance(column, h5py.Dataset):
        raise ValueError("it is a group")
    if column.external or column.is_virtual or column.chunks is not None:
        raise ValueError("its bytes are not in one piece in this file")
    if column.ndim != axes:
        raise ValueError(f"its shape is {column.shape}")
    if math.prod(column.shape) * column.dtype.itemsize > file_bytes:
        raise ValueError(f"its shape {column.shape} is larger than the file")
    return column


def _mapped_column(column: h5py.Dataset, mapped: NDArray[np.uint8]) -> NDArray[Any]:
    dtype, place = column.dtype, column.id.get_offset()
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"it holds {dtype}")
    if place is None:  # an empty column has no place in the file
        return np.zeros(column.shape, dtype)
    # A plain array: slicing numpy's memmap class costs several times more than slicing what it maps.
    return np.ndarray(column.shape, dtype, mapped, place)


def _check_boundaries(boundaries: NDArray[Any]) -> None:
    """Refuse what does not cut rows one after another."""
    is_line = boundaries.dtype.kind == "i" and len(boundaries) > 0
    if not is_line or boundaries[0] != 0 or (np.diff(boundaries) < 0).any():
        raise ValueError("it does not rise from 0")


def _check_features(features: NDArray[Any], dim: int | None) -> None:
    """Refuse features of another width than the encoder's, or of another kind than numbers with a point."""
    if dim is not None and (features.dtype.kind != "f" or features.shape[1] != dim):
        raise ValueError(f"it holds {features.dtype} {features.shape[1]} wide, not {dim}")
