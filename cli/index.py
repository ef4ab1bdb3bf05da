"""``tvr index``: a FAISS index of a run's videos, for archives too large to compare one by one."""

from pathlib import Path
from typing import Annotated

import typer

from ..data.contracts.errors import UsageError
from ..heads.search.archive import INDEX_FOLDER, open_gallery
from ..heads.search.faiss_index import build_index
from ..pipeline.workspace import Workspace
from .options import DEFAULT_WORKSPACE, DatasetOption, StoreOption, WorkspaceOption
from .terminal import Meter, out

_KINDS = ("flat", "hnsw", "ivf")


def index(
    run: Annotated[Path | None, typer.Argument(help="Run folder. Default: the newest run.")] = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    kind: Annotated[
        str, typer.Option(help="flat: exact. hnsw: a graph. ivf: cells; both faster and not always right.")
    ] = "flat",
) -> None:
    """Index one coarse vector of every video; `tvr search --candidates N` then lets the head re-rank the nearest."""
    if kind not in _KINDS:
        raise UsageError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    folder = run or Workspace(workspace).find_run(dataset)
    head, name, features, _ = open_gallery(folder, store)
    with Meter("indexing", "videos") as meter:
        built = build_index(head, features, kind)
        built.save(folder / INDEX_FOLDER)
        seconds = meter.elapsed_seconds
    source = f"the global vectors of {name}" if built.record.coarse == "head" else "zero-shot mean pooling"
    out.print(
        f"{features.num_videos:,} videos in {folder / INDEX_FOLDER} ({kind}, {source}) in {seconds:.1f} s",
        soft_wrap=True,
    )
    out.print(f'next: tvr search {folder} "what you look for" --candidates 100', soft_wrap=True)
