"""``tvr export``: a store into the layouts of others."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...exchange_request import export_request
from ...pipeline.exchange.exporting import export_store, plan_export
from ...pipeline.store.reader import FeatureStore
from ...pipeline.workspace import Workspace
from ..input.chosen_store import named_store
from ..input.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    LayoutArgument,
    LookOption,
    WorkspaceOption,
)
from ..output.exchange import (
    print_export,
    print_export_plan,
    stage_meters,
)
from ..output.interruptions import interruptible
from ..output.waiting import waiting
from ..terminal import print_json


@interruptible("every file that is there is whole; the same command goes on")
def export(
    store: Annotated[
        Path,
        typer.Argument(
            metavar="STORE", help="A feature store: its folder, or its name as `tvr stores` lists it."
        ),
    ],
    layout: LayoutArgument,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A new folder, or one of an export that was stopped.")
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rows: Annotated[
        str | None,
        typer.Option(
            help="Of clip-retrieval: a row for each frame, or one for each video (the mean of its frames). "
            "Default: frame."
        ),
    ] = None,
    tar: Annotated[
        bool, typer.Option("--tar", help="Of clip-video-encode: WebDataset tar files in place of files.")
    ] = False,
    dry_run: LookOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a store as other tools read features; what a layout cannot hold is said. Again, it goes on."""
    request = export_request(layout, path, rows, tar=tar)
    opened = FeatureStore.open(named_store(Workspace(workspace), store))
    with waiting(f"looking at {opened.folder}"):
        plan = plan_export(request, opened)
    if dry_run:
        print_export_plan(plan, as_json=as_json)
        return
    with stage_meters() as show:
        summary = export_store(plan, show)
    if as_json:
        print_json({**asdict(summary), "path": str(summary.path)})
    else:
        print_export(summary)
