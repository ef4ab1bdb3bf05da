"""``tvr import-features`` and ``tvr export``: features of others into a store, and a store into others' layouts."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.contracts.errors import UsageError, check_name
from ..data.contracts.plug_ins import plug_in_names
from ..pipeline.exchange.exporting import ExportRequest, export_store, plan_export
from ..pipeline.exchange.imported import ImportRequest
from ..pipeline.exchange.importing import LAYOUTS, Planned, import_store, plan_import
from ..pipeline.exchange.layouts.base import ReadOptions
from ..pipeline.options import EncoderSpec, file_digest_of
from ..pipeline.store.manifest import UNKNOWN
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .input.chosen_store import named_store
from .input.options import (
    DEFAULT_WORKSPACE,
    MACHINE,
    MODEL,
    SAMPLING,
    WHAT,
    DeviceOption,
    JsonOption,
    WorkspaceOption,
    workspace_words,
)
from .output.exchange import (
    import_record,
    print_export,
    print_export_plan,
    print_import,
    print_import_plan,
    words_after_import,
)
from .output.interruptions import interruptible
from .output.next_command import print_next
from .output.waiting import loaded, waiting
from .terminal import Meter, print_json

LayoutArgument = Annotated[
    str,
    typer.Argument(metavar="LAYOUT", help="univtg, npy, clip-video-encode, clip-retrieval or parquet."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Look at all there is, say what it would come to, write nothing.")
]


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
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a store of features that others extracted, in the layout of their tool. Again, it goes on."""
    _check_layout(layout)
    if model is None and pretrained is not None:
        raise UsageError("--pretrained names the weights of a --model: name that, too")
    read = ReadOptions(
        captions=tuple(captions or ()),
        without_captions=no_captions,
        clip_seconds=_positive("--clip-seconds", clip_seconds),
        fps=_positive("--fps", fps),
        hidden_states=_chosen("--hidden-states", hidden_states, ("leave", "keep")),
        text_projection=text_projection,
        rows=_chosen("--rows", rows, ("video", "frame")),
        id_column=id_column,
        allow_missing=allow_missing,
        file_digest=file_digest_of(file_digest),
    )
    check_name("--dtype", dtype, ("float16", "float32"))
    encoder = None if model is None else EncoderSpec(model, pretrained, device)
    request = ImportRequest(
        layout,
        path,
        read,
        dataset,
        split,
        encoder,
        exact=dtype == "float32",
        videos_per_shard=videos_per_shard,
    )
    with waiting(f"looking at {path}"):
        planned = plan_import(request, loaded)
    folder = _folder_of(Workspace(workspace), store, planned)
    if dry_run:
        print_import_plan(planned, folder, as_json=as_json)
        return
    with _meters() as show:
        summary = import_store(planned, folder, show)
    if as_json:
        print_json(import_record(planned, summary))
        return
    print_import_plan(planned, folder, as_json=False)
    print_import(planned, summary)
    print_next(*words_after_import(planned, folder, workspace_words(workspace)))


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
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a store as other tools read features; what a layout cannot hold is said. Again, it goes on."""
    _check_layout(layout)
    if tar and layout != "clip-video-encode":
        raise UsageError(f"--tar is of clip-video-encode alone, got {layout}")
    if rows is not None and layout != "clip-retrieval":
        raise UsageError(f"--rows is of clip-retrieval alone, got {layout}")
    request = ExportRequest(layout, path, _chosen("--rows", rows, ("video", "frame")), packed=tar)
    opened = FeatureStore.open(named_store(Workspace(workspace), store))
    with waiting(f"looking at {opened.folder}"):
        plan = plan_export(request, opened)
    if dry_run:
        print_export_plan(plan, as_json=as_json)
        return
    with _meters() as show:
        summary = export_store(plan, show)
    if as_json:
        print_json({**asdict(summary), "path": str(summary.path)})
    else:
        print_export(summary)


def _check_layout(layout: str) -> None:
    check_name("layout", layout, [name.replace("_", "-") for name in plug_in_names(LAYOUTS)])


def _positive(option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value <= 1_000_000:
        raise UsageError(f"{option} must be above 0 and at most 1,000,000, got {value}")
    return value


def _chosen(option: str, value: str | None, known: tuple[Any, ...]) -> Any:
    if value is not None:
        check_name(option, value, known)
    return value


def _folder_of(place: Workspace, store: Path | None, planned: Planned) -> Path:
    if store is not None:
        return store
    made = planned.manifest
    if made.model == UNKNOWN:
        return place.store_folder(made.dataset, "imported", planned.request.layout, None)
    return place.store_folder(made.dataset, made.model, made.pretrained or "imported", None)


@contextmanager
def _meters() -> Generator[Callable[[str, int, int], None]]:
    """A bar for each stage, one after another."""
    with ExitStack() as stack:
        begun: dict[str, Meter] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in begun:
                stack.close()
                unit = "shards" if stage == "digests" else stage
                begun[stage] = stack.enter_context(Meter(stage, unit, at_once=False))
            begun[stage].update(done, total)

        yield show
