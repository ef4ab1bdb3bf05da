"""Trained heads beside zero-shot mean pooling on the same features, and beside what others published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...data.contracts.cautions import Caution, caution_of, label_of
from ...data.contracts.errors import UsageError, unknown_name
from ...data.contracts.plug_ins import load_plug_in
from ...pipeline.machine import torch_device
from ...pipeline.store.reader import FeatureStore
from ..base import FeatureShape, Head, build_head, heads_with_weights
from ..features.feature_set import FeatureSet
from ..features.from_store import features_of
from ..runs.find_store import run_store, store_notes
from ..runs.run_folder import RunRecord, load_run
from ..runs.training_config import Selection
from .evaluate import Evaluation, chosen_temperatures, evaluate
from .normalisations import PUBLISHED, TEMPERATURES, NormalisationConfig, column

ZERO_SHOT_LABEL = "mean_pool (zero-shot)"

BETWEEN = " + "
"""Between the names of what a sum of scores is made of."""

EVERYTHING = "all"
"""In place of a split: every video of a store."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What is evaluated, and how."""

    split: str = "test"
    """A split of the store, or ``all`` of its videos."""
    store: Path | None = None
    """Features to score on, instead of those each run was trained on."""
    device: str = "auto"
    normalise: tuple[str, ...] = ()
    """Names of ``normalisations.COLUMNS``."""
    normalisation: NormalisationConfig = PUBLISHED


@dataclass(frozen=True)
class Scored:
    """One head's evaluation."""

    name: str
    run: Path | None
    """None for zero-shot."""
    evaluation: Evaluation
    facts: dict[str, Any]
    """What every reader must know: store, data set, model, weights, where the split is from."""
    notes: tuple[str, ...] = ()
    """How the features differ from those that the head was trained on, and what of that cannot be checked."""
    given: str | None = None
    """Where the scores are from that were given as a matrix; None: a head's."""

    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of scores that are a weighted sum, what the scores of each name count for."""

    @property
    def is_untrained(self) -> bool:
        """Whether it is a head that was never trained, beside which trained ones are read."""
        return self.run is None and self.given is None and not self.weights

    @property
    def encoder(self) -> str:
        """Whose features the scores are made of, in a few words; empty where nobody knows."""
        facts = self.facts
        if facts["model"] is None:
            return ""
        caution = f" ({self.caution.label})" if self.caution else ""
        return f"features: {facts['model']} {facts['pretrained']}{caution}"

    @property
    def basis(self) -> str:
        """What was scored and what not, and of what the scores are made."""
        of = [self.evaluation.coverage, self.encoder, f"scores: {self.given}" if self.given else ""]
        of += ["a weighted sum of scores as they are, none rescaled"] if self.weights else []
        return "; ".join(part for part in of if part)

    @property
    def caution(self) -> Caution | None:
        """What must be known of the encoder before any of these figures is read."""
        facts = self.facts
        models = str(facts["model"] or "").split(BETWEEN)
        random = facts["random_weights"]
        found = (caution_of(model, facts["dataset"], random_weights=random) for model in models)
        return next((some for some in found if some is not None), None)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What heads are evaluated on."""

    store: FeatureStore
    features: FeatureSet
    bank: FeatureSet | None
    """The training split, where a normalisation asks for it."""
    validation: FeatureSet | None
    """The validation split, where it chooses between normalisations."""


@dataclass(frozen=True, kw_only=True)
class Subject(Ground):
    """A run with what it is evaluated on."""

    run: Path
    record: RunRecord
    head: Head


def scored_runs(runs: Sequence[Path], options: EvaluationOptions) -> list[Scored]:
    """Score runs on a split, each set of features with zero-shot mean pooling before the heads trained on it.

    Raises:
        StoreError: the features are not there, or are another encoder's.
        DataError: the store has no such split.
    """
    found: list[Scored] = []
    scored_stores: set[Path] = set()
    for run in runs:
        subject = open_run(run, options)
        if subject.store.folder.resolve() not in scored_stores:
            scored_stores.add(subject.store.folder.resolve())
            baseline = zero_shot(subject.features).to(subject.features.device)
            found.append(_scored(ZERO_SHOT_LABEL, baseline, subject, options))
        if subject.record.head != "mean_pool":
            scored = _scored(subject.record.head, subject.head, subject, options)
            notes = (*scored.notes, *store_notes(subject.record, subject.store))
            found.append(replace(scored, run=run, notes=notes))
    return _told_apart(found, several=len(runs) > 1)


def scored_untrained(store: FeatureStore, heads: Sequence[str], options: EvaluationOptions) -> list[Scored]:
    """Score heads that have nothing to train, with their usual settings.

    Args:
        store: the features.
        heads: names of plug-ins; ``all``: every one that has nothing to train.
        options: what is evaluated; its store is not asked for.

    Raises:
        UsageError: there is no such head, or it has weights to train.
        DataError: the store has no such split.
    """
    ground = _ground(store, options)
    shape = ground.features.shape()
    untrained = heads_with_weights(trained=False)
    names = untrained if list(heads) == [EVERYTHING] else list(dict.fromkeys(heads))
    if not names:
        raise UsageError(f"--zero-shot names no head: {', '.join(untrained)}, or {EVERYTHING}")
    found: list[Scored] = []
    for name in names:
        if name in heads_with_weights():
            raise UsageError(
                f"--zero-shot takes heads that have nothing to train ({', '.join(untrained)}), and {name} has: "
                f"tvr train-head --head {name}"
            )
        if name not in untrained:
            raise UsageError(unknown_name("head of --zero-shot", name, untrained))
        head = _usual(name, shape)
        found.append(_scored(f"{name} (zero-shot)", head.to(ground.features.device), ground, options))
    return found


def _usual(name: str, shape: FeatureShape) -> Head:
    """A head with its usual settings."""
    return build_head(name, load_plug_in("tvr.heads", name).Config(), shape)


def _told_apart(found: Sequence[Scored], *, several: bool) -> list[Scored]:
    """The same, several runs named by as much of their paths as tells them apart, and several stores likewise."""
    runs = short_names([some.run for some in found if some.run is not None])
    stores = short_names([_store_of(some) for some in found])
    named: list[Scored] = []
    for some in found:
        if some.run is not None:
            named.append(replace(some, name=_run_name(some.name, runs[some.run])) if several else some)
        else:
            store = stores[_store_of(some)]
            named.append(replace(some, name=f"{some.name} ({store})") if len(stores) > 1 else some)
    return named


def _run_name(head: str, run: str) -> str:
    """The run, which as a rule is called after its head, and otherwise the head first."""
    return run if Path(run).name.startswith(f"{head}-") else f"{head} ({run})"


def _store_of(scored: Scored) -> Path:
    return Path(scored.facts["store"])


def short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Of each folder its own name, with as many of the folders above it as tell it from the others."""
    parts = {folder: folder.resolve().parts for folder in folders}
    names: dict[Path, str] = {}
    for folder, own in parts.items():
        others = {other for other in parts.values() if other != own}
        depth = next(n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in others))
        names[folder] = str(Path(*own[-depth:]))
    return names


def open_run(run: Path, options: EvaluationOptions) -> Subject:
    """A run's head and the features it is to be evaluated on.

    Raises:
        StoreError: the features are not there, or are another encoder's.
        DataError: the store has no such split.
    """
    place = torch_device(options.device, gpu="cuda:0")
    head, record = load_run(run, str(place))
    if options.split == EVERYTHING:
        raise UsageError(
            f"--split {EVERYTHING} would score {run.name} on the videos it was trained on: it is for --zero-shot"
        )
    ground = _ground(run_store(run, record, options.store), options)
    return Subject(run=run, record=record, head=head, **vars(ground))


def _ground(store: FeatureStore, options: EvaluationOptions) -> Ground:
    place = torch_device(options.device, gpu="cuda:0")
    is_whole = options.split == EVERYTHING and EVERYTHING not in store.splits
    features = features_of(store, None if is_whole else options.split).placed_on(place)
    wants_bank = any(column(name).kind == "inductive" for name in options.normalise)
    if is_whole and wants_bank:
        banked = [name for name in options.normalise if column(name).kind == "inductive"]
        raise UsageError(
            f"--normalise {','.join(banked)} takes training queries, and with --split {EVERYTHING} there are none "
            "beside what is scored: leave them out"
        )
    bank = features_of(store, "train").placed_on(place) if wants_bank and "train" in store.splits else None
    chooses = any(set(pair) <= set(options.normalise) for pair in TEMPERATURES)
    chooses = chooses and options.split != "val" and not is_whole
    validation = features_of(store, "val").placed_on(place) if chooses and "val" in store.splits else None
    return Ground(store=store, features=features, bank=bank, validation=validation)


def zero_shot(features: FeatureSet) -> Head:
    """Mean pooling over as many frames as heads usually see."""
    return _usual("mean_pool", features.shape())


def zero_shot_score(validation: FeatureSet, select_by: Selection) -> float:
    """The validation score without any training."""
    return evaluate(zero_shot(validation), validation).score(select_by)


def _scored(name: str, head: Head, on: Ground, options: EvaluationOptions) -> Scored:
    """As of no run."""
    evaluation = evaluate(head, on.features, options.normalise, on.bank, options.normalisation)
    if on.validation is not None:
        chosen = chosen_temperatures(head, on.validation, options.normalise, on.bank)
        evaluation = replace(evaluation, chosen=chosen)
    notes = [f"{name}: {reason}" for name, reason in evaluation.refused.items()] + list(evaluation.caveats)
    return Scored(name, None, evaluation, facts_of(on.store, options.split), tuple(notes))


def facts_of(store: FeatureStore, split: str) -> dict[str, Any]:
    """What goes with every figure of a split."""
    manifest = store.manifest
    return {
        "store": str(store.folder),
        "dataset": manifest.dataset,
        "model": manifest.model,
        "pretrained": manifest.pretrained,
        "random_weights": manifest.random_weights,
        "caution": label_of(manifest.caution),
        "limit": manifest.limit,
        "split_source": manifest.splits[split].source
        if split in manifest.splits
        else "all videos of the store",
    }
