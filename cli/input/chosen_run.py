"""Which run a command takes, and on which store: those that are named, else the newest, and then it says which.

A run is named by its folder or, as ``tvr runs`` lists it, by its name in the workspace.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data.contracts.errors import NoCaptionsError, TvrError, UsageError, cut_short, pasteable
from ...heads.features.from_store import only_searched
from ...heads.runs.newest import RunEntry, left_note, run_entries
from ...heads.runs.run_folder import CONFIG
from ...pipeline.store.generations.record import load_manifest
from ...pipeline.workspace import Workspace
from .chosen_store import named_store, say, say_left_stores, store_in_words, taken_store
from .of_dataset import refuse_other_dataset
from .offered_stores import again_line, again_offered, captioned_store
from .options import DEFAULT_WORKSPACE, is_there


@dataclass(frozen=True)
class RunWording:
    """What a command's line on its choice says."""

    without: str
    """Behind "no finished run": what is done without; empty where there must be one."""
    run: str
    """How that command takes another run."""
    alone: str = ""
    """How it takes none although there is one; empty where it cannot."""


SEARCHED = RunWording(": zero-shot", "--run", "--zero-shot takes none")
SERVED = RunWording(": zero-shot", "the name of a run", "--zero-shot begins without one")
INDEXED = RunWording(": zero-shot", "the name of a run", "--zero-shot takes none")
SCORED = RunWording("", "the name of a run")


@dataclass(frozen=True)
class Taken:
    """What a command works on."""

    run: Path | None
    """None: no head is trained on the store, or none is to be used."""
    store: Path | None
    """None: that which the run was trained on."""


@dataclass(frozen=True)
class TakenRun(Taken):
    """The same where there must be a run."""

    run: Path


def taken_run(
    place: Workspace,
    run: Path | None,
    store: Path | None,
    dataset: str | None,
    *,
    zero_shot: bool = False,
    wording: RunWording = SEARCHED,
) -> Taken:
    """The run that is named, or else the newest finished one on the newest store; no run where none is trained on it.

    Args:
        place: where to look.
        run: a folder, or a name in the workspace.
        store: the same of a store; None: that of the run or, without one, the newest.
        dataset: of which data set the newest is taken; None: of any.
        zero_shot: take a store alone.
        wording: what the line says of it.

    Raises:
        StoreError: there are neither features nor runs yet.
        UsageError: nothing has that name, or the run is of another data set than the one that is named.
    """
    if zero_shot:
        return Taken(None, taken_store(place, store, dataset))
    if run is not None:
        folder = named_run(place, run, dataset)
        if dataset is not None and store is None:
            _see_that_it_is_of(folder, dataset)
        _say_if_unfinished(folder)
        return Taken(folder, None if store is None else named_store(place, store, dataset))
    if store is None and not place.stores():  # they lie elsewhere, and each run knows where
        newest = next(iter(_with_features(run_entries(place, dataset))), None)
        if newest is not None:
            say(f"{_run_words(newest)}; {wording.run} chooses another")
            return Taken(newest.folder, None)
    if store is not None:
        folder, words = named_store(place, store, dataset), ""
    else:
        with again_offered(place, dataset):
            entry = place.find_store(dataset)
        folder, words = entry.folder, store_in_words(entry)
        say_left_stores(place, entry, dataset)
    typed = {"--dataset": dataset is not None or store is not None, "--store": store is not None}
    others = [*(option for option, is_typed in typed.items() if not is_typed), wording.run]
    return Taken(_newest_run(place, folder, words, others, wording), folder)


def needed_run(place: Workspace, store: Path | None, dataset: str | None) -> TakenRun:
    """The newest finished run on the newest store, as ``taken_run`` takes it, where there must be one.

    Raises:
        UsageError: no head is trained on the store; the message says how to train one, and which was trained last on
            others.
        DataError: it has no captions, so that none can be.
    """
    taken = taken_run(place, None, store, dataset, wording=SCORED)
    if taken.run is not None:
        return TakenRun(taken.run, taken.store)
    assert taken.store is not None, "without a run there is a store"
    # A line each, so that every command stands at the end of its own.
    kind: type[TvrError] = UsageError
    if has_captions := load_manifest(taken.store).num_texts > 0:
        on = f"--store {pasteable(taken.store)}{_workspace_option(place)}"
        message = (
            f"no finished run on {taken.store}\n"
            f"Train one: tvr train-head {on}\nOr score without: tvr eval --zero-shot mean_pool {on}"
        )
    else:
        kind, message = NoCaptionsError, only_searched(taken.store)
    other = next(iter(_with_features(run_entries(place))), None)
    if other is not None:
        message += f"\nThe newest of other features is {other.name}: tvr eval {pasteable(other.folder)}"
    elif not has_captions and (captioned := captioned_store(place)) is not None:
        on = f"--store {pasteable(captioned.folder)}{_workspace_option(place)}"
        message += f"\nThe newest store with captions is {captioned.name}: tvr train-head {on}"
    else:
        message += again_line(place)
    raise kind(message)


