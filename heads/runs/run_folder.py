"""A run's folder: everything to evaluate, search and resume with no other argument. Nothing in it is a
pickle."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from ...data.contracts.errors import TrainingError, UsageError, pasteable
from ...data.contracts.plug_ins import load_plug_in
from ...data.contracts.records import Record, restored, restored_value
from ...data.contracts.strict_json import json_of, read_json, read_json_lines
from ...data.contracts.toml_text import toml_of
from ...pipeline.store.atomic_files import atomic_write, keep_text, write_json
from ..base import FeatureShape, Head, build_head
from ..features.from_store import CONTENT_DIGEST
from .denoising import Denoising
from .identity import STORE_DIGEST, run_differences, store_digest
from .kept_extraction import keep_extraction
from .training_config import TrainingConfig, with_current_names

OPTIONS = "run.toml"
"""What repeats a training: ``tvr train-head --config run.toml``."""
CONFIG, HEAD, STATE, METRICS_FILE, RESULT = (
    "config.json",
    "head.safetensors",
    "resume.safetensors",
    "metrics.jsonl",
    "result.json",
)
FORMAT_VERSION = 1
IMPORTED = "none: imported"
"""How the training split of a head is told that was trained elsewhere."""


@dataclass(frozen=True)
class RunRecord:
    """``config.json``: what makes the same head again."""

    head: str
    head_config: Mapping[str, Any]
    training: Mapping[str, Any]
    shape: Mapping[str, Any]
    store: Mapping[str, Any]
    """What identifies the features it was trained on."""
    splits: Mapping[str, str]
    """Videos, texts and exclusions of each split, in words."""
    versions: Mapping[str, str]
    format_version: int = FORMAT_VERSION

    def build(self) -> Head:
        """The head with its initial weights.

        Raises:
            UsageError: the head is unknown here, or has other settings in this version.
        """
        return build_head(self.head, self.configured_head, _config(FeatureShape, self.shape))

    @property
    def configured_head(self) -> Any:
        """The head's ``Config``."""
        return _config(load_plug_in("tvr.heads", self.head).Config, self.head_config)

    @property
    def config(self) -> TrainingConfig:
        """The training settings."""
        return _config(TrainingConfig, with_current_names(self.training))

    @property
    def options(self) -> str:
        """What repeats the training, as ``--config`` reads it: every setting, but the machine's own."""
        own = ("device", "wandb")
        options = {
            "store": self.store.get("path"),
            STORE_DIGEST: store_digest(self.store) if CONTENT_DIGEST in self.store else None,
            "head": self.head,
            "set": self.head_config,
            "train": {name: value for name, value in self.training.items() if name not in own},
        }
        return toml_of(options, f"Trains the same head again: tvr train-head --config {OPTIONS}")

    @property
    def completed(self) -> "RunRecord":
        """With the defaults of settings that were not there yet when it was written."""
        return dataclasses.replace(
            self,
            head_config=dataclasses.asdict(self.configured_head),
            training=dataclasses.asdict(self.config),
        )


def record_of(
    head_name: str, head_config: Any, config: TrainingConfig, shape: FeatureShape, origin: Mapping[str, Any]
) -> RunRecord:
    """The record of a run that is about to start.

    Args:
        origin: ``store`` and ``splits`` of the record.
    """
    return RunRecord(
        head=head_name,
        head_config=dataclasses.asdict(head_config),
        training=dataclasses.asdict(config),
        shape=dataclasses.asdict(shape),
        versions={name: version(name) for name in ("tvr", "torch", "numpy")},
        **origin,
    )


class RunFolder:
    """The files of one run. Opening one that another configuration made is refused."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    def prepare(self) -> None:
        """Make the folder, or check that the run in it is this one.

        Raises:
            UsageError: the folder holds a run with other settings, and the message names them.
            TrainingError: it holds files of a run of which nothing says what it is.
        """
        file = self.path / CONFIG
        if file.exists():
            differing = run_differences(_as_json(load_record(self.path).completed), _as_json(self.record))
            if differing:
                goes_on = f", or go on with it as it was begun: tvr train-head --run {pasteable(self.path)}"
                raise UsageError(
                    f"{self.path} holds a run with other settings: {'; '.join(differing)}. Name another run folder"
                    f"{'' if self.record.splits.get('train', '').startswith(IMPORTED) else goes_on}"
                )
            self._keep_options()
            return
        if left := [name for name in (HEAD, STATE, METRICS_FILE, RESULT) if (self.path / name).exists()]:
            raise TrainingError(
                f"{self.path} holds {', '.join(left)} of a run, and no {CONFIG} that says which. Choose another run "
                "folder, or delete this one."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self._keep_options()
        write_json(file, dataclasses.asdict(self.record))

    def _keep_options(self) -> None:
        """What repeats the training and, of a store that may be deleted, the extraction before it."""
        keep_text(self.path / OPTIONS, self.record.options)
        keep_extraction(self.path, self.record.store)

    @property
    def result(self) -> dict[str, Any] | None:
        """What a finished run came to, None while it is not finished."""
        return read_result(self.path)

    def save_result(self, result: Mapping[str, Any]) -> None:
        """Mark the run as finished."""
        write_json(self.path / RESULT, result)

    def save_head(self, weights: Mapping[str, Tensor]) -> None:
        """Keep these weights as the run's head."""
        _save(self.path / HEAD, weights, {})

    def save_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Keep what a resumed run continues from."""
        _save(self.path / STATE, tensors, {"values": json.dumps(values)})

    def load_state(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What a resumed run continues from, None where nothing was kept yet.

        Raises:
            TrainingError: the file is damaged.
        """
        file = self.path / STATE
        if not file.exists():
            return None
        try:
            with safe_open(file, "pt") as opened:
                values = json_of(opened.metadata()["values"])
            return load_file(file), values
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise TrainingError(_damaged(file, error)) from error

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """One line of ``metrics.jsonl``. A line of the same or a later epoch (from a killed run) gives
        way."""
        kept = [line for line in read_metrics(self.path) if line["epoch"] < values["epoch"]]
        text = "".join(json.dumps(line) + "\n" for line in [*kept, values])
        with atomic_write(self.path / METRICS_FILE) as beside:
            beside.write_text(text, encoding="utf-8")


