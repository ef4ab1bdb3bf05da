"""``tvr train-head``: stage two."""

import time
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ..data.contracts.cautions import label_of
from ..data.contracts.errors import counted
from ..heads.evaluation.evaluate_runs import zero_shot_score
from ..heads.evaluation.ranks import FEW, FEW_REMARK
from ..heads.evaluation.validation_figures import few_candidates_of_score
from ..heads.features.from_store import features_of
from ..heads.runs.find_store import run_store
from ..heads.runs.newest import RunEntry, goes_on, left_note, run_entries
from ..heads.runs.run_folder import load_record, read_metrics
from ..heads.runs.training_config import (
    FORMER_NAMES,
    TrainingConfig,
    score_in_words,
)
from ..heads.training.distributed import Distributed
from ..heads.training.history import EpochReport, TrainingResult
from ..heads.training.loop import train
from ..pipeline.store.manifest import Manifest
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from ..training import DEFAULT_HEAD, chosen_head, entry_to_go_on, head_config_of, training_config_of
from .input.chosen_run import begun_run, is_run, new_run
from .input.chosen_store import taken_store
from .input.config_file import ConfigOption
from .input.offered_stores import captions_offered
from .input.options import (
    DEFAULT_WORKSPACE,
    MODEL,
    TRAINING,
    WHAT,
    DatasetOption,
    DeviceOption,
    JsonOption,
    StoreOption,
    WorkspaceOption,
    key_values,
    note_former_names,
)
from .output.evaluation import untrained_is_better
from .output.interruptions import interruptible, typed_command
from .output.next_command import print_next
from .terminal import Meter, err, out, print_json


