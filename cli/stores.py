"""``tvr stores``: the feature stores of a workspace."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..data.contracts.errors import UsageError, pasteable
from ..pipeline.store.claim import is_being_written
from ..pipeline.store.entries import StoreEntry, store_entry
from ..pipeline.store.housekeeping import note_of, size_in_words, size_of
from ..pipeline.workspace import Workspace
from .input.upkeep import DeleteOption, NoteOption, RenameOption, Upkeep, YesOption
from .options import DEFAULT_WORKSPACE, WHAT, JsonOption, WorkspaceOption
from .terminal import NAME_WIDTH, out, print_json, print_table_whole


def stores(
    name: Annotated[
        str | None, typer.Argument(metavar="[STORE]", help="One of them, by its name. Default: all.")
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
    """List feature stores, the newest first; rename one, keep a note with it, delete it."""
    place = Workspace(workspace)
    upkeep = Upkeep(rename, note, delete, yes)
    folder = None if name is None else _named(place, name)
    if upkeep.is_asked(name):
        assert folder is not None
        busy = "another process" if is_being_written(folder) else None
        upkeep.do(folder, "store", in_use=busy)
        if rename is not None:
            where = pasteable(folder.parent / rename)
            out.print(f"the `tvr extract` that made it needs --store {where} from now on", soft_wrap=True)
        return
    entries = place.stores(dataset) if folder is None else [store_entry(folder)]
    if as_json:
        print_json([_record(entry) for entry in entries])
    elif not entries:
        out.print(f"no stores in {place.root / 'features'}; `tvr extract` makes one", soft_wrap=True)
    else:
        _print_table(entries)


def _named(place: Workspace, name: str) -> Path:
    """The folder of a store of the workspace, named by its name or its path there."""
    known = {entry.folder.resolve(): entry.folder for entry in place.stores()}
    try:
        return known.get(Path(name).resolve()) or place.named_store(name)
    except OSError as error:
        raise UsageError(f"no store is called {name!r}: {error.strerror or error}") from error


def _record(entry: StoreEntry) -> dict[str, Any]:
    made = entry.manifest
    return {
        "name": entry.name,
        "folder": str(entry.folder),
        "dataset": None if made is None else made.dataset,
        "encoder": None if made is None else entry.encoder,
        "videos": None if made is None else made.num_videos,
        "texts": None if made is None else made.num_texts,
        "state": entry.lacking or "finished",
        "finished": not entry.lacking,
        "written": entry.day,
        "bytes": size_of(entry.folder),
        "note": note_of(entry.folder),
    }


def _print_table(entries: list[StoreEntry]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("store", min_width=NAME_WIDTH, overflow="fold")
    for header in ("videos", "texts", "size"):
        table.add_column(header, no_wrap=True, justify="right")
    table.add_column("written", no_wrap=True)
    table.add_column("state", min_width=10, overflow="fold")
    noted = any(note_of(entry.folder) for entry in entries)
    if noted:
        table.add_column("note", min_width=10, overflow="fold")
    for entry in entries:
        made = entry.manifest
        counts = ["?", "?"] if made is None else [f"{made.num_videos:,}", f"{made.num_texts:,}"]
        size = size_in_words(size_of(entry.folder))
        cells = [entry.name, *counts, size, entry.day, entry.lacking or "finished"]
        table.add_row(*cells, *([note_of(entry.folder)] if noted else []))
    print_table_whole(table, spare=("texts", "size"))
