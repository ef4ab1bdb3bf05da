"""Where a user wants work to be done, before anything of it is started."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...data.contracts.errors import UsageError
from ...data.contracts.numbers import Count, as_option, check_numbers

LOCAL = "local"
GPU = "GPU"
"""Name of the Dask resource of which each worker process that has a GPU offers one."""

Queue = Literal["slurm", "pbs"]


@dataclass(frozen=True)
class ClusterConfig:
    """Where shards are done, as a user asks for it."""

    scheduler: str = LOCAL
    """``local``, the address of a Dask scheduler, or the file that it wrote (``--scheduler-file``)."""
    queue: Queue | None = None
    """Submit the workers as jobs."""
    workers: Count = 1
    """Worker processes to start, here or as jobs; of a scheduler's workers, how many to wait for."""
    wait_seconds: float = 60.0
    """How long to wait for a worker that fits, now and whenever all are gone."""
    wants_gpu: bool | None = None
    """Whether every worker must have a GPU; None: if any has one."""
    job: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings of a job, as dask-jobqueue calls them; members of a list are set apart by ``;``."""

    @property
    def workers_to_wait_for(self) -> int:
        """How many there must be before work begins; jobs of a queue come when they come."""
        return 1 if self.queue else self.workers

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"--workers must be at least 1, got {self.workers}")
        if self.wait_seconds <= 0:
            raise UsageError(f"--wait-seconds must be more than 0, got {self.wait_seconds}")
        check_numbers(self, as_option)
        if self.queue is not None and self.scheduler != LOCAL:
            raise UsageError(
                f"--{self.queue} submits workers, --scheduler uses those of a scheduler that runs: give one of both"
            )
        if self.job and self.queue is None:
            raise UsageError("--job needs a job queue to submit to: --slurm or --pbs")


def chosen_cluster(
    scheduler: str | None,
    queue: tuple[bool, bool],
    workers: int | None,
    wait_seconds: float | None,
    job: Mapping[str, str],
    device: str,
) -> ClusterConfig | None:
    """The cluster that a user asked for, or None where this process is to do the work.

    Args:
        scheduler: ``--scheduler``.
        queue: ``--slurm``, ``--pbs``.
        workers: ``--workers``.
        wait_seconds: ``--wait-seconds``.
        job: ``--job``.
        device: ``--device``.

    Raises:
        UsageError: options that exclude each other.
    """
    if not any(queue) and not job and scheduler in (None, "local") and workers in (None, 1):
        return None
    if all(queue):
        raise UsageError("a job goes to --slurm or to --pbs, not to both")
    return ClusterConfig(
        scheduler=scheduler or "local",
        queue="slurm" if queue[0] else "pbs" if queue[1] else None,
        workers=1 if workers is None else workers,
        wait_seconds=(3600.0 if any(queue) else 60.0) if wait_seconds is None else wait_seconds,
        wants_gpu={"cpu": False, "auto": None}.get(device, True),
        job=job,
    )
