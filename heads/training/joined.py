"""Arrays of several files used as one, without being read into memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray


class JoinedArrays:
    """Arrays end to end along their first axis. Indexing with row numbers copies those rows and nothing else."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self.arrays = list(arrays)
        self.bounds = np.cumsum([0, *(len(array) for array in self.arrays)])

    @property
    def shape(self) -> tuple[int, ...]:
        """As that of one array."""
        return (int(self.bounds[-1]), *self.arrays[0].shape[1:])

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.arrays[0].itemsize

    def __getitem__(self, index: Int[np.ndarray, " row"]) -> NDArray[Any]:
        rows = np.empty((len(index), *self.shape[1:]), self.arrays[0].dtype)
        owner = np.searchsorted(self.bounds, index, side="right") - 1
        for place in np.unique(owner):
            own = owner == place
            rows[own] = self.arrays[place][index[own] - self.bounds[place]]
        return rows
