"""One job's share of a job array: every n-th item, without any scheduler."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..data.contracts.errors import UsageError

AUTO = "auto"
"""Written in place of i/n or of i: ask the job array that this process belongs to."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class JobShare:
    """Job ``index`` of ``count``, counted from 1."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> "JobShare":
        """``i/n`` as a share; ``auto/n`` takes i from the job array, ``auto`` takes n from Slurm too.

        Raises:
            UsageError: it is none of these, i is not within 1 and n, or there is no job array to ask.
        """
        index, slash, count = text.partition("/")
        if text == AUTO:
            return _of_slurm(environment)
        if index == AUTO:
            index = str(_array_index(environment))
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise UsageError(
                f"shard must be i/n with i from 1 to n (1/4, 2/4, 3/4, 4/4), auto/n or auto, got {text!r}"
                + (f" in job {index} of an array" if text.startswith(AUTO) else "")
            )
        return cls(int(index), int(count))

    def of(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """This job's items. The shares of all n jobs together are all items, each once."""
        return items[self.index - 1 :: self.count]


EVERYTHING = JobShare()
"""The share of a job that is alone."""


def _array_index(environment: Mapping[str, str]) -> int:
    for name in ("SLURM_ARRAY_TASK_ID", "PBS_ARRAY_INDEX"):
        if environment.get(name, "").isdecimal():
            return int(environment[name])
    raise UsageError(
        "shard auto asks the job array which job this is, but neither SLURM_ARRAY_TASK_ID nor PBS_ARRAY_INDEX "
        "is set: submit with `sbatch --array=1-N` or `qsub -J 1-N`, or write the share as 1/N, 2/N, ..."
    )


def _of_slurm(environment: Mapping[str, str]) -> JobShare:
    """Job i of an array 1-n, or job i + 1 of an array 0-(n - 1)."""
    index, first, last = _array_index(environment), *_bounds(environment)
    if first not in (0, 1):
        raise UsageError(f"shard auto needs an array that begins at 0 or 1, got one that begins at {first}")
    return JobShare(index + 1 - first, last + 1 - first)


def _bounds(environment: Mapping[str, str]) -> tuple[int, int]:
    bounds = [environment.get(f"SLURM_ARRAY_TASK_{name}", "") for name in ("MIN", "MAX")]
    if not all(bound.isdecimal() for bound in bounds):
        raise UsageError("shard auto knows the number of jobs from Slurm alone; here, write auto/N")
    return int(bounds[0]), int(bounds[1])
