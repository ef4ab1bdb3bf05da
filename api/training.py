"""Training a head from a program; what of it the command line shares."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypedDict, Unpack

from .data.contracts.errors import UsageError
from .data.contracts.records import configured, reconfigured
from .heads.base import check_trainable, configured_head
from .heads.features.from_store import features_of
from .heads.runs.find_store import run_store
from .heads.runs.newest import RunEntry
from .heads.runs.training_config import TrainingConfig, with_current_names
from .heads.training import loop
from .heads.training.history import EpochReport
from .opened_run import Run
from .opened_store import Store, open_store
from .pipeline.store.reader import FeatureStore
from .pipeline.workspace import RUN_CONFIG_NAME, Workspace
from .places import Place, run_folder_of, typed_settings, workspace_at
from .shown import progress_bar

DEFAULT_HEAD = "seq_transformer"


class TrainOptions(TypedDict, total=False):
    """What ``train`` takes beside the store, called as the options of ``tvr train-head``."""

    dataset: str | None
    """Without a store: whose newest features."""
    workspace: Place | None
    """Folder that holds features and runs. Default: ``TVR_WORKSPACE``, or ``tvr-workspace`` here."""
    run: Place | None
    """A new run's name, or the name or folder of one that is to go on. Default: a new one."""
    head: str | None
    """Which head. Default: ``seq_transformer``, or that of the run that goes on."""
    set: Mapping[str, Any] | None
    """Settings of the head."""
    train: Mapping[str, Any] | None
    """Settings of the training."""
    epochs: int | None
    lr: float | None
    batch_size: int | None
    seed: int | None
    device: str
    """``auto``, ``cpu``, ``cuda``, ..."""
    progress: bool
    """Whether a bar is shown. Default: True."""


def train(store: Store | Place | None = None, **options: Unpack[TrainOptions]) -> Run:
    """Train a head on cached features; the best epoch is chosen on the validation split, never on test.

    Args:
        store: the features: a store, its folder, or its name in the workspace. None: those of the run that goes on, or
            the newest.
        **options: see ``TrainOptions``.

    Raises:
        UsageError: a setting that cannot work with this head or these features.
        DataError: there is no training split, or nothing has a caption.
        StoreError: there are no features yet.
        TrainingError: the loss left the finite numbers, or another process trains into the folder.
    """
    place = workspace_at(options.get("workspace"))
    begun = _begun(place, options.get("run"))
    head = chosen_head(begun, options.get("head"))
    config = head_config_of(begun, head, typed_settings(options.get("set")))
    shorts = {name: options.get(name) for name in ("epochs", "lr", "batch_size", "seed")}
    typed = {**typed_settings(shorts), **typed_settings(options.get("train"))}
    training = training_config_of(begun, typed, options.get("device", "auto"))
    features = _features(store, begun, options)
    sets = {split: features_of(features, split) for split in ("train", "val") if split in features.splits}
    shown = options.get("progress", True)
    with (
        _folder(place, begun, options.get("run"), features.manifest.dataset, head) as folder,
        progress_bar(f"training {head}", "epochs", shown=shown) as done,
    ):

        def told(report: EpochReport) -> None:
            done(report.epoch, report.epochs)

        return Run(loop.train(head, config, sets, training, folder, told).folder)


def chosen_head(begun: RunEntry | None, head: str | None) -> str:
    """The head that is named, or that of the run that goes on.

    Raises:
        UsageError: the run is of another head, or the head has nothing to train.
    """
    if begun is None:
        check_trainable(chosen := head or DEFAULT_HEAD, "--head NAME")
        return chosen
    if head not in (None, begun.record.head):
        raise UsageError(
            f"{begun.folder} holds a run of head {begun.record.head}, not of {head}. Leave --head out to go on with "
            "it, or name another --run"
        )
    return begun.record.head


def entry_to_go_on(folder: Path) -> RunEntry:
    """The run in a folder, which is to be trained further.

    Raises:
        UsageError: its head was trained elsewhere.
    """
    entry = RunEntry.of(folder)
    if entry.is_imported:
        raise UsageError(f"{folder} holds an imported head, which cannot go on. Name another run with --run")
    return entry


def head_config_of(begun: RunEntry | None, head: str, typed: Mapping[str, str]) -> Any:
    """The head's ``Config`` as it is typed; of a run that goes on, what is not typed is as it was."""
    if begun is None:
        return configured_head(head, typed)
    return reconfigured(begun.record.configured_head, typed, head)


def training_config_of(begun: RunEntry | None, typed: Mapping[str, str], device: str) -> TrainingConfig:
    """The same of the training."""
    settings = with_current_names(typed)
    if begun is None:
        return configured(TrainingConfig, {"device": device, **settings}, "training")
    there = {} if device == "auto" else {"device": device}
    return reconfigured(begun.record.config, {**there, **settings}, "training")


def _begun(place: Workspace, run: Place | None) -> RunEntry | None:
    """The run that is to go on; None for a new one."""
    if run is None:
        return None
    if not (Path(run) / RUN_CONFIG_NAME).is_file() and not place.has_run(str(run)):
        return None
    return entry_to_go_on(run_folder_of(place, run))


def _features(store: Store | Place | None, begun: RunEntry | None, options: TrainOptions) -> FeatureStore:
    if isinstance(store, Store):
        return store.features
    if store is None and begun is not None and options.get("dataset") is None:
        return run_store(begun.folder, begun.record)
    return open_store(store, dataset=options.get("dataset"), workspace=options.get("workspace")).features


def _folder(
    place: Workspace, begun: RunEntry | None, run: Place | None, dataset: str, head: str
) -> AbstractContextManager[Path]:
    if begun is not None:
        return nullcontext(begun.folder)
    if run is None:
        return place.new_run_folder(dataset, head)
    is_path = Path(run).name != str(run)
    return nullcontext(Path(run) if is_path else place.run_folder(dataset, str(run)))
