"""``tvr train-head``: stage two."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ..data.contracts.errors import pasteable
from ..data.contracts.plug_ins import load_plug_in
from ..data.contracts.records import configured
from ..heads.features.from_store import features_of
from ..heads.runs.training_config import FORMER_NAMES, TrainingConfig, with_current_names
from ..heads.training.distributed import Distributed
from ..heads.training.history import TrainingResult
from ..heads.training.loop import train
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .options import (
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
from .terminal import Meter, err, out, print_json


def train_head(
    dataset: DatasetOption = None,
    store: StoreOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; an unfinished run in it goes on. Default: a new one.", rich_help_panel=WHAT
        ),
    ] = None,
    head: Annotated[str, typer.Option(help="Which head.", rich_help_panel=MODEL)] = "seq_transformer",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value for the head's Config; repeatable.", rich_help_panel=MODEL),
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
) -> None:
    """Train a head on cached features; the best epoch is chosen on the validation split, never on test."""
    place = Workspace(workspace)
    head_config = configured(load_plug_in("tvr.heads", head).Config, key_values(settings, "--set"), head)
    shorts = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "seed": seed}
    config = _training_config(key_values(training, "--train"), shorts, device)
    opened = FeatureStore.open(store or place.find_store(dataset))
    features = {name: features_of(opened, name) for name in ("train", "val") if name in opened.splits}
    if opened.manifest.random_weights:
        err.print(
            "[yellow]random weights[/]: the features are those of an untrained model",
            soft_wrap=True,
            markup=True,
        )
    for split in features.values():
        err.print(str(split), soft_wrap=True)
    with (
        _run_folder(run, place, opened.manifest.dataset, head) as folder,
        Meter(f"training {head}", "epochs") as meter,
    ):
        result = train(
            head,
            head_config,
            features,
            config,
            folder,
            lambda report: meter.update(
                report.epoch, report.epochs, [f"{k} {v:.3f}" for k, v in report.loss.items()]
            ),
        )
    if Distributed().is_first:
        _print_result(result, as_json=as_json, random_weights=opened.manifest.random_weights)


def _run_folder(run: Path | None, place: Workspace, dataset: str, head: str) -> AbstractContextManager[Path]:
    """The folder that was named, or a new one; of processes that train together, the first one's counts."""
    if run is None and Distributed().is_first:
        return place.new_run_folder(dataset, head)
    return nullcontext(run or place.run_folder(dataset, head))


def _training_config(
    typed: Mapping[str, str], shorts: Mapping[str, float | None], device: str
) -> TrainingConfig:
    note_former_names(typed, FORMER_NAMES)
    chosen = {key: str(value) for key, value in shorts.items() if value is not None}
    return configured(TrainingConfig, with_current_names({"device": device, **chosen, **typed}), "training")


def _print_result(result: TrainingResult, *, as_json: bool, random_weights: bool) -> None:
    parameters = sum(parameter.numel() for parameter in result.head.parameters())
    if as_json:
        names = ("best_epoch", "epochs", "best_score", "seconds")
        figures = {name: getattr(result, name) for name in names} | {"parameters": parameters}
        print_json({"folder": str(result.folder), **figures, "random_weights": random_weights})
        return
    score = (
        "no validation split" if result.best_score is None else f"validation score {result.best_score:.1f}"
    )
    out.print(
        f"{parameters:,} parameters, {result.epochs} epochs in {result.seconds:,.1f} s; kept epoch "
        f"{result.best_epoch} ({score}){' (random weights)' if random_weights else ''}",
        soft_wrap=True,
    )
    out.print(f"next: tvr eval {pasteable(result.folder)}", soft_wrap=True)