def chosen_runs(
    place: Workspace, runs: Sequence[Path], store: Path | None, dataset: str | None, *, every: bool
) -> tuple[list[Path], Path | None]:
    """Several runs, and the store that all of them are to use (None: each its own).

    Args:
        place: where to look.
        runs: folders, or names in the workspace; if there are none, the newest finished run of the newest store.
        store: as for ``taken_run``.
        dataset: as for ``taken_run``.
        every: without ``runs``, take every finished run of that data set, the oldest first.

    Raises:
        StoreError: there are neither features nor runs yet.
        UsageError: no head is trained on the store, or nothing has that name.
    """
    if runs:
        taken = [taken_run(place, run, store, dataset) for run in runs]
        return [one.run for one in taken if one.run is not None], taken[0].store
    newest = needed_run(place, store, dataset)
    if not every:
        return [newest.run], newest.store
    entries = [entry for entry in reversed(run_entries(place, newest.run.parent.name)) if entry.is_finished]
    if store is None:
        entries = _said_without_features(entries)
    say(f"all finished runs of {newest.run.parent.name}: {', '.join(entry.folder.name for entry in entries)}")
    return [entry.folder for entry in entries], store and newest.store


def named_run(place: Workspace, run: Path, dataset: str | None = None) -> Path:
    """The folder of a run that is named by its folder, or by its name in the workspace.

    Raises:
        UsageError: it is neither.
    """
    if is_run(run) or (is_there(run) and not place.has_run(str(run))):
        return run  # who opens it says where it holds none
    return place.named_run(str(run), dataset)


def begun_run(place: Workspace, run: str | None, dataset: str | None) -> Path | None:
    """The folder of the run that is named, if one was begun there; None if it will be a new one.

    Raises:
        UsageError: several data sets have a run of that name.
    """
    if run is None:
        return None
    if is_run(Path(run)):
        return Path(run)
    return place.named_run(run, dataset) if place.has_run(run) else None


def new_run(place: Workspace, run: str, dataset: str) -> Path:
    """The folder of a run that is to be made: a path if it has a slash or is there, else a name in the workspace."""
    return Path(run) if "/" in run or is_there(Path(run)) else place.run_folder(dataset, run)


def is_run(folder: Path) -> bool:
    """Whether a run is in a folder."""
    try:
        return (folder / CONFIG).is_file()
    except OSError:  # a sentence may be longer than any name
        return False


def _newest_run(
    place: Workspace, store: Path, words: str, others: Sequence[str], wording: RunWording
) -> Path | None:
    """The newest finished run of a store, of which a line is said, with what goes on with one that was left.

    Args:
        place: where to look.
        store: its folder.
        words: on the store; empty where it was named.
        others: how another store or run is chosen: what was not typed.
        wording: what else the line says.
    """
    manifest = load_manifest(store)
    entries = [entry for entry in run_entries(place, manifest.dataset) if entry.is_of(manifest, store)]
    finished = [entry for entry in entries if entry.is_finished]
    run = _run_words(finished[0]) if finished else f"no finished run{wording.without}"
    said = ", ".join(part for part in (words, run) if part)
    alone = f", {wording.alone}" if finished and wording.alone else ""
    *options, last = others
    choose = f"{', '.join(options)} or {last} choose others" if options else f"{last} chooses another"
    say(f"{said}; {choose}{alone}")
    note = left_note(entries, finished[0].written if finished else 0.0)
    if note is not None:
        say(f"note: {note}")
    return finished[0].folder if finished else None


def _with_features(entries: Iterable[RunEntry]) -> Iterator[RunEntry]:
    """Those that are finished and whose features are there."""
    return (entry for entry in entries if entry.is_finished and entry.store is not None)


def _said_without_features(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """Those whose features are there; a note names the others."""
    kept = list(_with_features(entries))
    if gone := [entry.folder.name for entry in entries if entry not in kept]:
        say(f"note: passed over, as their features are gone: {cut_short(gone)}")
    return kept


def _see_that_it_is_of(run: Path, dataset: str) -> None:
    """See that a run that is named is of the data set that is named.

    Raises:
        UsageError: it was trained on another one, whose videos would be taken.
    """
    trained = RunEntry.of(run).record.store.get("dataset")
    if trained is not None:
        on = "name the features it is to be used on with --store"
        refuse_other_dataset("run", {run.name: str(trained)}, dataset, on, verb="was trained on")


def _say_if_unfinished(folder: Path) -> None:
    if is_run(folder) and not (entry := RunEntry.of(folder)).is_finished:
        say(f"note: {folder} is not finished: {entry.state}")


def _run_words(entry: RunEntry) -> str:
    return f"run {entry.folder.name} ({entry.record.head}, {entry.day})"


def _workspace_option(place: Workspace) -> str:
    return "" if place.root == DEFAULT_WORKSPACE else f" --workspace {pasteable(place.root)}"
