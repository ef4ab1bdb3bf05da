"""Where a run's curves go beside ``metrics.jsonl``: TensorBoard events always, Weights & Biases on request."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from ...data.contracts.errors import UsageError
from .history import EpochReport


class MetricLoggers:
    """Writes one point of every curve an epoch. Files are opened with the first point."""

    def __init__(self, folder: Path, config: Mapping[str, Any], wandb_project: str | None) -> None:
        self.folder = folder
        self.config = config
        self._wandb = _wandb() if wandb_project else None
        self._project = wandb_project
        self._events: Any = None
        self._run: Any = None

    def __enter__(self) -> "MetricLoggers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()
        if self._run is not None:
            self._run.finish(exit_code=int(error is not None))

    def add(self, report: EpochReport) -> None:
        """Points of a finished epoch; those that a killed run left from there on give way."""
        epoch, points = report.epoch, dict(curve_points(report.record()))
        if self._events is None:
            # Imported here because it takes a second, which evaluation and search should not pay.
            from torch.utils.tensorboard.writer import SummaryWriter

            self._events = SummaryWriter(str(self.folder), purge_step=epoch)
        for name, value in points.items():
            self._events.add_scalar(name, value, epoch)
        self._events.flush()
        if self._wandb is not None:
            if self._run is None:
                self._run = self._wandb.init(
                    project=self._project,
                    name=self.folder.name,
                    dir=str(self.folder),
                    config=dict(self.config),
                )
            self._run.log(points, step=epoch)


def curve_points(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number of a line of ``metrics.jsonl`` by its path, such as ``val/t2v/R@1``."""
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{below}", number) for below, number in curve_points(value))
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "epoch":
            yield name, float(value)


def check_wandb(project: str | None) -> None:
    """See that curves can go there, before a run is begun.

    Raises:
        UsageError: a project is named, and the package is not installed.
    """
    if project:
        _wandb()


def _wandb() -> Any:
    try:
        return import_module("wandb")
    except ModuleNotFoundError:
        raise UsageError("wandb=PROJECT needs the wandb package: pip install 'tvr[wandb]'") from None
