"""A trained head beside zero-shot mean pooling, on the same features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.contracts.errors import StoreError
from ...data.contracts.plug_ins import load_plug_in
from ...pipeline.store import FeatureStore
from ..base import Head, build_head
from ..training.feature_set import FeatureSet, features_of
from ..training.run_folder import RunRecord, load_run
from .evaluate import Evaluation, evaluate

ZERO_SHOT = "mean_pool (zero-shot)"


@dataclass(frozen=True)
class Comparison:
    """Evaluations by name, zero-shot first."""

    run: Path
    evaluations: dict[str, Evaluation]
    facts: dict[str, Any]
    """What every reader must know: store, model, weights."""


def run_store(record: RunRecord, store: Path | None) -> FeatureStore:
    """The store a run was trained on, or another of the same encoder.

    Raises:
        StoreError: it is not there any more, or its features are another encoder's.
    """
    folder = Path(record.store["path"]) if store is None else store
    try:
        opened = FeatureStore.open(folder)
    except StoreError as error:
        raise StoreError(f"{error} If the store was moved, name it with --store.") from error
    trained, found = record.store["encoder"]["weights_digest"], opened.manifest.encoder["weights_digest"]
    if trained != found:
        raise StoreError(
            f"{folder} holds features of {opened.manifest.model} {opened.manifest.pretrained} (weights {found[:12]}), "
            f"the head was trained on weights {trained[:12]}: its scores would mean nothing"
        )
    return opened


def zero_shot(features: FeatureSet) -> Head:
    """Mean pooling over as many frames as the features have."""
    return build_head("mean_pool", load_plug_in("tvr.heads", "mean_pool").Config(), features.shape())


def with_zero_shot(run: Path, split: str, store: Path | None, device: str) -> Comparison:
    """Score a run on a split, and zero-shot mean pooling on the same features.

    Raises:
        StoreError: the features are not there, or are another encoder's.
        DataError: the store has no such split.
    """
    from ..training.processes import Processes

    place = Processes().device(device)
    head, record = load_run(run, str(place))
    opened = run_store(record, store)
    features = features_of(opened, split).placed_on(place)
    evaluations = {ZERO_SHOT: evaluate(zero_shot(features).to(place), features)}
    if record.head != "mean_pool":
        evaluations[record.head] = evaluate(head, features)
    facts = {
        "run": str(run),
        "store": str(opened.folder),
        "dataset": opened.manifest.dataset,
        "model": opened.manifest.model,
        "pretrained": opened.manifest.pretrained,
        "random_weights": opened.manifest.random_weights,
    }
    return Comparison(run, evaluations, facts)
