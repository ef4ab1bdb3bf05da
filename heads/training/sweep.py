"""Many trials at once: on this machine's processes, as one shard of a job array, or on Dask."""

import json
import multiprocessing
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ...data.contracts.errors import UsageError
from ...pipeline.cluster_choice import ClusterChoice
from ...pipeline.durable import write_json
from ...pipeline.store import FeatureStore
from .run_folder import RESULT, read_metrics
from .trial_process import FAILED, TrialTask, on_device, record_failure, run_trial
from .trials import Trial

SECONDS_BETWEEN_LOOKS = 0.05

Told = Callable[[int, int, str], None]
"""Told of every trial that ends: how many are done, of how many, and its name."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """How one trial ended."""

    name: str
    group: str
    folder: str
    score: float | None
    """Validation score of the best epoch; None where there is none."""
    best_epoch: int | None
    figures: dict[str, float]
    """Validation figures of the best epoch by name, such as ``t2v R@1``."""
    seconds: float | None
    failure: str | None
    """Why it failed; None where it did not, or has not run yet."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Trials that differ by their seed only."""

    group: str
    trials: int
    """Finished ones."""
    failures: int
    pending: int
    mean: float | None
    """Mean validation score over the seeds."""
    deviation: float | None
    """Sample standard deviation over the seeds, from two on."""
    figures: dict[str, tuple[float, float | None]]
    """Mean and deviation of each validation figure."""
    seconds: float | None
    """Mean training time."""


def open_for_sweep(folder: Path) -> FeatureStore:
    """A store whose validation split can decide between trials.

    Raises:
        StoreError: there is no complete store.
        UsageError: it has no validation split.
    """
    store = FeatureStore.open(folder)
    if "val" not in store.splits:
        raise UsageError(
            f"a sweep compares trials on a validation split, and {folder} has only "
            f"{', '.join(sorted(store.splits))}. Extract with a data set that holds one out, such as folder."
        )
    return store


def tasks_of(trials: Sequence[Trial], store: Path, sweep: Path, threads: int = 0) -> list[TrialTask]:
    """Each trial with its run folder below the sweep's."""
    return [TrialTask(trial, store, sweep / "trials" / trial.name, threads) for trial in trials]


def to_do(tasks: Sequence[TrialTask], *, retry_failed: bool) -> list[TrialTask]:
    """Tasks that have not ended yet; those that failed too if they shall be tried again."""
    return [task for task in tasks if not task.is_done and (retry_failed or not task.has_failed)]


def run_in_processes(tasks: Sequence[TrialTask], workers: int, told: Told | None = None) -> None:
    """Run tasks in fresh processes, ``workers`` at a time. A process that dies is a failed trial, no more.

    An interrupt ends the children; running the sweep again goes on with their last finished epochs.
    """
    waiting = list(tasks)
    running: dict[int, tuple[TrialTask, BaseProcess]] = {}
    ended = 0
    try:
        while waiting or running:
            for worker in [w for w in range(workers) if w not in running][: len(waiting)]:
                running[worker] = _started(on_device(waiting.pop(0), worker))
            time.sleep(SECONDS_BETWEEN_LOOKS)
            for worker in [w for w, (_, process) in running.items() if not process.is_alive()]:
                task, process = running.pop(worker)
                _close(task, process)
                ended += 1
                if told:
                    told(ended, len(tasks), task.trial.name)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def run_on_dask(tasks: Sequence[TrialTask], cluster: ClusterChoice, told: Told | None = None) -> None:
    """Run tasks on the workers of a cluster, which must see the store and the sweep's folder.

    Raises:
        ClusterError: no scheduler or worker answers, or a worker has other packages than this machine.
    """
    # Here, because distributed takes longer to import than a small head to train.
    from ...pipeline.cluster_check import connected_workers, ended

    with connected_workers(cluster) as client:
        futures = {client.submit(run_trial, _absolute(task), pure=False, retries=1): task for task in tasks}
        for done, future in enumerate(ended(client, list(futures), cluster.wait_seconds), start=1):
            task = futures[future]
            if future.status == "error":
                record_failure(task, f"its Dask worker died: {future.exception()}")
            if told:
                told(done, len(tasks), task.trial.name)


