"""The trials of a sweep as tasks: which are left, which share a process, and how they run on Dask."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ...data.contracts.errors import NoCaptionsError, UsageError, counted
from ...pipeline.cluster.config import ClusterConfig
from ...pipeline.store.generations.record import load_manifest
from ...pipeline.store.manifest import Manifest
from ...pipeline.store.reader import FeatureStore
from ..base import FeatureShape, build_head
from ..features.from_store import features_of, identity_of, only_searched
from ..runs.identity import unrecorded
from ..runs.run_folder import load_record
from .grid import Trial
from .trial import TrialTask, forget_failures, record_failure, run_trial
from .trial_folder import folder_of, other_settings, trial_folders, trial_settings

MAX_PARAMETERS = 1 << 26
"""Parameters of the heads that one process trains: a step of a larger one takes so long that a process's start is lost
in it, and whichever worker is free should take the next."""

OnTrialDone = Callable[[int, int, str], None]
"""Told of every trial that ends: how many are done, of how many, and its name."""


def open_for_sweep(folder: Path) -> FeatureStore:
    """A store that trials can be trained on, and whose validation split can decide between them.

    Raises:
        StoreError: there is no complete store.
        DataError: it has no captions, or none of a split that is needed.
        UsageError: it has no validation split.
    """
    store = FeatureStore.open(folder)
    if not store.manifest.num_texts:
        raise NoCaptionsError(only_searched(folder))
    if "val" not in store.splits:
        raise UsageError(
            f"a sweep compares trials on a validation split, and {folder} has only "
            f"{', '.join(sorted(store.splits))}. Extract with a data set that holds one out, such as folder."
        )
    for split in ("train", "val"):  # what every trial would fail at is said once, before the first one
        features_of(store, split, mapped=True)
    return store


def tasks_of(trials: Sequence[Trial], store: FeatureStore, sweep: Path, threads: int = 0) -> list[TrialTask]:
    """Each trial with its run folder below the sweep's."""
    identity, folder = identity_of(store), sweep / "trials"
    there = trial_folders(folder)
    settings = [trial_settings(trial, identity) for trial in trials]
    return [
        TrialTask(trial, store.folder, folder_of(trial, wanted, folder, there), wanted, threads)
        for trial, wanted in zip(trials, settings, strict=True)
    ]


def notes_of(tasks: Sequence[TrialTask]) -> list[str]:
    """What who reads the table must know of trials that were there before: which are trained anew, and which are taken
    although nobody can tell whether they are the same."""
    notes: list[str] = []
    left = [task for task in tasks if not task.has_ended]
    others = [found for task in left if (found := other_settings(task.trial, task.folder, task.settings))]
    if others:
        notes.append(
            f"of {counted(len(others), 'trial')} there is another in this folder under the same name, made with other "
            f"settings or features. It stays as it is, and a new one is trained beside it. One differs so: {others[0]}"
        )
    done = [task for task in tasks if task.is_done]
    missing = [unrecorded(load_record(task.folder).store, task.settings["store"]) for task in done]
    if any(missing):
        notes.append(
            f"{sum(map(bool, missing))} finished trials are of an earlier version, which did not keep "
            f"{', '.join(max(missing, key=len))}: whether the store has the same cannot be checked. Delete their "
            "folders to train them again"
        )
    return notes


def pending_tasks(tasks: Sequence[TrialTask], *, retry_failed: bool) -> list[TrialTask]:
    """Tasks that have not ended yet; those that failed too if they shall be tried again."""
    return [task for task in tasks if not (task.is_done if retry_failed else task.has_ended)]


def run_on_dask(
    tasks: Sequence[TrialTask], cluster: ClusterConfig, on_trial_done: OnTrialDone | None = None
) -> None:
    """Run tasks on the workers of a cluster, which must see the store and the sweep's folder.

    Raises:
        ClusterError: no scheduler or worker answers, or a worker has other packages than this machine.
    """
    # Here, because distributed takes longer to import than a small head to train.
    from ...pipeline.cluster.preflight import as_completed, connected_workers

    forget_failures(tasks)
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
