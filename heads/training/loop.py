"""THE main path of stage two: stored features in, a trained head in a run folder out."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...data.contracts.errors import DataError, UsageError
from ..base import FeatureShape, Head
from ..evaluation.evaluate import Evaluation, evaluate
from ..evaluation.scores import check_fit
from ..features.feature_set import FeatureSet
from ..features.seeding import seed_dropout, seeded_everything
from ..runs.run_folder import RunFolder, load_run, read_metrics, record_of
from ..runs.training_config import TrainingConfig
from .batches import Batch, Batches, batches_per_epoch, epoch_of_batches, pairs_per_epoch
from .distributed import Distributed
from .loss_meter import Losses
from .metric_loggers import MetricLoggers
from .neighbours import nearest_videos
from .state import TrainingState


class Stopwatch:
    """Time that a training takes itself, without the turns of the others."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._started

    @contextmanager
    def stopped(self) -> Generator[None]:
        """While another has its turn."""
        began = time.perf_counter()
        yield
        self._started += time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch came to."""

    epoch: int
    """From 1."""
    epochs: int
    loss: Mapping[str, float]
    """Mean of each loss term over the epoch."""
    validation: Evaluation | None
    is_best: bool
    training_seconds: float
    """Without validation and writing."""
    seconds: float

    def record(self) -> dict[str, Any]:
        """One line of ``metrics.jsonl``."""
        validation = None if self.validation is None else self.validation.record()
        return {
            "epoch": self.epoch,
            "loss": dict(self.loss),
            "val": validation,
            "is_best": self.is_best,
            "training_seconds": self.training_seconds,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class TrainingResult:
    """A finished run."""

    head: Head
    """With the weights of the best epoch, in evaluation mode."""
    folder: Path
    best_epoch: int
    """From 1; the last epoch where there is no validation split."""
    epochs: int
    """How many were trained."""
    best_score: float | None
    """The validation score of the best epoch, None without a validation split."""
    seconds: float

    def record(self) -> dict[str, Any]:
        """``result.json``."""
        return {
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "best_score": self.best_score,
            "seconds": self.seconds,
        }


Progress = Callable[[EpochReport], None]


def train(
    head_name: str,
    head_config: Any,
    features: Mapping[str, FeatureSet],
    config: TrainingConfig,
    run_folder: Path,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a head; continue where an earlier call on the same folder stopped.

    Args:
        head_name: a plug-in of ``tvr.heads``.
        head_config: its ``Config``.
        features: ``train`` and, to choose the best epoch, ``val``. Other splits are never looked at.
        config: how to train.
        run_folder: where everything is kept; the same call resumes, other settings are refused.
        progress: told after every epoch.

    Raises:
        DataError: there is no training split.
        UsageError: a setting that cannot work with this head or these features.
        TrainingError: the loss left the finite numbers; the best finished epoch is kept in the folder.
    """
    steps = training(head_name, head_config, features, config, run_folder)
    while True:
        try:
            report = next(steps)
        except StopIteration as finished:
            return finished.value
        if report is not None and progress is not None:
            progress(report)


def training(
    head_name: str,
    head_config: Any,
    features: Mapping[str, FeatureSet],
    config: TrainingConfig,
    run_folder: Path,
    batches: Batches = epoch_of_batches,
) -> Generator[EpochReport | None, None, TrainingResult]:
    """What ``train`` does, pausing after every step, so that several can go through the data together.

    Yields:
        None after a step, a report after an epoch.
    """
    if "train" not in features:
        raise DataError(f"training needs a split called train, got {', '.join(sorted(features)) or 'none'}")
    distributed = Distributed()
    device = distributed.device(config.device)
    distributed.connect(device)
    if config.alike > 1:
        found = features["train"].neighbours
        # Of one process: should another round otherwise, their batches would differ.
        features["train"].neighbours = distributed.broadcast(
            nearest_videos(features["train"]) if found is None else found
        )
    sets = {name: features[name].placed_on(device) for name in ("train", "val") if name in features}
    shape = _shape(sets["train"], config)
    origin = {
        "store": _placed(sets["train"].origin.store, run_folder),
        "splits": {name: str(some) for name, some in sets.items()},
    }
    folder = RunFolder(run_folder, record_of(head_name, head_config, config, shape, origin))
    with seeded_everything(config.seed, device):
        head = folder.record.build().to(device)
        _check(head_name, head, sets, config, distributed)
        distributed.on_first_rank(folder.prepare)
        state = TrainingState(head, config, batches_per_epoch(sets["train"], config))
        state.restore(folder)
        with MetricLoggers(run_folder, asdict(folder.record), config.wandb) as loggers:
            while not state.is_finished:
                report = yield from _one_epoch(state, sets, distributed, folder, batches)
                if distributed.is_first:
                    loggers.add(report)
                    yield report
    return _finished(state, folder, distributed)


