"""``tvr index``: a FAISS index of a run's videos, for archives too large to compare one by one."""

from pathlib import Path
from typing import Annotated

import typer

from ..data.contracts.errors import UsageError, counted
from ..heads.base import Head
from ..heads.features.feature_set import FeatureSet
from ..heads.search.archive import open_gallery
from ..heads.search.gallery.faiss_index import build_index
from ..heads.search.gallery.index_folder import INDEX_FOLDER
from ..heads.search.gallery.kept_encodings import ENCODINGS_FOLDER, kept_encodings
from ..heads.search.gallery.windows import windows_of
from ..pipeline.store.housekeeping import size_in_words
from ..pipeline.workspace import Workspace
from .input.chosen_run import INDEXED, taken_run
from .input.options import DEFAULT_WORKSPACE, DatasetOption, StoreOption, WorkspaceOption
from .output.next_command import print_next, search_words
from .terminal import Meter, out

CANDIDATES, FEWEST = 100, 5
"""How many are advised where the index holds more than twice as many, and at least: as many as are shown."""
_KINDS = ("flat", "hnsw", "ivf")


def index(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run: its name as `tvr runs` lists it, or its folder. Default: the newest."),
    ] = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    zero_shot: Annotated[
        bool,
        typer.Option("--zero-shot", help="For searches without a trained head: an index beside the store."),
    ] = False,
    kind: Annotated[
        str, typer.Option(help="flat: exact. hnsw: a graph. ivf: cells; both faster and not always right.")
    ] = "flat",
    encodings: Annotated[
        bool,
        typer.Option(
            help="Keep what the head makes of every video beside the run, so that no search makes it again."
        ),
    ] = True,
) -> None:
    """Index one coarse vector of every video; `tvr search --candidates N` then lets the head re-rank the nearest."""
    if kind not in _KINDS:
        raise UsageError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    if zero_shot and run is not None:
        raise UsageError(
            f"--zero-shot indexes a store and takes no run, got {run}. Name the store with --store."
        )
    place = Workspace(workspace)
    taken = taken_run(place, run, store, dataset, zero_shot=zero_shot, wording=INDEXED)
    head, name, features, opened = open_gallery(taken.run, taken.store)
    folder = taken.run or opened.folder
    items = windows_of(features, head.shape.num_frames).features
    with Meter("indexing", "videos") as meter:
        built = build_index(head, items, kind)
        built.save(folder / INDEX_FOLDER)
        seconds = meter.elapsed_seconds
    source = (
        f"the global vectors of {name}" if built.record.made_of.coarse == "head" else "zero-shot mean pooling"
    )
    out.print(
        f"{counted(features.num_videos, 'video')} in {folder / INDEX_FOLDER} ({kind}, {source}) in {seconds:.1f} s",
        soft_wrap=True,
    )
    if encodings and head.has_weights:
        _keep_encodings(head, items, folder / ENCODINGS_FOLDER)
    few = min(CANDIDATES, max(FEWEST, features.num_videos // 2))
    on = opened.folder if taken.run is None else store and taken.store
    print_next(*search_words(taken.run, on, "--candidates", few))


def _keep_encodings(head: Head, items: FeatureSet, folder: Path) -> None:
    with Meter("encoding", "videos") as meter:
        kept = kept_encodings(head, items, folder, meter.update)
        seconds = meter.elapsed_seconds
    out.print(
        f"their encodings in {folder} ({size_in_words(kept.num_bytes)}) in {seconds:.1f} s", soft_wrap=True
    )
