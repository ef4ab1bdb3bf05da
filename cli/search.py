"""``tvr search``: find videos of an archive with a sentence."""

from pathlib import Path
from typing import Annotated

import typer

from .options import DEFAULT_WORKSPACE, DatasetOption, JsonOption, StoreOption, WorkspaceOption
from .terminal import out, print_json


def search(
    text: Annotated[str, typer.Argument(help="What the video shows.")],
    run: Annotated[
        Path | None, typer.Option(help="Run folder. Default: the newest run, if there is one.")
    ] = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Mean pooling instead of a trained head.")
    ] = False,
    pretrained: Annotated[
        str | None, typer.Option(help="Checkpoint file of the encoder, if the store was made with one.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Search only this split. Default: every video.")] = None,
    top_k: Annotated[int, typer.Option(help="How many videos to show.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Compare a sentence with every video of a store and show the best ones."""
    from ..heads.evaluation.archive import open_archive
    from ..pipeline.workspace import Workspace

    place = Workspace(workspace)
    if zero_shot or (run is None and not place.has_run(dataset)):
        archive = open_archive(None, store or place.find_store(dataset), pretrained, split)
    else:
        archive = open_archive(run or place.find_run(dataset), store, pretrained, split)
    hits = archive.search(text, top_k)
    random_weights = archive.store.manifest.random_weights
    if as_json:
        found = [{"video": hit.video_id, "score": hit.score} for hit in hits]
        print_json({"text": text, "head": archive.head, "random_weights": random_weights, "hits": found})
        return
    remark = ", random weights" if random_weights else ""
    out.print(f"{len(archive.gallery.video_ids):,} videos, head {archive.head}{remark}")
    for rank, hit in enumerate(hits, start=1):
        out.print(f"{rank:>3}  {hit.score:6.3f}  {hit.video_id}", soft_wrap=True)
