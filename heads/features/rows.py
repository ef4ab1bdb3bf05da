"""Rows of many items one after another, in memory or mapped, of which a batch is a selection."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ...pipeline.store.reader import common_dtype

Device = torch.device | str


class ConcatenatedArrays:
    """Arrays end to end along their first axis. Indexing with row numbers copies those rows and nothing else.

    Args:
        arrays: at least one, all of one width; as numbers they may differ, and rows that are copied are what
            ``common_dtype`` says.
    """

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self.arrays = list(arrays)
        self.dtype = common_dtype(self.arrays)
        self.bounds = np.cumsum([0, *(len(array) for array in self.arrays)])

    @property
    def shape(self) -> tuple[int, ...]:
        """As that of one array."""
        return (int(self.bounds[-1]), *self.arrays[0].shape[1:])

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.dtype.itemsize

    def __getitem__(self, index: Int[np.ndarray, " row"]) -> NDArray[Any]:
        rows = np.empty((len(index), *self.shape[1:]), self.dtype)
        owner = np.searchsorted(self.bounds, index, side="right") - 1
        for place in np.unique(owner):
            own = owner == place
            rows[own] = self.arrays[place][index[own] - self.bounds[place]]
        return rows


Values = np.ndarray | Tensor | ConcatenatedArrays
"""Numbers by row."""


class Rows:
    """Features of items of unequal length. Item ``i`` owns ``lengths[i]`` rows from ``starts[i]`` on.

    Lengths and starts stay on the CPU, so that planning a batch never waits for a GPU. The values are
    resident on a device, or a numpy array (a memory map, where they do not fit) of which each batch is
    copied there.
    """

    def __init__(
        self,
        values: Values,
        starts: Int[Tensor, " item"],
        lengths: Int[Tensor, " item"],
        device: Device = "cpu",
    ) -> None:
        self.values = values
        self.starts = starts
        self.lengths = lengths
        self.device = torch.device(device)

    @classmethod
    def of(cls, values: Float[np.ndarray, "row dim"], offsets: Int[np.ndarray, " boundary"]) -> "Rows":
        """Rows as a store keeps them: item ``i`` has rows ``offsets[i]`` to ``offsets[i + 1]``."""
        boundaries = torch.from_numpy(np.asarray(offsets, dtype=np.int64))
        # torch cannot share memory that is read-only; such arrays are gathered from with numpy.
        shared = torch.from_numpy(values) if values.flags.writeable else values
        return cls(shared, boundaries[:-1], boundaries.diff())

    @property
    def longest(self) -> int:
        """Rows of the longest item, 0 where there is none."""
        return int(self.lengths.max()) if len(self.lengths) else 0

    @property
    def num_bytes(self) -> int:
        """Size of the rows of these items."""
        size = self.values.element_size() if isinstance(self.values, Tensor) else self.values.itemsize
        return int(self.lengths.sum()) * self.values.shape[1] * size

    @property
    def is_resident(self) -> bool:
        """Whether the values are on the device of the batches."""
        return isinstance(self.values, Tensor) and self.values.device.type == self.device.type

    def chosen(self, items: Int[Tensor, " chosen"]) -> "Rows":
        """The same values seen as only the chosen items, in that order."""
        return Rows(self.values, self.starts[items], self.lengths[items], self.device)

    def placed_on(self, device: Device, *, resident: bool) -> "Rows":
        """The rows for batches on ``device``: moved there as a whole, or copied batch by batch."""
        if not resident:
            return Rows(self.values, self.starts, self.lengths, device)
        if isinstance(self.values, Tensor):
            return Rows(self.values.to(device), self.starts, self.lengths, device)
        # Only the rows of these items: the files may hold those of other splits as well.
        first = self.lengths.cumsum(0) - self.lengths
        index = torch.arange(int(self.lengths.sum())) + (self.starts - first).repeat_interleave(self.lengths)
        return Rows(torch.from_numpy(self.values[index.numpy()]).to(device), first, self.lengths, device)

    def gather(
        self,
        items: Int[Tensor, " chosen"],
        positions: Int[Tensor, "chosen part"],
        mask: Bool[Tensor, "chosen part"],
    ) -> tuple[Float[Tensor, "chosen part dim"], Bool[Tensor, "chosen part"]]:
        """The named rows of each item on the device as float32, padding set to 0, and the mask beside
        them."""
        index = (self.starts[items][:, None] + positions).flatten()
        values = self._taken(index).view(*positions.shape, -1)
        mask = _moved(mask, self.device)
        return values.float().masked_fill_(~mask[..., None], 0.0), mask

    def row(
        self, items: Int[Tensor, " chosen"], position: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "chosen dim"]:
        """One row of each item on the device, as float32."""
        return self._taken(self.starts[items] + position).float()

    def _taken(self, index: Int[Tensor, " row"]) -> Float[Tensor, "row dim"]:
        if isinstance(self.values, Tensor) and self.values.device.type == self.device.type:
            return self.values.index_select(0, _moved(index, self.device))
        if isinstance(self.values, Tensor):
            return _moved(self.values.index_select(0, index), self.device)
        return _moved(torch.from_numpy(self.values[index.numpy()]), self.device)


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; from pinned memory where that lets the copy overlap with computing."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
