"""Trials of a sweep, trained in a process of their own, so that whatever they do ends with it."""

import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ...data.contracts.errors import TrainingError, TvrError
from ...data.contracts.strict_json import read_json
from ...pipeline.store.atomic_files import write_json
from ...pipeline.store.reader import FeatureStore
from ..features.feature_set import FeatureSet
from ..features.from_store import features_of
from ..runs.run_folder import RESULT
from ..runs.run_lock import RunTakenError, is_taken
from ..training.distributed import Distributed
from ..training.loop import train
from .grid import Trial
from .trial_folder import folder_differences, holds

POLL_SECONDS = 0.05

FAILED = "failed.json"
"""Why a trial failed; in its run folder."""


@dataclass(frozen=True)
class TrialTask:
    """A trial and where it is trained. Travels to other processes and machines."""

    trial: Trial
    store: Path
    folder: Path
    """The trial's run folder."""
    settings: Mapping[str, Any]
    """``trial_settings`` the trial: what the run in the folder must have been made with to be this trial."""
    threads: int = 0
    """CPU threads; 0: as many as torch takes."""

    @property
    def is_done(self) -> bool:
        """Whether the trial has a result, and not one of other settings."""
        return (self.folder / RESULT).exists() and holds(self.folder, self.settings)

    @property
    def has_failed(self) -> bool:
        """Whether the trial ended with an error."""
        return (self.folder / FAILED).exists() and not self.is_done

    @property
    def has_ended(self) -> bool:
        """Whether the trial is done, or has failed."""
        return self.is_done or self.has_failed


def run_trial(task: TrialTask) -> bool:
    """Train one trial, or go on with it; whether it succeeded. A failure becomes a file with the reason.

    If another process is at it, that one is waited for.
    """
    while run_trials([task]):
        while is_taken(task.folder):
            time.sleep(POLL_SECONDS)
        if task.has_ended:
            break
    return task.is_done


def run_trials(tasks: Sequence[TrialTask]) -> list[TrialTask]:
    """Train trials on one store, one after another. Each comes out as it would alone, and fails alone.

    Those that another process is at are passed over, and given back.
    """
    if tasks[0].threads:
        torch.set_num_threads(tasks[0].threads)
    try:
        device = Distributed().device(tasks[0].trial.training.device)
        features = _features(tasks[0].store, device)
    except Exception as error:  # noqa: BLE001  # no trial is left without a result or a reason
        for task in tasks:
            _record_error(task, error)
        return []
    return [task for task in tasks if not _is_ended(task, features)]


def _is_ended(task: TrialTask, features: Mapping[str, FeatureSet]) -> bool:
    """Train a trial to its end, whatever that is; False where another process is at it."""
    trial = task.trial
    try:
        train(trial.head, trial.head_config, features, trial.training, task.folder)
        _check(task)
        (task.folder / FAILED).unlink(missing_ok=True)  # of an earlier attempt
    except RunTakenError:
        return False
    except Exception as error:  # noqa: BLE001  # one broken head must not take the others with it
        _record_error(task, error)
    return True


def _check(task: TrialTask) -> None:
    if differing := folder_differences(task.folder, task.settings):
        raise TrainingError(f"{task.store} changed while the sweep ran: {'; '.join(differing)}. Run it again")


def _features(folder: Path, device: torch.device) -> dict[str, FeatureSet]:
    store = FeatureStore.open(folder)
    names = [name for name in ("train", "val") if name in store.splits]
    # Mapped, so that processes on one machine share the features in memory instead of copying them.
    return {name: features_of(store, name, mapped=True).placed_on(device) for name in names}


def _record_error(task: TrialTask, error: Exception) -> None:
    if isinstance(error, TvrError):
        record_failure(task, str(error))
    else:
        details = "".join(traceback.format_exception(error))
        record_failure(task, f"{type(error).__name__}: {error}", details)


def record_failure(task: TrialTask, reason: str, details: str = "") -> None:
    """Keep why a trial failed."""
    task.folder.mkdir(parents=True, exist_ok=True)
    write_json(task.folder / FAILED, {"reason": reason, "details": details, "process": os.getpid()})


def forget_failures(tasks: Sequence[TrialTask]) -> None:
    """Let trials that failed be tried again."""
    for task in tasks:
        if task.has_failed:
            (task.folder / FAILED).unlink(missing_ok=True)


def read_failure(task: TrialTask) -> str | None:
    """Why a trial failed, None where it did not."""
    file = task.folder / FAILED
    if not file.exists():
        return None
    try:
        return str(read_json(file)["reason"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"the reason cannot be read: {file} is damaged ({error})"


def on_device(task: TrialTask, worker: int) -> TrialTask:
    """The task on this worker's GPU, where there are several and the user chose none."""
    count = torch.cuda.device_count()
    if task.trial.training.device != "auto" or count < 2:
        return task
    training = replace(task.trial.training, device=f"cuda:{worker % count}")
    return replace(task, trial=replace(task.trial, training=training))
