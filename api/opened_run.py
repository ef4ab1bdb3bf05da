"""A run, opened: which head was trained on which store, and how it went."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .heads.base import Head
from .heads.evaluation.ranks import FEW
from .heads.evaluation.validation_figures import few_candidates_of_score
from .heads.runs.find_store import run_store
from .heads.runs.newest import RunEntry, run_entries
from .heads.runs.run_folder import load_run, read_metrics, read_result
from .heads.runs.training_config import score_in_words
from .opened_store import Store
from .places import Place, run_folder_of, see_that_it_is_of, workspace_at
from .shown import facts_table


class Run:
    """A trained head.

    Args:
        folder: of the run.

    Raises:
        UsageError: there is no run, or one of another format.
    """

    def __init__(self, folder: Place) -> None:
        self.folder = Path(folder)
        self._entry = RunEntry.of(self.folder)

    @property
    def head(self) -> str:
        """The head's name."""
        return self._entry.record.head

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of the head."""
        return self._entry.record.head_config

    @property
    def dataset(self) -> str:
        """The data set that it was trained on."""
        return str(self._entry.record.store.get("dataset"))

    @property
    def is_finished(self) -> bool:
        """Whether all its epochs are done."""
        return self._entry.is_finished

    @property
    def score(self) -> float | None:
        """The validation score of the epoch that was kept, as ``select_by`` of the training counts it; None where there
        is none."""
        result = read_result(self.folder)
        return None if result is None else result["best_score"]

    @property
    def history(self) -> list[dict[str, Any]]:
        """What each epoch came to: losses, validation figures, seconds."""
        return read_metrics(self.folder)

    @property
    def store(self) -> Store:
        """The features that it was trained on.

        Raises:
            StoreError: they are gone, or others by now.
        """
        return Store(run_store(self.folder, self._entry.record).folder)

    def load(self, device: str = "cpu") -> Head:
        """The head with its weights, for code of your own."""
        return load_run(self.folder, device)[0]

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {self.head} on {self.dataset}, {self._state})"

    def _repr_html_(self) -> str:
        facts = {
            "head": self.head,
            "data set": self.dataset,
            "state": self._state,
            "settings": ", ".join(f"{key}={value}" for key, value in self.settings.items()),
            "folder": str(self.folder),
        }
        return facts_table("Run", facts)

    @property
    def _state(self) -> str:
        if self._entry.is_imported:
            return "imported"
        if self.score is None:
            return self._entry.state
        select_by, result = self._entry.record.config.select_by, read_result(self.folder)
        few = result and few_candidates_of_score(self.folder, result["best_epoch"], select_by)
        return f"{self._entry.state}, validation {score_in_words(self.score, select_by, FEW if few else '')}"


def open_run(run: Place | None = None, *, dataset: str | None = None, workspace: Place | None = None) -> Run:
    """A run by its folder or its name in the workspace; without one the newest finished one, of a data set or of all.

    Raises:
        UsageError: there is none, or nothing has that name.
    """
    place = workspace_at(workspace)
    if run is not None:
        found = Run(run_folder_of(place, run))
        see_that_it_is_of(dataset, found.folder, found.dataset)
        return found
    finished = [entry for entry in run_entries(place, dataset) if entry.is_finished]
    return Run(finished[0].folder if finished else place.named_run("", dataset))


def runs(*, workspace: Place | None = None, dataset: str | None = None) -> list[Run]:
    """The runs of a workspace, the newest first, those that are not finished among them."""
    return [Run(entry.folder) for entry in run_entries(workspace_at(workspace), dataset)]
