"""THE main path of stage two: stored features in, a trained head in a run folder out."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ...data.contracts.errors import DataError, UsageError
from ..base import Head
from ..evaluation.evaluate import Evaluation, evaluate
from ..evaluation.scores import check_fit
from ..features.feature_set import FeatureSet
from ..features.seeding import seed_dropout, seeded_everything
from ..runs.denoising import Denoising
from ..runs.run_folder import RunFolder, RunRecord, load_run, read_metrics, record_of
from ..runs.run_lock import run_lock
from ..runs.training_config import TrainingConfig
from .batches import batches_per_epoch, epoch_of_batches, longer_videos, pairs_per_epoch
from .distributed import Distributed
from .history import EpochReport, OnEpoch, TrainingResult
from .loss_meter import Losses
from .metric_loggers import MetricLoggers, check_wandb
from .neighbours import nearest_videos
from .state import TrainingState


def train(
    head_name: str,
    head_config: Any,
    features: Mapping[str, FeatureSet],
    config: TrainingConfig,
    run_folder: Path,
    on_epoch: OnEpoch | None = None,
) -> TrainingResult:
    """Train a head; continue where an earlier call on the same folder stopped.

    Args:
        head_name: a plug-in of ``tvr.heads``.
        head_config: its ``Config``.
        features: ``train`` and, to choose the best epoch, ``val``. Other splits are never looked at.
        config: how to train.
        run_folder: where everything is kept; the same call resumes, other settings are refused. Of several processes
            that train together, the first one's is taken.
        on_epoch: told after every epoch, in the first process.

    Raises:
        DataError: there is no training split.
        UsageError: a setting that cannot work with this head or these features, or the folder holds another run.
        TrainingError: the loss left the finite numbers, and the best finished epoch is kept in the folder; or another
            process trains into it.
    """
    distributed = Distributed()
    device = distributed.device(config.device)
    distributed.connect(device)
    run_folder = distributed.broadcast(run_folder)
    sets = _placed_sets(features, config, distributed, device)
    folder = RunFolder(run_folder, _record(head_name, head_config, config, sets, run_folder))
    with ExitStack() as until_kept:
        with seeded_everything(config.seed, device):
            head = folder.record.build().to(device)
            # All that can be refused is, before there is a folder: a run that cannot begin is no run.
            _check(head_name, head, sets, config, distributed)
            state = TrainingState(head, config, batches_per_epoch(sets["train"], config))
            if distributed.is_first:
                until_kept.enter_context(run_lock(run_folder))
            distributed.on_first_rank(folder.prepare)
            state.restore(folder)
            with MetricLoggers(run_folder, asdict(folder.record), config.wandb) as loggers:
                while not state.is_finished:
                    report = _one_epoch(state, sets, folder, distributed)
                    if distributed.is_first:
                        loggers.add(report)
                        if on_epoch is not None:
                            on_epoch(report)
        return _finished(state, sets["train"], folder, distributed)


def _one_epoch(
    state: TrainingState, sets: Mapping[str, FeatureSet], folder: RunFolder, distributed: Distributed
) -> EpochReport:
    """Train, validate, keep."""
    started = time.perf_counter()
    losses = _train_epoch(state, sets["train"], distributed)
    training_seconds = time.perf_counter() - started
    validation = _validate(state, sets.get("val")) if distributed.is_first else None
    score = distributed.broadcast(None if validation is None else validation.score(state.config.select_by))
    is_best = state.end_epoch(score)
    report = EpochReport(
        epoch=state.epoch,
        epochs=state.config.epochs,
        loss=losses.means(),
        validation=validation,
        is_best=is_best,
        denoised_pairs=losses.denoised_pairs(),
        training_seconds=training_seconds,
        seconds=time.perf_counter() - started,
    )
    if distributed.is_first:
        _keep(state, folder, report)
    return report


def _train_epoch(state: TrainingState, features: FeatureSet, distributed: Distributed) -> Losses:
    """One pass over the training pairs; the loss terms of its steps.

    Raises:
        TrainingError: a loss is not a finite number.
    """
    losses = Losses(state.epoch)
    state.head.train()
    seed_dropout(state.config.seed, state.epoch)
    for batch in epoch_of_batches(features, state.head, state.config, state.epoch, distributed):
        terms = state.loss(batch, distributed)
        state.update(terms["total"], distributed)
        losses.add(terms)
    losses.check()
    return losses


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


def _finished(
    state: TrainingState, features: FeatureSet, folder: RunFolder, distributed: Distributed
) -> TrainingResult:
    """The run's best head, read back from the folder so that what is returned is what was kept."""
    distributed.broadcast(None)  # the first process may still be writing what all of them read here
    metrics = read_metrics(folder.path)
    head, _ = load_run(folder.path, str(state.head.device))
    result = TrainingResult(
        head,
        folder.path,
        state.best_epoch,
        state.epoch,
        state.best_score,
        seconds=sum(line["seconds"] for line in metrics),
        denoising=_denoising(head, features, metrics),
    )
    distributed.on_first_rank(lambda: folder.save_result(result.record()))
    return result