def load_record(folder: Path) -> RunRecord:
    """The record of a run.

    Raises:
        UsageError: the folder holds no run, or one of another format.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise UsageError(f"{folder} is not a run folder: it has no {CONFIG}. `tvr train-head` makes one.")
    try:
        values = read_json(file)
        if values["format_version"] != FORMAT_VERSION:
            raise UsageError(
                f"{file} has format {values['format_version']}, this version reads {FORMAT_VERSION}"
            )
        return restored(RunRecord, values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is not the record of a run ({error})") from error


def load_run(folder: Path, device: str = "cpu") -> tuple[Head, RunRecord]:
    """The trained head of a run, in evaluation mode, and the run's record.

    Raises:
        UsageError: the folder holds no run.
        TrainingError: the run has no finished epoch, or its weights do not fit.
    """
    record = load_record(folder)
    file = folder / HEAD
    if not file.is_file():
        raise TrainingError(
            f"{folder} has no {HEAD} yet: its first epoch is not finished. To go on: "
            f"tvr train-head --run {pasteable(folder)}"
        )
    with torch.random.fork_rng([]):  # initial weights are drawn and thrown away; the caller's draws stay his
        head = record.build()
    try:
        head.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        raise TrainingError(f"{file} does not fit head {record.head!r} ({error})") from error
    return head.to(device).eval(), record


def read_result(folder: Path) -> dict[str, Any] | None:
    """What the finished run in a folder came to, None while it is not finished.

    Raises:
        TrainingError: ``result.json`` is damaged.
    """
    file = folder / RESULT
    try:
        return _checked(read_json(file), _OF_RESULT) if file.exists() else None
    except (OSError, ValueError) as error:
        raise TrainingError(_damaged(file, error)) from error


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``, one for each finished epoch.

    Raises:
        TrainingError: the file is damaged.
    """
    file = folder / METRICS_FILE
    if not file.exists():
        return []
    try:
        return [_checked_epoch(line) for line in read_json_lines(file)]
    except (OSError, ValueError) as error:
        raise TrainingError(_damaged(file, error)) from error


_OF_RESULT: Mapping[str, Any] = {
    "best_epoch": int,
    "epochs": int,
    "best_score": float | None,
    "denoising": Denoising | None,
    "seconds": float,
}
_OF_EPOCH: Mapping[str, Any] = {
    "epoch": int,
    "loss": Mapping[str, float],
    "val": Mapping[str, Any] | None,
    "is_best": bool,
    "denoised_pairs": int | None,
    "seconds": float,
}
_RECALLS: Mapping[str, Any] = {f"R@{k}": float for k in (1, 5, 10)}


def _checked_epoch(line: Any) -> dict[str, Any]:
    """A line of ``metrics.jsonl``, if the figures that readers take from it are there; ValueError otherwise."""
    validation = _checked(line, _OF_EPOCH)["val"] or {}
    for way in ("t2v", "v2t"):
        if way in validation:
            _checked(validation[way], _RECALLS)
    return line


def _checked(record: Any, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The record, if it is an object with values of these types; ValueError otherwise."""
    values = restored_value(record, dict[str, Any], "it")
    for name, hint in hints.items():
        restored_value(values.get(name), hint, name)
    return values


def _damaged(file: Path, error: Exception) -> str:
    return f"{file} cannot be read ({error}); delete the run folder and train again"


def _config(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A Config as the run had it.

    A field that came later has what runs were made with until then: its default, or ``before`` in its metadata.

    Raises:
        UsageError: it has a field that this version does not know, or a value that its type does not admit.
    """
    fields = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]  # every Config is a dataclass
    before = {field.name: field.metadata["before"] for field in fields if "before" in field.metadata}
    try:
        return restored(kind, before | dict(values))
    except ValueError as error:
        raise UsageError(
            f"the run was made with other settings than this version of tvr has ({error})"
        ) from error


def _save(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    with atomic_write(file) as beside:
        # Not save_file, which makes a file that only its owner can read: run folders are shared.
        beside.write_bytes(save(plain, metadata))


def _as_json(record: RunRecord) -> Any:
    """As the file has it: a tuple of the one being a list of the other is no difference."""
    return json.loads(json.dumps(dataclasses.asdict(record)))
