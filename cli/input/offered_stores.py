"""Where a store cannot serve, what can be typed instead: what makes one again that is gone, or names one that has
captions."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...data.contracts.errors import NoCaptionsError, StoreError, UsageError, one_line
from ...pipeline.store.entries import StoreEntry, name_in_workspace
from ...pipeline.workspace import Workspace
from ..output.interruptions import typed_command
from .upkeep import Needed


def what_needs(place: Workspace, store: Path) -> Needed:
    """What needs a store that is to be deleted."""
    from ...heads.runs.newest import runs_needing

    runs, trials = runs_needing(place, store)
    commands = (entry.extract_again_command for entry in (*runs, *trials))
    return Needed(
        {run.name: str(run.folder) for run in runs},
        [str(trial.folder) for trial in trials],
        lambda: next(filter(None, commands), None),
    )


@contextmanager
def again_offered(place: Workspace, asked: str | None = None) -> Generator[None]:
    """Where a store is not there on which runs of the workspace were trained, say what makes it again.

    Args:
        place: the workspace.
        asked: the folder or name of a store, or a data set, that was asked for; None: any.

    Raises:
        StoreError: as it came, with that line.
        UsageError: likewise.
    """
    try:
        yield
    except (StoreError, UsageError) as error:
        raise type(error)(f"{error}{again_line(place, asked)}") from error


def again_line(place: Workspace, asked: str | None = None) -> str:
    """The line on the newest run whose features are gone, behind another line; empty where there is none.

    Args:
        place: the workspace.
        asked: as for ``again_offered``.
    """
    from ...heads.runs.newest import run_entries

    for entry in run_entries(place):
        is_meant = asked is None or asked in _names(entry.record.store)
        if is_meant and entry.store is None and not entry.is_store_changed:
            again, lay = (
                entry.extract_again_command,
                entry.record.store.get("path", "a place it does not say"),
            )
            how = (
                f"lay at {one_line(str(lay))}" if again is None else f"are gone. To make them again: {again}"
            )
            return f"\nThe features of run {entry.name} {how}"
    return ""


@contextmanager
def captions_offered(place: Workspace) -> Generator[None]:
    """Where a store has no captions and another one of the workspace has, offer what was typed on that one.

    Raises:
        NoCaptionsError: as it came, with that line.
    """
    try:
        yield
    except NoCaptionsError as error:
        entry = captioned_store(place)
        if entry is None:
            raise NoCaptionsError(f"{error}{again_line(place)}") from error
        again = typed_command("--store", str(entry.folder), without=("--dataset", "--store"))
        raise NoCaptionsError(f"{error}\nThe newest store with captions is {entry.name}: {again}") from error


def captioned_store(place: Workspace) -> StoreEntry | None:
    """The newest whole store that has captions."""
    whole = (entry for entry in place.stores() if entry.manifest is not None and not entry.lacking)
    return next((entry for entry in whole if entry.manifest and entry.manifest.num_texts), None)


def _names(store: Mapping[str, Any]) -> set[str]:
    """Whatever a store may be asked for by, of which a run says this."""
    path = Path(str(store.get("path")))
    return {str(path), name_in_workspace(path), path.name, path.parent.name, str(store.get("dataset"))}