def train_head(
    dataset: DatasetOption = None,
    store: StoreOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="A new run's name, or the name (as `tvr runs` lists it) or folder of one that is to go on. "
            "Default: a new one.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help=f"Which head. Default: {DEFAULT_HEAD}, or that of the run that goes on.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="key=value for the head, or preset=paper; repeatable.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    training: Annotated[
        list[str] | None,
        typer.Option(
            "--train", help="key=value for the training Config; repeatable.", rich_help_panel=TRAINING
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Short for --train epochs=N.", rich_help_panel=TRAINING)
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Short for --train lr=X.", rich_help_panel=TRAINING)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Short for --train batch_size=N.", rich_help_panel=TRAINING)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Short for --train seed=N.", rich_help_panel=TRAINING)
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Train a head on cached features; the best epoch is chosen on the validation split, never on test."""
    place = Workspace(workspace)
    begun = _begun(place, run, dataset)
    name = chosen_head(begun, head)
    head_config = head_config_of(begun, name, key_values(settings, "--set"))
    shorts = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "seed": seed}
    chosen = _training_config(begun, key_values(training, "--train"), shorts, device)
    opened = _features_of(place, begun, store, dataset)
    with captions_offered(place):
        features = {split: features_of(opened, split) for split in ("train", "val") if split in opened.splits}
    for split in features.values():
        err.print(str(split), soft_wrap=True)
    if begun is not None and not begun.is_finished and chosen == begun.record.config:
        done = len(read_metrics(begun.folder))
        err.print(f"going on after epoch {done} of {chosen.epochs}: {begun.folder}", soft_wrap=True)
    with (
        _run_folder(run, begun, place, opened.manifest, name) as folder,
        _in_words(folder),
        Meter(f"training {name}", "epochs") as meter,
    ):
        result = train(
            name,
            head_config,
            features,
            chosen,
            folder,
            lambda report: _show_epoch(meter, report),
        )
    if Distributed().is_first:
        was_finished = begun is not None and begun.is_finished
        validation = features.get("val")
        zero = None if validation is None else zero_shot_score(validation, chosen.select_by)
        _print_result(result, opened.manifest, zero, was_finished=was_finished, as_json=as_json)


def _show_epoch(meter: Meter, report: EpochReport) -> None:
    meter.begin(time.monotonic() - report.seconds)  # what came before is no part of an epoch
    names = {"total": "loss"}
    meter.update(report.epoch, report.epochs, [f"{names.get(k, k)} {v:.3f}" for k, v in report.loss.items()])


def _begun(place: Workspace, run: str | None, dataset: str | None) -> RunEntry | None:
    """The run that is to go on; None for a new one."""
    folder = begun_run(place, run, dataset)
    return None if folder is None else entry_to_go_on(folder)


def _features_of(
    place: Workspace, begun: RunEntry | None, store: Path | None, dataset: str | None
) -> FeatureStore:
    if begun is not None and store is None and dataset is None:
        return run_store(begun.folder, begun.record)
    return FeatureStore.open(taken_store(place, store, dataset))


def _run_folder(
    run: str | None, begun: RunEntry | None, place: Workspace, manifest: Manifest, head: str
) -> AbstractContextManager[Path]:
    """The folder that was named, or a new one; of processes that train together, the first one's counts."""
    if begun is not None:
        return nullcontext(begun.folder)
    if run is not None:
        return nullcontext(new_run(place, run, manifest.dataset))
    if not Distributed().is_first:
        return nullcontext(place.run_folder(manifest.dataset, head))
    entries = run_entries(place, manifest.dataset)
    left = left_note(entry for entry in entries if entry.record.head == head and entry.is_of(manifest))
    if left is not None:
        err.print(f"note: this is a new run. {left}", soft_wrap=True)
    return place.new_run_folder(manifest.dataset, head)


@contextmanager
def _in_words(folder: Path) -> Generator[None]:
    """Let Ctrl-C end the training in words: which epochs are kept, and how it goes on."""
    kept = "no epoch was finished yet, nothing is kept but the settings"
    with interruptible(kept, lambda: goes_on(folder) if is_run(folder) else typed_command()):
        try:
            yield
        except KeyboardInterrupt:
            done = len(read_metrics(folder)) if is_run(folder) else 0
            if not done:
                raise
            total = load_record(folder).config.epochs
            raise KeyboardInterrupt(
                f"{done} of {counted(total, 'epoch')} are kept in {folder}; lost is at most the one that ran"
            ) from None


def _training_config(
    begun: RunEntry | None, typed: Mapping[str, str], shorts: Mapping[str, int | float | None], device: str
) -> TrainingConfig:
    note_former_names(typed, FORMER_NAMES)
    chosen = {key: str(value) for key, value in shorts.items() if value is not None}
    return training_config_of(begun, {**chosen, **typed}, device)


def _print_result(
    result: TrainingResult, manifest: Manifest, zero: float | None, *, was_finished: bool, as_json: bool
) -> None:
    parameters = sum(parameter.numel() for parameter in result.head.parameters())
    select_by = load_record(result.folder).config.select_by
    few = few_candidates_of_score(result.folder, result.best_epoch, select_by)
    if as_json:
        cautions = {"random_weights": manifest.random_weights, "caution": label_of(manifest.caution)}
        figures = {
            **result.record(),
            "few_candidates": few,
            "parameters": parameters,
            "zero_shot_score": zero,
        }
        print_json({"folder": str(result.folder), **figures, **cautions})
        return
    score = "no validation split"
    if result.best_score is not None:
        score = f"validation score {score_in_words(result.best_score, select_by, FEW if few else '')}"
    remark = f" ({manifest.caution.label})" if manifest.caution else ""
    out.print(
        f"{parameters:,} parameters, {counted(result.epochs, 'epoch')} in {result.seconds:,.1f} s without writing"
        f"{', finished before' if was_finished else ''}; kept epoch {result.best_epoch} ({score}){remark}",
        soft_wrap=True,
    )
    if result.best_score is not None and zero is not None and result.best_score < zero:
        out.print(untrained_is_better(zero, select_by), soft_wrap=True)
    if few:
        out.print(FEW_REMARK, soft_wrap=True)
    if result.denoising is not None:
        out.print(str(result.denoising), soft_wrap=True)
    print_next("eval", result.folder)
