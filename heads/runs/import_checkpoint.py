"""A released checkpoint becomes a run folder, as if it had been trained here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...data.contracts.errors import WeightsError
from ...data.contracts.identity import sha256_of
from ...data.contracts.plug_ins import load_plug_in
from ..base import Head, build_head
from ..features.feature_set import FeatureSet
from ..layers.token_merge import TokenMerge
from ..layers.transformer import SelfAttention
from .released import Renamed, load_released
from .run_folder import IMPORTED, RunFolder, record_of
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
        WeightsError: the file cannot be read, or does not fit the head; or how many attention heads its transformer
            has is neither given nor known of the encoder.
        TrainingError: the folder holds another run, or another process writes into it.
    """
    released = read_state_dict(checkpoint.file)
    shape = features.shape(training.num_frames, training.num_words)
    head = build_head(checkpoint.head, checkpoint.config, shape)
    found = load_released(head, checkpoint.head, released, lowest_layers=checkpoint.lowest_layers)
    config = _with_heads(checkpoint.config, head, features.origin.store)
    store = dict(features.origin.store)
    if "path" in store:
        store["relative_path"] = os.path.relpath(store["path"], run_folder.resolve())
    digest = sha256_of(checkpoint.file)  # another file of the same name makes another run
    origin = {
        "store": store,
        "splits": {"train": f"{IMPORTED} from {checkpoint.file.name} (sha256 {digest[:16]})"},
    }
    folder = RunFolder(run_folder, record_of(checkpoint.head, config, training, shape, origin))
    with run_lock(run_folder):
        folder.prepare()
        folder.save_head(head.state_dict())
        folder.save_result({"imported_from": checkpoint.file.name, "without_effect": found.without_effect})
    return found


def _with_heads(config: Any, head: Head, store: Mapping[str, Any]) -> Any:
    """The head's settings with the number of attention heads spelt out: weights fit any number, and mean one."""
    attends = any(isinstance(part, SelfAttention | TokenMerge) for part in head.modules())
    if not attends or config.heads is not None:
        return config
    # It takes open_clip, and seconds.
    from ...pipeline.encoders.weights.build import attention_heads_by_name

    model = str(store.get("encoder", {}).get("model", ""))
    own = head.shape.attention_heads or attention_heads_by_name(model)
    if own is None:
        raise WeightsError(
            "how many attention heads the checkpoint was trained with is unknown: its weights do not tell, and neither "
            f"does {model or 'the encoder'}, whose text tower is of another width or not known by name. Give the "
            "number with --set heads=NUMBER: CLIP4Clip and what is built on it have the width of a feature / 64."
        )
    return replace(config, heads=own)
