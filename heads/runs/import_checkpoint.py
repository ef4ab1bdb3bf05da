"""A released checkpoint becomes a run folder, as if it had been trained here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.contracts.identity import sha256_of
from ...data.contracts.plug_ins import load_plug_in
from ..features.feature_set import FeatureSet
from .released import Renamed, load_released
from .run_folder import RunFolder, record_of
from .run_lock import run_lock
from .state_dict import read_state_dict
from .training_config import TrainingConfig


@dataclass(frozen=True)
class Checkpoint:
    """A file and the head whose weights it holds."""

    file: Path
    head: str
    """A plug-in of ``tvr.heads``."""
    config: Any
    """Its ``Config``, as the weights were trained with."""
    lowest_layers: bool = False
    """Take the lowest transformer layers of a checkpoint that has more."""


def published_config(head: str) -> Any:
    """The settings of a head's released code: ``PUBLISHED`` of its file, or its defaults where it has none."""
    module = load_plug_in("tvr.heads", head)
    return getattr(module, "PUBLISHED", None) or module.Config()


def not_reproduced(head: str) -> str | None:
    """What an imported head does otherwise than its authors' code, in a sentence; None: nothing."""
    return getattr(load_plug_in("tvr.heads", head), "NOT_REPRODUCED", None)


def import_checkpoint(
    checkpoint: Checkpoint, features: FeatureSet, training: TrainingConfig, run_folder: Path
) -> Renamed:
    """Write a run folder that holds a released head for the features of a store.

    Args:
        features: what the head is for; they give it its feature width.
        training: how many frames and words it sees; nothing else of it is used.

    Raises:
        WeightsError: the file cannot be read, or does not fit the head.
        TrainingError: the folder holds another run, or another process writes into it.
    """
    released = read_state_dict(checkpoint.file)
    shape = features.shape(training.num_frames, training.num_words)
    store = dict(features.origin.store)
    if "path" in store:
        store["relative_path"] = os.path.relpath(store["path"], run_folder.resolve())
    digest = sha256_of(checkpoint.file)  # another file of the same name makes another run
    origin = {
        "store": store,
        "splits": {"train": f"none: imported from {checkpoint.file.name} (sha256 {digest[:16]})"},
    }
    folder = RunFolder(run_folder, record_of(checkpoint.head, checkpoint.config, training, shape, origin))
    built = folder.record.build()
    found = load_released(built, checkpoint.head, released, lowest_layers=checkpoint.lowest_layers)
    with run_lock(run_folder):
        folder.prepare()
        folder.save_head(built.state_dict())
        folder.save_result({"imported_from": checkpoint.file.name, "without_effect": found.without_effect})
    return found
