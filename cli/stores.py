"""``tvr stores`` and ``tvr compact``: the feature stores of a workspace, and one of them written anew."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.contracts.errors import counted, pasteable
from ..pipeline.growth.compaction import Compaction, compact_store, planned_compaction
from ..pipeline.request import extract_command
from ..pipeline.store.claim import is_being_written
from ..pipeline.store.entries import StoreEntry, store_entry
from ..pipeline.store.housekeeping import size_in_words
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .input.chosen_store import taken_store
from .input.offered_stores import again_line, what_needs
from .input.options import (
    DEFAULT_WORKSPACE,
    WHAT,
    DatasetOption,
    JsonOption,
    StoreArgument,
    StoreOption,
    WorkspaceOption,
    one_store,
    workspace_words,
)
from .input.upkeep import DeleteOption, NoteOption, RenameOption, Upkeep, YesOption, named_folders
from .output.after_store import completing_words, print_next_of_store
from .output.interruptions import interruptible
from .output.listing import Listed, folder_record, print_list
from .output.next_command import print_next
from .terminal import Meter, out, print_json


def stores(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[STORE]", help="One of them, or those of a data set, by its name. Default: all."
        ),
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
    upkeep = Upkeep(rename, note, delete, yes, as_json)
    begun = [entry.folder for entry in place.stores()]
    found = named_folders(
        "store", name, begun, lambda named: [entry.folder for entry in place.stores_named(named)], dataset
    )
    if upkeep.is_asked(name):
        folder = upkeep.needs_one("stores", name, found, workspace_words(workspace))
        busy = "another process" if is_being_written(folder) else None
        upkeep.do(folder, "store", in_use=busy, needed=what_needs(place, folder) if delete else None)
        if rename is not None and not as_json:
            _print_place(folder.parent / rename)
        if not as_json:
            print_next("stores", *workspace_words(workspace))
        return
    entries = place.stores(dataset) if name is None else list(map(store_entry, found))
    if as_json:
        print_json([_record(entry) for entry in entries])
    elif not entries:
        said = f"no stores{f' of {dataset}' if dataset else ''} in {place.root / 'features'}; `tvr extract` makes one"
        out.print(said + again_line(place, dataset), soft_wrap=True)
    else:
        _print_table(entries)
        newest = entries[0]
        if newest.is_damaged:
            out.print(completing_words(newest.folder, is_damaged=True), soft_wrap=True)
        else:
            print_next("inspect", "--store", newest.folder)


def _print_place(renamed: Path) -> None:
    """The store stays where it is named: who extracts into it again has to say so."""
    again = extract_command(renamed)
    words = f"the `tvr extract` that made it needs --store {pasteable(renamed)} from now on"
    out.print(words if again is None else f"to extract into it again: {again}", soft_wrap=True)


def _record(entry: StoreEntry) -> dict[str, Any]:
    made = entry.manifest
    return {
        "name": entry.name,
        "dataset": None if made is None else made.dataset,
        "encoder": None if made is None else entry.encoder,
        "videos": None if made is None else made.num_videos,
        "texts": None if made is None else made.num_texts,
        "state": entry.state,
        "finished": not entry.lacking,
        "written": entry.day,
        **folder_record(entry.folder),
    }


def _print_table(entries: list[StoreEntry]) -> None:
    listed = list[Listed]()
    for entry in entries:
        made = entry.manifest
        counts = ("?", "?") if made is None else (f"{made.num_videos:,}", f"{made.num_texts:,}")
        listed.append(Listed(entry.name, entry.folder, entry.day, entry.state, counts))
    print_list(
        "store", {"videos": "right", "texts": "right"}, listed, spare=("texts", "size", "videos", "note")
    )


@interruptible("the store is as it was")
def compact_(
    at: StoreArgument = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would come to, and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a store that has grown anew, as if it had been extracted at once: in less room, and fewer files."""
    taken = taken_store(Workspace(workspace), one_store(at, store), dataset, complete=False)
    if dry_run:
        done = planned_compaction(taken)
    else:
        with Meter("writing", "shards", at_once=False) as meter:
            done = compact_store(taken, meter.update)
    if as_json:
        print_json(asdict(done) | {"folder": str(done.folder), "dry_run": dry_run})
    else:
        _print_compaction(done, is_dry=dry_run)
        if dry_run and done.generations:
            print_next(*(word for word in sys.argv[1:] if word != "--dry-run"))
        else:
            print_next_of_store(FeatureStore.open(taken, complete=False), workspace_words(workspace))


def _print_compaction(done: Compaction, *, is_dry: bool) -> None:
    if not done.generations:
        out.print(f"{done.folder} has not grown: nothing to do", soft_wrap=True)
        return
    becomes = "would become" if is_dry else "became"
    shards = f"{counted(done.shards_before, 'shard')} {becomes} {done.shards:,}"
    sizes = f"{size_in_words(done.bytes_before)} {becomes} {'about ' if is_dry else ''}{size_in_words(done.bytes)}"
    grown = f"{counted(done.generations, 'generation')} after the first"
    out.print(f"{done.folder}: {grown}; {shards}, {sizes}", soft_wrap=True)
