"""The folder that holds features and runs under predictable names, so that commands need no paths.

``features/<dataset>/<model>-<pretrained>/`` are stores, ``runs/<dataset>/<name>/`` are trained heads,
``datasets/<dataset>/`` is where a data set's files are looked for unless ``--root`` says otherwise.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from ..data.contracts.errors import StoreError, TrainingError, UsageError, unknown_name
from ..data.contracts.file_names import folder_name
from .store.manifest import MANIFEST_NAME

RUN_CONFIG_NAME = "config.json"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Names within one workspace folder."""

    root: Path

    def dataset_root(self, dataset: str) -> Path:
        """Where the files of a data set lie unless the user says otherwise."""
        return self.root / "datasets" / folder_name(dataset)

    def store_folder(self, dataset: str, model: str, pretrained: str, limit: int | None) -> Path:
        """The store of a data set's features; a limited trial run stays apart from the full one."""
        name = folder_name(f"{model}-{pretrained}".replace("/", "-").replace(":", "-"))
        folder = self.root / "features" / folder_name(dataset)
        return folder / (name if limit is None else f"{name}-limit{limit}")

    def run_folder(self, dataset: str, name: str) -> Path:
        """The run of that name."""
        return self.root / "runs" / folder_name(dataset) / folder_name(name)

    def sweep_folder(self, dataset: str) -> Path:
        """The sweep of a data set's features, unless the user names another folder."""
        return self.root / "sweeps" / folder_name(dataset)

    @contextmanager
    def new_run_folder(self, dataset: str, head: str) -> Generator[Path]:
        """``<head>-<n>`` with the lowest number that is not taken, made at once: of processes that ask together, each
        has its own. If nothing has come into it when the context is left, it is removed.

        Raises:
            TrainingError: the workspace cannot be written.
        """
        try:
            folder = self._numbered_folder(dataset, head)
        except OSError as error:
            raise TrainingError(
                f"cannot make a run folder in {self.root}: {error.strerror or error}. Make room or allow writing, or "
                "name another folder with --run"
            ) from error
        try:
            yield folder
        finally:
            with suppress(OSError):  # it holds a run
                folder.rmdir()

    def _numbered_folder(self, dataset: str, head: str) -> Path:
        number = 1
        while True:
            folder = self.run_folder(dataset, f"{head}-{number}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
            number += 1

    def find_store(self, dataset: str | None) -> Path:
        """The store of a data set, or the newest store of all.

        Raises:
            StoreError: there is none yet.
            UsageError: the data set has no store; the message names those that have.
        """
        stores = sorted(self.root.glob(f"features/*/*/{MANIFEST_NAME}"))
        if not stores:
            raise StoreError(f"no features in {self.root}. Make some with `tvr extract`, or see `tvr demo`.")
        if dataset is not None:
            names = {store.parent.parent.name for store in stores}
            stores = [store for store in stores if store.parent.parent.name == folder_name(dataset)]
            if not stores:
                raise UsageError(unknown_name("data set with features", dataset, names))
        return _newest(stores).parent

    def find_run(self, dataset: str | None = None) -> Path:
        """The newest run, of a data set or of all.

        Raises:
            TrainingError: there is none yet.
        """
        runs = self._runs(dataset)
        if not runs:
            raise TrainingError(f"no trained head in {self.root / 'runs'}. Train one with `tvr train-head`.")
        return _newest(runs).parent

    def find_runs(self, dataset: str | None = None) -> list[Path]:
        """Every run of a data set (by default that of the newest run), the oldest first.

        Raises:
            TrainingError: there is none yet.
        """
        name = dataset or self.find_run().parent.name
        return [run.parent for run in sorted(self._runs(name), key=_time)] or [self.find_run(dataset)]

    def has_run(self, dataset: str | None = None) -> bool:
        """Whether there is a run, of a data set or of all."""
        return bool(self._runs(dataset))

    def _runs(self, dataset: str | None) -> list[Path]:
        return sorted(
            self.root.glob(f"runs/{escape(folder_name(dataset)) if dataset else '*'}/*/{RUN_CONFIG_NAME}")
        )


def _newest(paths: Iterable[Path]) -> Path:
    return max(paths, key=_time)


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns
