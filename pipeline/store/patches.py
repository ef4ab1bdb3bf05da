"""Patch tokens on their way into a shard: fifty to two hundred and fifty times the size of the frames' features.

They never lie in memory for a whole shard: each batch goes to a spool on the disk of the store, and from there,
in the order of the shard, into its file.
"""

import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import NDArray

from ...data.contracts.errors import StoreError, check_name
from .atomic_files import os_errors_as_store_error

PatchFormat = Literal["float16", "int8"]
"""float16: as they are. int8: a row is its integers times its own scale, half the size, wrong by 0.4 % of the
largest number of the row."""

_MAX_INT8 = 127
_FRAMES_PER_PIECE = 64


def patch_format(name: str) -> PatchFormat:
    """The number format of that name.

    Raises:
        UsageError: there is none.
    """
    check_name("--patches-dtype", name, get_args(PatchFormat))
    return cast(PatchFormat, name)


@dataclass(frozen=True, slots=True)
class PatchLayout:
    """How the patches of one frame are stored."""

    per_frame: int
    dim: int
    number_format: PatchFormat

    @property
    def has_scales(self) -> bool:
        """Whether each row has a scale."""
        return self.number_format == "int8"

    @property
    def record(self) -> np.dtype[Any]:
        """The patches of one frame as numpy's record."""
        fields: list[Any] = [("patches", self.number_format, (self.per_frame, self.dim))]
        return np.dtype(
            fields + ([("patch_scales", "float32", (self.per_frame,))] if self.has_scales else [])
        )

    @property
    def bytes_per_frame(self) -> int:
        """What a frame's patches take in the store."""
        return self.record.itemsize


@runtime_checkable
class PatchSource(Protocol):
    """Where the patches of frames lie."""

    def read(self, first: int, last: int) -> NDArray[Any]:
        """The records of frames ``first`` to ``last - 1``."""
        ...


class PatchSpool:
    """The patches of frames in the order in which they were encoded, in a file without a name.

    One serves all videos of a shard, so that a shard takes one open file however many videos it has. While a shard is
    written from it, a thread that encodes the next one may still add a video's first frames.

    Args:
        folder: on whose disk it lies.
        layout: how the patches are stored.
    """

    def __init__(self, folder: Path, layout: PatchLayout) -> None:
        self.layout = layout
        self._folder = folder
        self._num_frames = 0
        self._turn = threading.Lock()
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the spool
        weakref.finalize(self, self._file.close)

    def add(self, patches: Float32[np.ndarray, "frame patch dim"]) -> int:
        """Append the patches of a batch.

        Returns:
            Where its first frame lies, as ``read`` counts.

        Raises:
            StoreError: the disk is full, or a patch holds NaN or infinity, or a number that float16 cannot hold.
        """
        records = np.empty(len(patches), self.layout.record)
        if self.layout.has_scales:
            records["patches"], records["patch_scales"] = quantised(patches)
        else:
            with np.errstate(over="ignore"):
                records["patches"] = patches
            _check_finite(records["patches"], patches)
        first = self._num_frames
        with self._turn, os_errors_as_store_error(self._folder):
            self._file.seek(first * self.layout.record.itemsize)
            self._file.write(records.data)
        self._num_frames += len(records)
        return first

    def read(self, first: int, last: int) -> NDArray[Any]:
        """The records of frames ``first`` to ``last - 1``."""
        size = self.layout.record.itemsize
        with self._turn, os_errors_as_store_error(self._folder):
            self._file.seek(first * size)
            return np.frombuffer(self._file.read((last - first) * size), self.layout.record)


@dataclass(frozen=True, slots=True)
class StoredPatches:
    """The patches that a shard holds. Implements ``PatchSource``."""

    columns: Mapping[str, NDArray[Any]]
    """The arrays of the shard by name, mapped."""
    layout: PatchLayout

    def read(self, first: int, last: int) -> NDArray[Any]:
        """The records of frames ``first`` to ``last - 1``."""
        records = np.empty(last - first, self.layout.record)
        for name in records.dtype.names or ():
            records[name] = self.columns[name][first:last]
        return records


@dataclass(frozen=True, slots=True)
class SpooledPatches:
    """The patches of one video: stretches of other places, in the order of its frames."""

    stretches: Sequence[tuple[PatchSource, int, int]]
    """Where they lie, the first frame there, and the one after the last."""

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All records, a few frames at a time."""
        for source, first, last in self.stretches:
            for start in range(first, last, _FRAMES_PER_PIECE):
                yield source.read(start, min(last, start + _FRAMES_PER_PIECE))


def quantised(
    patches: Float32[np.ndarray, "frame patch dim"],
) -> tuple[NDArray[np.int8], Float32[np.ndarray, "frame patch"]]:
    """Integers and the scale of each row: integer times scale is the number.

    Raises:
        StoreError: a patch holds NaN or infinity.
    """
    _check_finite(patches, patches)
    scales = np.abs(patches).max(axis=-1) / _MAX_INT8
    steps = np.where(scales > 0, scales, 1)[..., None]
    return np.rint(patches / steps).astype(np.int8), scales.astype(np.float32)


def dequantised(values: NDArray[Any], scales: NDArray[Any] | None) -> Float[np.ndarray, "frame patch dim"]:
    """Patches as numbers again."""
    return values if scales is None else values * scales[..., None].astype(np.float32)


def _check_finite(stored: NDArray[Any], given: NDArray[Any]) -> None:
    if np.isfinite(stored).all():
        return
    if np.isfinite(given).all():
        raise StoreError("patch tokens are too large for float16; use --patches-dtype int8")
    raise StoreError("the encoder gave NaN or infinity in patch tokens; try --precision fp32")
