"""One trial of a sweep: trained in a process of its own, so that whatever it does ends with it."""

import os
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ...data.contracts.errors import TvrError
from ...pipeline.durable import write_json
from ...pipeline.store import FeatureStore
from .feature_set import features_of
from .loop import train
from .run_folder import RESULT
from .trials import Trial

FAILED = "failed.json"
"""Why a trial failed; in its run folder."""


@dataclass(frozen=True)
class TrialTask:
    """A trial and where it is trained. Travels to other processes and machines."""

    trial: Trial
    store: Path
    folder: Path
    """The trial's run folder."""
    threads: int = 0
    """CPU threads; 0: as many as torch takes."""

    @property
    def is_done(self) -> bool:
        """Whether the trial has a result."""
        return (self.folder / RESULT).exists()

    @property
    def has_failed(self) -> bool:
        """Whether the trial ended with an error."""
        return (self.folder / FAILED).exists()


def run_trial(task: TrialTask) -> bool:
    """Train one trial, or go on with it; whether it succeeded. A failure becomes a file with the reason."""
    task.folder.mkdir(parents=True, exist_ok=True)
    (task.folder / FAILED).unlink(missing_ok=True)
    if task.threads:
        torch.set_num_threads(task.threads)
    try:
        store = FeatureStore.open(task.store)
        # Mapped, so that trials on one machine share the features in memory instead of copying them.
        names = [name for name in ("train", "val") if name in store.splits]
        features = {name: features_of(store, name, mapped=True) for name in names}
        train(task.trial.head, task.trial.head_config, features, task.trial.training, task.folder)
    except TvrError as error:
        record_failure(task, str(error))
    except Exception as error:  # noqa: BLE001  # one broken head must not take the other trials with it
        record_failure(task, f"{type(error).__name__}: {error}", traceback.format_exc())
    return task.is_done


def record_failure(task: TrialTask, reason: str, details: str = "") -> None:
    """Keep why a trial failed."""
    task.folder.mkdir(parents=True, exist_ok=True)
    write_json(task.folder / FAILED, {"reason": reason, "details": details, "process": os.getpid()})


def on_device(task: TrialTask, worker: int) -> TrialTask:
    """The task on this worker's GPU, where there are several and the user chose none."""
    count = torch.cuda.device_count()
    if task.trial.training.device != "auto" or count < 2:
        return task
    training = replace(task.trial.training, device=f"cuda:{worker % count}")
    return replace(task, trial=replace(task.trial, training=training))