def _denoising(head: Head, features: FeatureSet, metrics: Sequence[Mapping[str, Any]]) -> Denoising | None:
    """What it came to; None where the head does none, or some epochs are of a version that did not count."""
    counts = [line.get("denoised_pairs") for line in metrics]
    if not head.denoises or None in counts:
        return None
    num_frames = head.shape.num_frames
    longer = longer_videos(features, num_frames)
    return Denoising(sum(filter(None, counts)), len(counts), features.num_videos, longer, num_frames)


def _placed_sets(
    features: Mapping[str, FeatureSet], config: TrainingConfig, distributed: Distributed, device: torch.device
) -> dict[str, FeatureSet]:
    """The splits that are used, on the device; with the neighbours of every video where batches need them."""
    if "train" not in features:
        raise DataError(f"training needs a split called train, got {', '.join(sorted(features)) or 'none'}")
    train = features["train"]
    if config.hard_negatives > 1:
        # Of one process: should another round otherwise, their batches would differ.
        train.neighbours = distributed.broadcast(
            nearest_videos(train) if train.neighbours is None else train.neighbours
        )
    return {name: features[name].placed_on(device) for name in ("train", "val") if name in features}


def _record(
    head_name: str, head_config: Any, config: TrainingConfig, sets: Mapping[str, FeatureSet], run_folder: Path
) -> RunRecord:
    """What the run folder keeps of how this training came about."""
    train = sets["train"]
    shape = train.shape(config.num_frames, config.num_words)
    if config.logit_scale is not None:
        shape = replace(shape, logit_scale=config.logit_scale)
    origin = {
        "store": _with_relative_path(train.origin.store, run_folder),
        "splits": {name: some.recorded for name, some in sets.items()},
    }
    return record_of(head_name, head_config, config, shape, origin)


def _with_relative_path(store: Mapping[str, Any], run_folder: Path) -> dict[str, Any]:
    """The store's record with the way there from the run, so that both can be moved together."""
    if "path" not in store:
        return dict(store)
    return {**store, "relative_path": os.path.relpath(store["path"], run_folder.resolve())}


def _check(
    head_name: str,
    head: Head,
    sets: Mapping[str, FeatureSet],
    config: TrainingConfig,
    distributed: Distributed,
) -> None:
    check_wandb(config.wandb)
    for features in sets.values():
        check_fit(head, features)
    if not any(parameter.requires_grad for parameter in head.parameters()):
        raise UsageError(f"head {head_name!r} has no parameters to train; choose another one")
    if config.batch_size % distributed.count:
        raise UsageError(
            f"batch_size must be divisible by the number of processes, got batch_size={config.batch_size} "
            f"and {distributed.count} processes"
        )
    if pairs_per_epoch(sets["train"], config) < 2:
        raise UsageError(
            "training needs at least two videos that have a caption: a contrastive loss needs a negative"
        )
