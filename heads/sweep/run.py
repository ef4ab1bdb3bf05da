"""Many trials at once: on this machine's processes, as one shard of a job array, or on Dask."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from ...data.contracts.errors import UsageError
from ...pipeline.cluster.config import ClusterConfig
from ...pipeline.store.manifest import Manifest, load_manifest
from ...pipeline.store.reader import FeatureStore
from ..base import FeatureShape, build_head
from .grid import Trial
from .trial import FAILED, TrialTask, on_device, record_failure, run_trial, run_trials

POLL_SECONDS = 0.05

MAX_PARAMETERS = 1 << 26
"""Parameters of the heads that one process trains: a step of a larger one takes so long that a process's start is lost
in it, and whichever worker is free should take the next."""

OnTrialDone = Callable[[int, int, str], None]
"""Told of every trial that ends: how many are done, of how many, and its name."""


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


def pending_tasks(tasks: Sequence[TrialTask], *, retry_failed: bool) -> list[TrialTask]:
    """Tasks that have not ended yet; those that failed too if they shall be tried again."""
    return [task for task in tasks if not task.is_done and (retry_failed or not task.has_failed)]


def run_in_processes(
    tasks: Sequence[TrialTask], workers: int, on_trial_done: OnTrialDone | None = None
) -> None:
    """Run tasks in fresh processes, ``workers`` at a time. A process that dies is a failed trial, no more.

    If it trained several, each of them goes on alone. An interrupt ends the children; running the sweep again goes
    on with their last finished epochs.
    """
    for task in tasks:
        (task.folder / FAILED).unlink(missing_ok=True)
    waiting = bundles_of(tasks, workers)
    running: dict[int, tuple[list[TrialTask], BaseProcess]] = {}
    look = _Ended(tasks, on_trial_done)
    try:
        while waiting or running:
            for worker in [w for w in range(workers) if w not in running][: len(waiting)]:
                running[worker] = _started([on_device(task, worker) for task in waiting.pop(0)])
            time.sleep(POLL_SECONDS)
            for worker in [w for w, (_, process) in running.items() if not process.is_alive()]:
                bundle, process = running.pop(worker)
                waiting[:0] = _close(bundle, process)
            look()
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def run_on_dask(
    tasks: Sequence[TrialTask], cluster: ClusterConfig, on_trial_done: OnTrialDone | None = None
) -> None:
    """Run tasks on the workers of a cluster, which must see the store and the sweep's folder.

    Raises:
        ClusterError: no scheduler or worker answers, or a worker has other packages than this machine.
    """
    # Here, because distributed takes longer to import than a small head to train.
    from ...pipeline.cluster.preflight import as_completed, connected_workers

    with connected_workers(cluster) as client:
        futures = {client.submit(run_trial, _absolute(task), pure=False, retries=1): task for task in tasks}
        for done, future in enumerate(as_completed(client, list(futures), cluster.wait_seconds), start=1):
            task = futures[future]
            if future.status == "error":
                record_failure(task, f"its Dask worker died: {future.exception()}")
            if on_trial_done:
                on_trial_done(done, len(tasks), task.trial.name)


def _absolute(task: TrialTask) -> TrialTask:
    """With paths that hold wherever a worker was started."""
    return replace(task, store=task.store.absolute(), folder=task.folder.absolute())


def bundles_of(tasks: Sequence[TrialTask], workers: int) -> list[list[TrialTask]]:
    """Which trials one process trains: small ones of one head, as many as keep no worker idle.

    Starting a process takes longer than an epoch of a small head; a bundle pays for it once.
    """
    each = max(1, len(tasks) // workers)
    bundles: list[list[TrialTask]] = []
    room = 0
    manifests = {store: load_manifest(store) for store in {task.store for task in tasks}}
    for task in sorted(tasks, key=lambda task: (task.trial.head, task.trial.training.seed)):
        size = _num_parameters(task.trial, manifests[task.store])
        last = bundles[-1] if bundles else []
        if last and len(last) < each and last[0].trial.head == task.trial.head and size <= room:
            last.append(task)
        else:
            bundles.append([task])
            room = MAX_PARAMETERS
        room -= size
    return bundles


def _num_parameters(trial: Trial, manifest: Manifest) -> int:
    """Parameters of the trial's head; of one that cannot be built, so many that it is tried alone."""
    training = trial.training
    frames = training.num_frames or manifest.preset["num_frames"] or 1
    words = training.num_words or manifest.preset["max_words"] or 1
    try:
        with torch.device("meta"):
            head = build_head(trial.head, trial.head_config, FeatureShape(manifest.dim, frames, words))
    except UsageError:
        return MAX_PARAMETERS
    return sum(parameter.numel() for parameter in head.parameters())


class _Ended:
    """Tells of each task that has ended, once."""

    def __init__(self, tasks: Sequence[TrialTask], on_trial_done: OnTrialDone | None) -> None:
        self.open, self.count, self.on_trial_done = list(tasks), len(tasks), on_trial_done

    def __call__(self) -> None:
        for task in [task for task in self.open if task.is_done or task.has_failed]:
            self.open.remove(task)
            if self.on_trial_done:
                self.on_trial_done(self.count - len(self.open), self.count, task.trial.name)


def _started(bundle: list[TrialTask]) -> tuple[list[TrialTask], BaseProcess]:
    # Spawned, because a forked child of a process that has used CUDA or threads may hang.
    process = multiprocessing.get_context("spawn").Process(target=run_trials, args=(bundle,), daemon=False)
    process.start()
    return bundle, process


def _close(bundle: list[TrialTask], process: BaseProcess) -> list[list[TrialTask]]:
    """Record what a dead child could not record itself; the trials to be tried again alone."""
    process.join()
    code = process.exitcode or 0
    left = [task for task in bundle if not task.is_done and not task.has_failed]
    if len(bundle) > 1:
        return [[task] for task in left]
    for task in left:
        if code < 0:
            hint = " (the system kills processes that use too much memory)" if -code == signal.SIGKILL else ""
            record_failure(task, f"killed by signal {signal.Signals(-code).name}{hint}")
        else:
            record_failure(task, f"its process ended with exit code {code} and no result")
    return []
