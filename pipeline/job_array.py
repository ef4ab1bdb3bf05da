"""One job's share of a job array: every n-th item, without any scheduler."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..data.contracts.errors import UsageError

AUTO = "auto"
"""Written in place of i/n or of i: ask the job array that this process belongs to."""

_MOST_DIGITS = 10
"""Of a number of jobs."""

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
            UsageError: it is none of these, i is not within 1 and n, there is no job array to ask, or the array's
                jobs are not numbered so that together they would do everything.
        """
        index, slash, count = text.partition("/")
        if text == AUTO:
            return _of_slurm(environment)
        if index == AUTO:
            index = str(_array_index(environment))
            _refuse_step(environment, _number({"n": count}, "n"))
        if not (slash and _is_number(index) and _is_number(count) and 1 <= int(index) <= int(count)):
            raise UsageError(
                f"--shard must be i/n with i from 1 to n (1/4, 2/4, 3/4, 4/4), auto/n or auto, got {text!r}"
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
        if _is_number(environment.get(name, "")):
            return int(environment[name])
    raise UsageError(
        "--shard auto asks the job array which job this is, but neither SLURM_ARRAY_TASK_ID nor PBS_ARRAY_INDEX "
        "is set: submit with `sbatch --array=1-N` or `qsub -J 1-N`, or write the share as 1/N, 2/N, ..."
    )


def _of_slurm(environment: Mapping[str, str]) -> JobShare:
    """Job i of an array 1-n, or job i + 1 of an array 0-(n - 1); with a step, the jobs in their order."""
    index, first, last = _array_index(environment), *_bounds(environment)
    if first not in (0, 1):
        raise UsageError(
            f"--shard auto needs an array that begins at 0 or 1, got one that begins at {first}: write "
            "auto/N, by which job i is i/N"
        )
    step = _number(environment, "SLURM_ARRAY_TASK_STEP") or 1
    jobs = (last - first) // step + 1
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
    if (index - first) % step or not first <= index <= last or count not in (None, jobs):
        raise UsageError(
            f"--shard auto needs an array of all numbers from {first} to {last}, got one of {count} numbers: submit "
            f"with `sbatch --array=1-N`, or write auto/N, by which job i is i/N"
        )
    return JobShare((index - first) // step + 1, jobs)


def _refuse_step(environment: Mapping[str, str], count: int | None) -> None:
    """Some numbers of an array may be jobs that are repeated; those from the first to the last, by steps, are not."""
    step = _number(environment, "SLURM_ARRAY_TASK_STEP") or 1
    if count is None or step == 1 or _number(environment, "SLURM_ARRAY_TASK_COUNT") == 1:
        return
    first, last = _bounds(environment)
    if first <= 1 and last + step > count:
        raise UsageError(
            f"--shard auto/n takes job i of an array for i/n, and this array counts in steps of {step}: "
            "most shares would have no job. Submit with `sbatch --array=1-N`, or write auto: the jobs in their order"
        )


def _number(environment: Mapping[str, str], name: str) -> int | None:
    """A positive number that the scheduler tells, or None."""
    text = environment.get(name, "")
    return int(text) if _is_number(text) and int(text) > 0 else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _MOST_DIGITS


def _bounds(environment: Mapping[str, str]) -> tuple[int, int]:
    bounds = [environment.get(f"SLURM_ARRAY_TASK_{name}", "") for name in ("MIN", "MAX")]
    if not all(map(_is_number, bounds)):
        raise UsageError("--shard auto knows the number of jobs from Slurm alone; here, write auto/N")
    return int(bounds[0]), int(bounds[1])
