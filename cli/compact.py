"""``tvr compact``: a store that has grown, written anew."""

from dataclasses import asdict
from typing import Annotated

import typer

from ..data.contracts.errors import counted
from ..pipeline.growth.compaction import Compaction, planned_compaction
from ..pipeline.growth.compaction import compact as compact_store
from ..pipeline.store.housekeeping import size_in_words
from ..pipeline.workspace import Workspace
from .input.chosen_store import taken_store
from .input.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    JsonOption,
    StoreArgument,
    StoreOption,
    WorkspaceOption,
    one_store,
)
from .output.interruptions import interruptible
from .terminal import Meter, out, print_json


@interruptible("the store is as it was")
def compact(
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
        _print(done, is_dry=dry_run)


def _print(done: Compaction, *, is_dry: bool) -> None:
    if not done.generations:
        out.print(f"{done.folder} has not grown: nothing to do", soft_wrap=True)
        return
    becomes = "would become" if is_dry else "became"
    shards = f"{counted(done.shards_before, 'shard')} {becomes} {done.shards:,}"
    sizes = f"{size_in_words(done.bytes_before)} {becomes} {'about ' if is_dry else ''}{size_in_words(done.bytes)}"
    grown = f"{counted(done.generations, 'generation')} after the first"
    out.print(f"{done.folder}: {grown}; {shards}, {sizes}", soft_wrap=True)