def rows_of(tasks: Sequence[TrialTask]) -> list[TrialRow]:
    """How each trial ended, the best validation score first; failed ones and those to come at the end."""
    rows = [_row(task) for task in tasks]
    return sorted(rows, key=lambda row: (row.score is None, -(row.score or 0.0), row.name))


def groups_of(rows: Sequence[TrialRow]) -> list[GroupRow]:
    """Mean and deviation over seeds, the best mean first."""
    names = dict.fromkeys(row.group for row in rows)
    groups = [_group(name, [row for row in rows if row.group == name]) for name in names]
    return sorted(groups, key=lambda group: (group.mean is None, -(group.mean or 0.0), group.group))


def save_table(sweep: Path, rows: Sequence[TrialRow]) -> Path:
    """``sweep.json``: all trials and groups."""
    path = sweep / "sweep.json"
    tables = {"groups": groups_of(rows), "trials": rows}
    write_json(path, {name: [asdict(row) for row in table] for name, table in tables.items()})
    return path


def _absolute(task: TrialTask) -> TrialTask:
    """With paths that hold wherever a worker was started."""
    return replace(task, store=task.store.absolute(), folder=task.folder.absolute())


def _started(task: TrialTask) -> tuple[TrialTask, BaseProcess]:
    # Spawned, because a forked child of a process that has used CUDA or threads may hang.
    process = multiprocessing.get_context("spawn").Process(target=run_trial, args=(task,), daemon=False)
    process.start()
    return task, process


def _close(task: TrialTask, process: BaseProcess) -> None:
    """Record what a dead child could not record itself."""
    process.join()
    code = process.exitcode or 0
    if code < 0:
        hint = " (the system kills processes that use too much memory)" if -code == signal.SIGKILL else ""
        record_failure(task, f"killed by signal {signal.Signals(-code).name}{hint}")
    elif not task.is_done and not task.has_failed:
        record_failure(task, f"its process ended with exit code {code} and no result")


def _row(task: TrialTask) -> TrialRow:
    failure = _read(task.folder / FAILED)
    result = _read(task.folder / RESULT)
    done = result is not None
    return TrialRow(
        name=task.trial.name,
        group=task.trial.group,
        folder=str(task.folder),
        score=result["best_score"] if done else None,
        best_epoch=result["best_epoch"] if done else None,
        figures=_figures(task.folder, result["best_epoch"]) if done else {},
        seconds=result["seconds"] if done else None,
        failure=None if failure is None or done else failure["reason"],
    )


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _figures(folder: Path, epoch: int) -> dict[str, float]:
    validation = next(line["val"] for line in read_metrics(folder) if line["epoch"] == epoch) or {}
    directions = [name for name in ("t2v", "v2t") if name in validation]
    return {f"{way} R@{k}": validation[way][f"R@{k}"] for way in directions for k in (1, 5, 10)}


def _group(name: str, rows: Sequence[TrialRow]) -> GroupRow:
    done = [row for row in rows if row.score is not None]
    failures = sum(row.failure is not None for row in rows)
    scores = [row.score for row in done if row.score is not None]
    mean, deviation = _mean_and_deviation(scores)
    figures = {
        key: _mean_and_deviation([row.figures[key] for row in done])
        for key in (done[0].figures if done else ())
    }
    return GroupRow(
        group=name,
        trials=len(done),
        failures=failures,
        pending=len(rows) - len(done) - failures,
        mean=mean,
        deviation=deviation,
        figures={key: (m, d) for key, (m, d) in figures.items() if m is not None},
        seconds=_mean_and_deviation([row.seconds for row in done if row.seconds is not None])[0],
    )


def _mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
