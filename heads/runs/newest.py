"""Runs of a workspace: which are finished, which were left, and which of them are of a store."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...data.contracts.errors import TvrError, counted, pasteable
from ...pipeline.store.entries import day_of, name_in_workspace
from ...pipeline.store.manifest import Manifest
from ...pipeline.workspace import Workspace
from ..features.from_store import feature_settings
from .find_store import differences_from, has_another_store, stores_of
from .identity import store_differences
from .kept_extraction import extract_again_command
from .run_folder import CONFIG, IMPORTED, RESULT, RunRecord, load_record, read_metrics
from .run_lock import holder_of, is_taken


@dataclass(frozen=True)
class RunEntry:
    """A run folder of a workspace."""

    folder: Path
    record: RunRecord
    is_finished: bool
    written: float
    """When it was finished, or else last went on, in seconds since 1970."""

    @classmethod
    def of(cls, folder: Path) -> "RunEntry":
        """The run in a folder.

        Raises:
            UsageError: the folder holds none, or one of another format.
        """
        record = load_record(folder)
        is_finished = (folder / RESULT).exists()
        written = [folder / RESULT] if is_finished else [folder / CONFIG, *folder.glob("*.safetensors")]
        return cls(folder, record, is_finished, max(file.stat().st_mtime for file in written))

    @property
    def name(self) -> str:
        """``<dataset>/<run>``, by which commands take it."""
        return name_in_workspace(self.folder)

    @property
    def day(self) -> str:
        """When it was finished, or else last went on, as a person reads it."""
        return day_of(self.written)

    @property
    def is_imported(self) -> bool:
        """Whether its head was trained elsewhere."""
        return self.record.splits.get("train", "").startswith(IMPORTED)

    @property
    def state(self) -> str:
        """How far it has come, in words; ``finished`` where it is."""
        if self.is_finished:
            return "finished"
        if is_taken(self.folder):
            return f"{holder_of(self.folder)} trains it now"
        epochs = self.record.training.get("epochs")
        return f"stopped after {self._epochs_done()} of {counted(epochs, 'epoch') if isinstance(epochs, int) else '?'}"

    @property
    def store(self) -> Path | None:
        """The folder of its features; None where they are gone."""
        return next(stores_of(self.folder, self.record), None)

    @property
    def is_store_changed(self) -> bool:
        """Whether its features are gone because another store lies in their place, which may have grown."""
        return self.store is None and has_another_store(self.folder, self.record)

    @property
    def extract_again_command(self) -> str | None:
        """What makes its features again, to be typed; None where nobody kept that here."""
        return extract_again_command(self.folder, self.record.store)

    def is_of(self, manifest: Manifest, folder: Path | None = None) -> bool:
        """Whether it was trained on features like those of a store.

        Args:
            manifest: of the store.
            folder: where it lies, if what it has grown from counts as well.
        """
        recorded = self.record.store
        if not recorded:
            return False
        if folder is None:
            return not store_differences(recorded, feature_settings(manifest))
        return not differences_from(recorded, folder, manifest)

    def _epochs_done(self) -> int | str:
        try:
            return len(read_metrics(self.folder))
        except TvrError:
            return "?"


def run_entries(place: Workspace, dataset: str | None = None) -> list[RunEntry]:
    """Every run that can be read, of a data set or of all, the newest first."""
    return _entries(place.run_folders(dataset))


def runs_needing(place: Workspace, store: Path) -> tuple[list[RunEntry], list[RunEntry]]:
    """The runs of a workspace, and the trials of its sweeps, that find their features in this store and in no other
    one, the newest first."""
    runs, trials = _entries(place.run_folders()), _entries(place.trial_folders())
    return _needing(runs, store), _needing(trials, store)


def _needing(entries: Iterable[RunEntry], store: Path) -> list[RunEntry]:
    return [entry for entry in entries if list(stores_of(entry.folder, entry.record)) == [store.resolve()]]


def _entries(folders: Iterable[Path]) -> list[RunEntry]:
    entries: list[RunEntry] = []
    for folder in folders:
        with suppress(TvrError):  # who names such a run is told what is wrong with it; it hides no other one
            entries.append(RunEntry.of(folder))
    return sorted(entries, key=lambda entry: (-entry.written, entry.name))


def left_note(entries: Iterable[RunEntry], since: float = 0.0) -> str | None:
    """Of runs that are not finished and went on later than that, the newest in a line, with what goes on; None where
    there is none.

    Args:
        entries: runs, the newest first.
        since: in seconds since 1970.
    """
    left = [entry for entry in entries if not entry.is_finished and entry.written > since]
    if not left:
        return None
    more = f", and {len(left) - 1} more" if len(left) > 1 else ""
    said = f"not finished: run {left[0].name} ({left[0].state}{more})"
    return said if is_taken(left[0].folder) else f"{said}; to go on: {goes_on(left[0].folder)}"


def goes_on(run: Path) -> str:
    """The command that goes on with a run: its own record says all the rest."""
    return f"tvr train-head --run {pasteable(run)}"
