"""``tvr search``: find videos of an archive with a sentence, a video or a picture."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.contracts.cautions import label_of
from ..data.contracts.errors import UsageError, counted, pasteable
from ..heads.search.answers import FoundVideo, Wish
from ..heads.search.archive import Archive, CaptionHit
from ..heads.search.catalogue import Catalogue
from ..heads.search.searcher import Searcher
from ..pipeline.request import Named
from ..pipeline.workspace import Workspace
from .input.chosen_run import begun_run, is_run, named_run, taken_run
from .input.chosen_store import typed_with_places, videos_or_note
from .input.options import (
    DEFAULT_WORKSPACE,
    MODEL,
    WHAT,
    DatasetOption,
    JsonOption,
    NamedDataOption,
    NamedModelOption,
    RootOption,
    StoreOption,
    WorkspaceOption,
    check_readable,
    check_writable,
    key_values,
)
from .output.next_command import print_next
from .output.search import opened_archive, print_captions, print_found, where_searched, write_page
from .output.waiting import TAKING_FRAMES, waiting
from .terminal import err, out, print_json


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] TEXT", help="What the video shows, after the name or folder of a run or not."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="A run: its name as `tvr runs` lists it, or its folder. Default: the newest of the store, if there is "
            "one.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="A video file: which videos look like it, and which captions describe it; with TEXT how well that "
            "does.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="A picture: which videos look like it.", rich_help_panel=WHAT)
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
            help="Compare only so many, which the index that `tvr index` made names. Default: all, or as many as its "
            "index of frames says."
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(help="How many results to show.")] = 5,
    moments: Annotated[
        bool,
        typer.Option(
            "--moments",
            help="The best moments of all videos, of which one may have several, not the best videos.",
        ),
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with the best frame of each hit into this file.")
    ] = None,
    root: RootOption = None,
    data: NamedDataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a sentence, a video or a picture with every video of a store and show the best ones."""
    place = Workspace(workspace)
    named = Named(root=root, settings=key_values(data, "--data"), model=model, pretrained=pretrained)
    asked, run = _asked(place, words or [], run, video, image)
    asked.check(candidates, html, moments=moments)
    if zero_shot and run is not None:
        raise UsageError(
            f"--zero-shot searches a store and takes no run, got {run}. Name the store with --store."
        )
    taken = taken_run(place, run, store, dataset, zero_shot=zero_shot)
    with typed_with_places():
        archive = opened_archive(taken.run, taken.store, named, split)
    for note in archive.notes:
        err.print(f"note: {archive.run}: {note}", soft_wrap=True)
    with waiting(f"comparing with {counted(archive.features.num_videos, 'video')}"):
        wish = Wish(top_k, by="moment" if moments else "video")
        results = _results(archive, asked, wish, candidates, named)
    if html is not None:
        with waiting(TAKING_FRAMES):
            _write_page(html, asked, archive, results.found)
    if as_json:
        print_json(_record(asked, archive, results))
    else:
        _print_answer(asked, archive, results, html)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for: a text, a video, a picture, or how well a text describes a video."""

    text: str | None
    video: Path | None
    image: Path | None

    def check(self, candidates: int | None, html: Path | None, *, moments: bool) -> None:
        """See that the options go together.

        Raises:
            UsageError: they do not.
        """
        if self.image is not None and (self.text is not None or self.video is not None):
            raise UsageError("--image is a query by itself: leave TEXT and --video out")
        for option, file in (("--video", self.video), ("--image", self.image)):
            if file is not None:
                check_readable(option, file)
        if moments and (self.text is None or self.video is not None):
            raise UsageError(
                "--moments are found by a TEXT alone: leave --moments out, or --video and --image"
            )
        if html is not None:
            check_writable("--html", html)
        if candidates is not None and self.text is None:
            option = "--image" if self.video is None else "--video"
            raise UsageError(
                f"an index is asked by texts: --candidates does nothing for {option}. Leave one of them out."
            )
        if self.text is not None and self.video is not None and (candidates is not None or html is not None):
            option = "--html" if candidates is None else "--candidates"
            raise UsageError(
                f"TEXT with --video is one pair: {option} does nothing for --video there. Leave it out."
            )

    @property
    def words(self) -> str:
        """For a heading."""
        file = self.video or self.image
        return " and ".join([*([self.text] if self.text else []), *([str(file)] if file else [])])


@dataclass(frozen=True, slots=True)
class Results:
    """What was found."""

    found: tuple[FoundVideo, ...] = ()
    captions: tuple[CaptionHit, ...] = ()
    score: float | None = None
    """Of the one pair that was asked for."""
    remark: str = ""
    """What must be known of the hits as a whole."""
    way: str = ""
    """Which videos were compared and what is known of that, where an index names them."""


def _see_that_it_is_a_run(place: Workspace, words: Sequence[str]) -> None:
    """Of two words the first is a run, or quotes are missing.

    Raises:
        UsageError: it is no run.
    """
    try:
        named_run(place, Path(words[0]))
    except UsageError as error:
        typed = pasteable(" ".join(words))
        raise UsageError(
            f"{error}\nIf both words are the text, put it in quotes: tvr search {typed}"
        ) from error


def _is_named(place: Workspace, word: str, *, beside_file: bool) -> bool:
    """Whether a single word is a run; its name alone may be a text, but hardly one that is asked of a file."""
    return is_run(Path(word)) or (beside_file and begun_run(place, word, None) is not None)


def _asked(
    place: Workspace, words: list[str], run: Path | None, video: Path | None, image: Path | None
) -> tuple[Asked, Path | None]:
    """What ``[RUN] TEXT`` says; without TEXT there must be a video or a picture."""
    if len(words) == 1 and run is None and _is_named(place, words[0], beside_file=bool(video or image)):
        words, run = [], Path(words[0])
    if len(words) > 2 or (len(words) == 2 and run is not None):
        raise UsageError(
            f"give one TEXT, in quotes, and at most one run before it; got {counted(len(words), 'word')}. "
            f"Did you mean: tvr search {pasteable(' '.join(words))}"
        )
    if len(words) == 2:
        _see_that_it_is_a_run(place, words)
        words, run = words[1:], Path(words[0])
    if any(not word.strip() for word in words) or not (words or video or image):
        raise UsageError(
            'nothing to search for: give a TEXT in quotes, such as tvr search "a red car", or --video, or --image'
        )
    return Asked(words[0] if words else None, video, image), run


def _results(archive: Archive, asked: Asked, wish: Wish, candidates: int | None, named: Named) -> Results:
    if asked.text is not None and asked.video is not None:
        return Results(score=archive.score(asked.text, asked.video))
    catalogue = Catalogue(
        archive.store, videos_or_note(archive.store.folder, named, "search", "without the paths of the files")
    )
    searcher = Searcher.open(archive, catalogue, candidates)
    if asked.text is not None:
        answer = searcher.by_text(asked.text, wish)
        return Results(answer.hits, remark=answer.remark, way=searcher.way)
    if asked.image is not None:
        return Results(searcher.by_look(archive.image(asked.image), wish).hits)
    assert asked.video is not None, "something is asked for"
    video = archive.video(asked.video)
    captions = archive.captions_of(video, wish.top_k) if archive.store.shard_names("text") else []
    return Results(searcher.by_look(video, wish).hits, tuple(captions))


def _print_answer(asked: Asked, archive: Archive, results: Results, html: Path | None) -> None:
    out.print(where_searched(archive), soft_wrap=True)
    if results.score is not None:
        out.print(f"  1  {results.score:.3f}  {asked.words}", soft_wrap=True)
    if results.way:
        out.print(results.way, soft_wrap=True)
    if results.remark:
        out.print(results.remark, soft_wrap=True)
    print_found(results.found)
    if results.captions:
        print_captions(results.captions)
    if html is not None:
        out.print(f"page: {html}", soft_wrap=True)
    elif results.found:
        print_next(*sys.argv[1:], "--html", "hits.html")


def _record(asked: Asked, archive: Archive, results: Results) -> dict[str, Any]:
    manifest = archive.store.manifest
    hits = [hit.record() for hit in results.found]
    if results.score is not None:
        hits = [{"video": str(asked.video), "score": results.score}]
    return {
        "text": asked.text,
        "query_video": None if asked.video is None else str(asked.video),
        "query_image": None if asked.image is None else str(asked.image),
        "head": archive.name,
        "run": None if archive.run is None else str(archive.run),
        "store": str(archive.store.folder),
        "dataset": manifest.dataset,
        "random_weights": manifest.random_weights,
        "caution": label_of(manifest.caution),
        "remark": results.remark,
        "candidates": results.way,
        "hits": hits,
        "captions": [
            {"video": hit.video_id, "score": hit.score, "text": hit.text} for hit in results.captions
        ],
    }


def _write_page(file: Path, asked: Asked, archive: Archive, found: tuple[FoundVideo, ...]) -> None:
    from ..heads.report.hits_page import hits_page  # tables and pictures of reports: not for every search

    write_page(file, hits_page(asked.words, where_searched(archive), found))
