"""``tvr verify``: are the bytes of a store still those that were written?"""

from dataclasses import asdict
from typing import Annotated

import typer

from ..data.contracts.errors import StoreError, counted
from ..pipeline.repair import Repair
from ..pipeline.repair import repair as repair_store
from ..pipeline.request import Named, repair_command
from ..pipeline.store.reader import FeatureStore
from ..pipeline.store.verification import Verification
from ..pipeline.store.verification import verify as verify_store
from ..pipeline.workspace import Workspace
from .input.chosen_store import taken_store
from .input.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    JsonOption,
    NamedDataOption,
    NamedModelOption,
    RootOption,
    StoreArgument,
    StoreOption,
    WorkspaceOption,
    key_values,
    one_store,
    workspace_words,
)
from .output.after_store import print_next_of_store
from .output.extraction import extraction_meters
from .output.interruptions import interruptible
from .output.waiting import waiting
from .terminal import Meter, out, print_json


@interruptible("nothing was changed")
def verify(
    at: StoreArgument = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    repair: Annotated[
        bool, typer.Option("--repair", help="Extract again what is damaged or missing, and nothing else.")
    ] = False,
    root: RootOption = None,
    data: NamedDataOption = None,
    model: NamedModelOption = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="With --repair: the checkpoint file, if it has moved or another user made the store."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="With --repair: another device than the one first used.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare every shard with the sha256 in its receipt; exit code 4 if one is damaged or missing."""
    taken = taken_store(Workspace(workspace), one_store(at, store), dataset, complete=False)
    with Meter("verifying", "files") as meter:
        found = verify_store(taken, meter.update)
    named = Named(root, key_values(data, "--data"), model, pretrained, device)
    mended = _repaired(found, named) if repair else None
    if as_json:
        record = asdict(found) | {"folder": str(found.folder)}
        print_json(record | ({"repair": asdict(mended)} if mended else {}))
    else:
        _print_damages(found) if mended is None else _print_repair(found, mended)
        if mended is not None or not found.damages:
            print_next_of_store(FeatureStore.open(taken), workspace_words(workspace))
    if found.damages and not mended:
        raise typer.Exit(StoreError.exit_code)


def _repaired(found: Verification, named: Named) -> Repair:
    with waiting("mending"), extraction_meters() as show:
        return repair_store(found, named, show)


def _print_damages(found: Verification) -> None:
    for damage in found.damages:
        out.print(f"{damage.file} {damage.problem}", soft_wrap=True)
    whole = found.num_files - len(found.damages)
    out.print(f"{whole:,} of {counted(found.num_files, 'file')} whole: {found.folder}", soft_wrap=True)
    if found.damages:
        out.print(f"mend: {repair_command(found.folder)}", soft_wrap=True)


def _print_repair(found: Verification, repaired: Repair) -> None:
    """What was wrong stands beside what became of it: all of it is whole now, or the repair had ended in an error."""
    for damage in repaired.mended:
        out.print(f"mended: {damage.file} (found that it {damage.problem})", soft_wrap=True)
    for name in repaired.changed:
        out.print(
            f"{name} is whole, but not byte for byte as it was first written: a video, a library or the device "
            "is another one now",
            soft_wrap=True,
        )
    mended = (
        f"{counted(len(repaired.mended), 'file')} mended" if repaired.mended else "nothing was to be mended"
    )
    out.print(f"{mended}; the whole store is as it should be: {found.folder}", soft_wrap=True)
