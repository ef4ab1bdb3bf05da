"""``tvr import-features``: features of others into a store."""

from pathlib import Path
from typing import Annotated

import typer

from ...exchange_request import ForeignFeatures, import_request, imported_folder
from ...pipeline.exchange.importing import import_store, plan_import
from ...pipeline.workspace import Workspace
from ..input.options import (
    DEFAULT_WORKSPACE,
    MACHINE,
    MODEL,
    SAMPLING,
    WHAT,
    DeviceOption,
    JsonOption,
    LayoutArgument,
    LookOption,
    WorkspaceOption,
    workspace_words,
)
from ..output.exchange import (
    import_record,
    print_import,
    print_import_plan,
    stage_meters,
    words_after_import,
)
from ..output.interruptions import interruptible
from ..output.next_command import print_next
from ..output.waiting import loaded, waiting
from ..terminal import print_json


@interruptible("every shard that is there is whole; the same command goes on")
def import_features(
    layout: LayoutArgument,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The folder, or for parquet the file, with features.")
    ],
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the new store. Default: one in the workspace.", rich_help_panel=WHAT),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="What the data set is called. Default: as where it was exported, or imported-<name of PATH>.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    captions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A file of captions (csv, jsonl, parquet; of univtg its jsonl); repeatable. Default: where the layout "
            "has them.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    no_captions: Annotated[
        bool, typer.Option("--no-captions", help="Leave captions out.", rich_help_panel=WHAT)
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(
            help="All videos are of this split. Default: as the files say, else 80/10/10.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(help="Of tables: the column that names a row's video.", rich_help_panel=WHAT),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="Of clip-retrieval: what a row of img_emb stands for, video or frame.", rich_help_panel=WHAT
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Videos that are named and have no features become rows with a reason."
        ),
    ] = False,
    clip_seconds: Annotated[
        float | None,
        typer.Option(
            help="Each row is a clip of so many seconds (UniVTG: 1 or 2).", rich_help_panel=SAMPLING
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Rows a second, the first at 0 s, where the files do not say.", rich_help_panel=SAMPLING
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The encoder that made the frames; it makes what captions lack. Default: unknown.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="Its weights: a tag or a file.", rich_help_panel=MODEL)
    ] = None,
    text_projection: Annotated[
        Path | None,
        typer.Option(
            help="Of univtg: .npy [width, dim], which brings words into the space of frames.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    hidden_states: Annotated[
        str | None,
        typer.Option(
            help="Of univtg: words that are not in the space of frames; leave them out or keep them as they are.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            help="float16: as tvr extract keeps features, float32 where that would lose; float32: float32 as it is.",
            rich_help_panel=MODEL,
        ),
    ] = "float16",
    device: DeviceOption = "auto",
    file_digest: Annotated[
        str,
        typer.Option(
            help="ends or whole: of what of a file the store keeps a digest.", rich_help_panel=MACHINE
        ),
    ] = "ends",
    videos_per_shard: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Videos in a shard.", rich_help_panel=MACHINE)
    ] = 128,
    dry_run: LookOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a store of features that others extracted, in the layout of their tool. Again, it goes on."""
    asked: ForeignFeatures = {
        "dataset": dataset,
        "captions": captions,
        "no_captions": no_captions,
        "split": split,
        "id_column": id_column,
        "rows": rows,
        "allow_missing": allow_missing,
        "clip_seconds": clip_seconds,
        "fps": fps,
        "model": model,
        "pretrained": pretrained,
        "text_projection": text_projection,
        "hidden_states": hidden_states,
        "dtype": dtype,
        "device": device,
        "file_digest": file_digest,
        "videos_per_shard": videos_per_shard,
    }
    request = import_request(layout, path, asked)
    with waiting(f"looking at {path}"):
        planned = plan_import(request, loaded)
    folder = imported_folder(Workspace(workspace), store, planned)
    if dry_run:
        print_import_plan(planned, folder, as_json=as_json)
        return
    with stage_meters() as show:
        summary = import_store(planned, folder, show)
    if as_json:
        print_json(import_record(planned, summary))
        return
    print_import_plan(planned, folder, as_json=False)
    print_import(planned, summary)
    print_next(*words_after_import(planned, folder, workspace_words(workspace)))
