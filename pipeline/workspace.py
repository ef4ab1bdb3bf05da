"""The folder that holds features and runs under predictable names, so that commands need no paths.

``features/<dataset>/<model>-<pretrained>/`` are stores, ``runs/<dataset>/<name>/`` are trained heads,
``datasets/<dataset>/`` is where a data set's files are looked for unless ``--root`` says otherwise.
"""

from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from ..data.contracts.errors import StoreError, TrainingError, UsageError, unknown_name
from ..data.contracts.file_names import folder_name
from .store.entries import StoreEntry, is_begun, name_in_workspace, newest_first, store_entry

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

    def stores(self, dataset: str | None = None) -> list[StoreEntry]:
        """Every store that was begun, of a data set or of all, the newest first."""
        folders = self.root.glob(f"features/{escape(folder_name(dataset)) if dataset else '*'}/*/")
        return newest_first([store_entry(folder) for folder in folders if is_begun(folder)])

    def find_store(self, dataset: str | None, *, complete: bool = True) -> StoreEntry:
        """The newest store, of a data set or of all: of those whose extraction ended, while there is one.

        Args:
            dataset: of which data set; None for any.
            complete: whether one is wanted that can be trained on; else the newest, whatever it lacks.

        Raises:
            StoreError: there is none yet.
            UsageError: the data set has no store; the message names those that have.
        """
        begun = self.stores(dataset)
        if not begun:
            others = {entry.folder.parent.name for entry in self.stores()}
            if dataset is not None and others:
                raise UsageError(unknown_name("data set with features", dataset, others))
            raise StoreError(f"no features in {self.root}. Make some with `tvr extract`, or see `tvr demo`.")
        whole = [entry for entry in begun if not entry.lacking] if complete else []
        return (whole or begun)[0]

    def named_store(self, name: str) -> Path:
        """The store that is called so: ``<dataset>/<folder>``, a data set, of which the newest is taken, or
        ``<folder>`` where no other data set has one of that name.

        Raises:
            UsageError: there is none, or several; the message names those that are near, or all of them.
        """
        found = self.stores_named(name)
        if len(found) == 1:
            return found[0].folder
        if any(entry.folder.parent.name == folder_name(name) for entry in found):
            return self.find_store(name).folder
        several = ", ".join(sorted(entry.name for entry in found))
        raise UsageError(f"several data sets have a store {name!r}: write one of {several}")

    def stores_named(self, name: str) -> list[StoreEntry]:
        """Every store that a name fits, the newest first: the one that is called ``<dataset>/<folder>``, else those of
        a data set of that name and those whose folder is called so.

        Raises:
            UsageError: there is none; the message names those that are near.
        """
        known = self.stores()
        exact = [entry for entry in known if entry.name == name]
        of_part = [
            entry
            for entry in known
            if entry.folder.name == name
            or ("/" not in name and entry.folder.parent.name == folder_name(name))
        ]
        if found := exact or of_part:
            return found
        counts = Counter(entry.folder.name for entry in known)
        names = {word for entry in known for word in (entry.name, entry.folder.parent.name)}
        names |= {folder for folder, count in counts.items() if count == 1}
        raise UsageError(
            unknown_name("store", name, names)
            + f" There is no folder {name!r} with a store either; `tvr stores` lists them."
        )

    def run_folders(self, dataset: str | None = None) -> list[Path]:
        """The folder of every run that was begun, of a data set or of all, by name."""
        of_dataset = escape(folder_name(dataset)) if dataset else "*"
        return [file.parent for file in sorted(self.root.glob(f"runs/{of_dataset}/*/{RUN_CONFIG_NAME}"))]

    def trial_folders(self) -> list[Path]:
        """The folder of every trial that was begun of a sweep, by name."""
        return [file.parent for file in sorted(self.root.glob(f"sweeps/*/trials/*/{RUN_CONFIG_NAME}"))]

    def has_run(self, name: str) -> bool:
        """Whether a run is called so, in any data set."""
        return any(name in (folder.name, name_in_workspace(folder)) for folder in self.run_folders())

    def named_run(self, name: str, dataset: str | None = None) -> Path:
        """The run that is called so: ``<run>``, or ``<dataset>/<run>`` where several data sets have one of that name.

        Raises:
            UsageError: there is none, or several; the message names those that are near, or all of them.
        """
        found = self.runs_named(name, dataset)
        if len(found) == 1:
            return found[0]
        several = ", ".join(map(name_in_workspace, found))
        raise UsageError(f"several data sets have a run {name!r}: write one of {several}")

    def runs_named(self, name: str, dataset: str | None = None) -> list[Path]:
        """The folder of every run that a name fits, by name; of one data set where that has one.

        Raises:
            UsageError: there is none; the message names those that are near.
        """
        known = {name_in_workspace(folder): folder for folder in self.run_folders()}
        found = [key for key in known if name == key or name == key.partition("/")[2]]
        of_dataset = [key for key in found if dataset and key.startswith(f"{folder_name(dataset)}/")]
        if found:
            return [known[key] for key in of_dataset or found]
        words = unknown_name("run", name, known if "/" in name else _short_where_unique(known))
        raise UsageError(f"{words} There is no folder of that name that holds a run; `tvr runs` lists them.")


def _short_where_unique(names: Iterable[str]) -> list[str]:
    """``<run>`` for ``<dataset>/<run>``, but where several data sets have a run of that name."""
    names = list(names)
    count = Counter(name.partition("/")[2] for name in names)
    return [short if count[short := name.partition("/")[2]] == 1 else name for name in names]