def _shape(features: FeatureSet, config: TrainingConfig) -> FeatureShape:
    shape = features.shape(config.num_frames, config.num_words)
    return shape if config.logit_scale is None else replace(shape, logit_scale=config.logit_scale)


def _placed(store: Mapping[str, Any], run_folder: Path) -> dict[str, Any]:
    """The store's record with the way there from the run, so that both can be moved together."""
    if "path" not in store:
        return dict(store)
    return {**store, "relative_path": os.path.relpath(store["path"], run_folder.resolve())}


def _one_epoch(
    state: TrainingState,
    sets: Mapping[str, FeatureSet],
    distributed: Distributed,
    folder: RunFolder,
    batches: Batches,
) -> Generator[None, None, EpochReport]:
    """Train, validate, keep."""
    watch = Stopwatch()
    loss = yield from _train_epoch(
        state, batches(sets["train"], state.head, state.config, state.epoch, distributed), distributed, watch
    )
    training_seconds = watch.seconds
    validation = _validate(state, sets.get("val")) if distributed.is_first else None
    score = distributed.broadcast(None if validation is None else validation.score(state.config.select_by))
    is_best = state.end_epoch(score)
    report = EpochReport(
        epoch=state.epoch,
        epochs=state.config.epochs,
        loss=loss,
        validation=validation,
        is_best=is_best,
        training_seconds=training_seconds,
        seconds=watch.seconds,
    )
    if distributed.is_first:
        _keep(state, folder, report)
    return report


def _train_epoch(
    state: TrainingState, batches: Iterator[Batch], distributed: Distributed, watch: Stopwatch
) -> Generator[None, None, dict[str, float]]:
    """One pass over the training pairs; the mean of each loss term."""
    losses = Losses(state.epoch)
    state.head.train()
    seed_dropout(state.config.seed, state.epoch)
    for batch in batches:
        terms = state.loss(batch, distributed)
        state.update(terms["total"], distributed)
        losses.add(terms)
        with watch.stopped():
            yield
    return losses.means()


def _validate(state: TrainingState, features: FeatureSet | None) -> Evaluation | None:
    """Evaluate the weights that would be kept."""
    state.refuse_broken_weights()
    if features is None:
        return None
    with state.ema_weights():
        return evaluate(state.head, features)


def _keep(state: TrainingState, folder: RunFolder, report: EpochReport) -> None:
    """Write the weights if they are the best, what a resumed run needs, and a line of metrics."""
    if report.is_best:
        folder.save_head(state.weights())
    folder.append_metrics(report.record())
    state.save(folder)


def _check(
    head_name: str,
    head: Head,
    sets: Mapping[str, FeatureSet],
    config: TrainingConfig,
    distributed: Distributed,
) -> None:
    for features in sets.values():
        check_fit(head, features)
    if not any(parameter.requires_grad for parameter in head.parameters()):
        raise UsageError(
            f"head {head_name!r} has no parameters to train; `tvr eval --head {head_name}` scores it as it is"
        )
    if config.batch_size % distributed.count:
        raise UsageError(
            f"batch_size must be divisible by the number of processes, got batch_size={config.batch_size} "
            f"and {distributed.count} processes"
        )
    if pairs_per_epoch(sets["train"], config) < 2:
        raise UsageError(
            "training needs at least two videos that have a caption: a contrastive loss needs a negative"
        )


def _finished(state: TrainingState, folder: RunFolder, distributed: Distributed) -> TrainingResult:
    """The run's best head, read back from the folder so that what is returned is what was kept."""
    distributed.broadcast(None)  # the first process may still be writing what all of them read here
    seconds = sum(line["seconds"] for line in read_metrics(folder.path))
    head, _ = load_run(folder.path, str(state.head.device))
    result = TrainingResult(head, folder.path, state.best_epoch, state.epoch, state.best_score, seconds)
    distributed.on_first_rank(lambda: folder.save_result(result.record()))
    return result
