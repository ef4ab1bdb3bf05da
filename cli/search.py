"""``tvr search``: find videos of an archive with a sentence, or its captions with a video."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.contracts.errors import UsageError, one_line
from ..heads.search.archive import Archive, open_archive
from ..pipeline.request import Named
from ..pipeline.workspace import Workspace
from .input.chosen_run import is_run, taken_run
from .options import (
    DEFAULT_WORKSPACE,
    MODEL,
    WHAT,
    DatasetOption,
    JsonOption,
    NamedModelOption,
    StoreOption,
    WorkspaceOption,
)
from .terminal import err, out, print_json


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN] TEXT", help="What the video shows, after a run or not."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Name or folder of a run. Default: the newest of the store, if there is one.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="A video file: how well TEXT describes it or, without TEXT, which captions do.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    zero_shot: Annotated[
        bool,
        typer.Option("--zero-shot", help="Mean pooling instead of a trained head.", rich_help_panel=MODEL),
    ] = False,
    model: NamedModelOption = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint file of the encoder, if it has moved or another user made the store.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Search only this split. Default: every video.", rich_help_panel=WHAT)
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            help="Compare only so many, the nearest of the index that `tvr index` made. Default: all."
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(help="How many results to show.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Compare a sentence with every video of a store and show the best ones."""
    place = Workspace(workspace)
    named = Named(model=model, pretrained=pretrained)
    text, run = _text_and_run(words or [], run, video)
    if zero_shot and run is not None:
        raise UsageError(
            f"--zero-shot searches a store and takes no run, got {run}. Name the store with --store."
        )
    taken = taken_run(place, run, store, dataset, zero_shot=zero_shot)
    archive = open_archive(taken.run, taken.store, named, split)
    for note in archive.notes:
        err.print(f"note: {archive.run}: {note}", soft_wrap=True)
    hits = _hits(archive, text, video, top_k, candidates)
    random_weights = archive.store.manifest.random_weights
    if as_json:
        asked = {"text": text, "query_video": None if video is None else str(video)}
        print_json({**asked, "head": archive.name, "random_weights": random_weights, "hits": hits})
        return
    remark = ", random weights" if random_weights else ""
    out.print(f"{archive.features.num_videos:,} videos, head {archive.name}{remark}")
    for rank, hit in enumerate(hits, start=1):
        shown = f"{hit['video']}  {hit['text']}" if "text" in hit else hit["video"]
        out.print(f"{rank:>3}  {hit['score']:6.3f}  {one_line(shown)}", soft_wrap=True)


def _text_and_run(words: list[str], run: Path | None, video: Path | None) -> tuple[str | None, Path | None]:
    """What ``[RUN] TEXT`` says; without TEXT there must be a video."""
    if len(words) == 1 and run is None and is_run(Path(words[0])):
        words, run = [], Path(words[0])
    if len(words) > 2 or (len(words) == 2 and run is not None):
        raise UsageError(
            f"give one TEXT, in quotes, and at most one run folder before it; got {len(words)} words"
        )
    if not words and video is None:
        raise UsageError(
            'nothing to search for: give a TEXT in quotes, such as tvr search "a red car", or --video'
        )
    if len(words) == 2:
        return words[1], Path(words[0])
    return (words[0] if words else None), run


def _hits(
    archive: Archive, text: str | None, video: Path | None, top_k: int, candidates: int | None
) -> list[dict[str, Any]]:
    if video is not None and candidates is not None:
        raise UsageError(
            "an index is of videos: --candidates does nothing for --video. Leave one of them out."
        )
    if text is not None and video is not None:
        return [{"video": str(video), "score": archive.score(text, video)}]
    if video is not None:
        found = archive.captions_of(video, top_k)
        return [{"video": hit.video_id, "score": hit.score, "text": hit.text} for hit in found]
    found = archive.search(text or "", top_k, candidates)
    return [{"video": hit.video_id, "score": hit.score} for hit in found]
