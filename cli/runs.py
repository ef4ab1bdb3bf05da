"""``tvr runs``: the trained heads of a workspace."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.contracts.errors import TvrError
from ..heads.evaluation.ranks import FEW, FEW_REMARK
from ..heads.evaluation.validation_figures import few_candidates_of_score
from ..heads.runs.newest import RunEntry, run_entries
from ..heads.runs.run_folder import read_result
from ..heads.runs.run_lock import holder_of, is_taken
from ..heads.runs.training_config import score_in_words
from ..pipeline.workspace import Workspace
from .input.options import DEFAULT_WORKSPACE, WHAT, JsonOption, WorkspaceOption, workspace_words
from .input.upkeep import DeleteOption, NoteOption, RenameOption, Upkeep, YesOption, named_folders
from .output.listing import Listed, folder_record, print_list
from .output.next_command import print_next
from .terminal import out, print_json

GONE, CHANGED = "no store", "store changed"
"""Of a run whose features are not there, or in whose store others are by now."""


def runs(
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="One of them, by its name. Default: all.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Only those of this data set.", rich_help_panel=WHAT)
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rename: RenameOption = None,
    note: NoteOption = None,
    delete: DeleteOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """List trained heads with their validation scores, the newest first; rename one, keep a note, delete it."""
    place = Workspace(workspace)
    upkeep = Upkeep(rename, note, delete, yes, as_json)
    found = named_folders("run", name, place.run_folders(), place.runs_named, dataset)
    if upkeep.is_asked(name):
        folder = upkeep.needs_one("runs", name, found, workspace_words(workspace))
        upkeep.do(folder, "run", in_use=holder_of(folder) if is_taken(folder) else None)
        if not as_json:
            print_next("runs", *workspace_words(workspace))
        return
    entries = run_entries(place, dataset) if name is None else list(map(RunEntry.of, found))
    if as_json:
        print_json([_record(entry) for entry in entries])
    elif not entries:
        out.print(
            f"no runs{f' of {dataset}' if dataset else ''} in {place.root / 'runs'}; `tvr train-head` makes one",
            soft_wrap=True,
        )
    else:
        stores = {entry.folder: entry.store for entry in entries}
        _print_table(entries, stores)
        _print_next(entries, stores)


def _print_next(entries: Sequence[RunEntry], stores: Mapping[Path, Path | None]) -> None:
    """What can be done with the newest run whose features are there; else what makes those of the newest again."""
    usable = [entry for entry in entries if stores[entry.folder] is not None]
    finished = [entry for entry in usable if entry.is_finished]
    if usable:
        print_next(*(("eval", finished[0].folder) if finished else ("train-head", "--run", usable[0].folder)))
    elif (again := entries[0].extract_again_command) is not None:
        print_next(*shlex.split(again)[1:])


def _record(entry: RunEntry) -> dict[str, Any]:
    score, few = _score(entry)
    store = entry.store
    return {
        "name": entry.name,
        "dataset": entry.record.store.get("dataset"),
        "head": entry.record.head,
        "score": score,
        "few_candidates": few,
        "score_of": entry.record.training.get("select_by"),
        "state": entry.state,
        "store": None if store is None else str(store),
        "finished": entry.is_finished,
        "written": entry.day,
        **folder_record(entry.folder),
    }


def _score(entry: RunEntry) -> tuple[float | None, list[str]]:
    """The validation score of the epoch that was kept, None where there is none; and what in it has few candidates."""
    if not entry.is_finished or entry.is_imported:
        return None, []
    try:
        result = read_result(entry.folder)
        if result is None or result["best_score"] is None:
            return None, []
        few = few_candidates_of_score(entry.folder, result["best_epoch"], entry.record.config.select_by)
    except TvrError:  # the table is not the place to end with a damaged file
        return None, []
    return result["best_score"], few


def _print_table(entries: list[RunEntry], stores: Mapping[Path, Path | None]) -> None:
    listed, marked = list[Listed](), False
    for entry in entries:
        score, few = _score(entry)
        marked = marked or bool(few)
        words = (
            "-" if score is None else score_in_words(score, entry.record.config.select_by, FEW if few else "")
        )
        state = "imported" if entry.is_imported else entry.state
        if stores[entry.folder] is None:
            gone = CHANGED if entry.is_store_changed else GONE
            state = gone if entry.is_finished else f"{state}, {gone}"
        listed.append(Listed(entry.name, entry.folder, entry.day, state, (entry.record.head, words)))
    print_list("run", {"head": "left", "validation": "left"}, listed, spare=("size", "head", "note"))
    if marked:
        out.print(FEW_REMARK, soft_wrap=True)
