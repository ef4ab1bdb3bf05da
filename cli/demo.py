"""``tvr demo``: the whole path on generated videos, or ten searches of the user's own, by typing the commands a user
would type."""

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..data.base import Dataset, load_dataset
from ..data.contracts.cautions import WORDS_MODEL
from ..data.contracts.errors import DataError, UsageError, counted, pasteable
from ..data.rendering.generation import OtherSetError
from ..data.storyboard import twins
from ..heads.evaluation.evaluate_runs import ZERO_SHOT_LABEL, EvaluationOptions, open_run, zero_shot
from ..heads.evaluation.scores import similarity_matrix
from ..heads.evaluation.twins import twin_accuracy
from ..heads.search.answers import FoundVideo, Wish
from ..heads.search.archive import Archive
from ..heads.search.catalogue import Catalogue
from ..heads.search.example_queries import ExampleQuery, example_queries
from ..heads.search.gallery.exact import Gallery
from ..heads.search.searcher import Searcher
from ..pipeline.encoders import words as words_encoder
from ..pipeline.workspace import Workspace
from .index import CANDIDATES
from .input.options import WHAT, WorkspaceOption, check_writable
from .main import app
from .output.interruptions import typed_command
from .output.missing_weights import without_download
from .output.next_command import as_typed, print_next
from .output.search import opened_archive, print_found, where_searched, write_page
from .output.verbosity import ASKED
from .output.waiting import TAKING_FRAMES, waiting
from .terminal import err, out, print_table_whole

VIDEOS = {"train_videos": 2400, "val_videos": 200, "test_videos": 400}
"""Enough for a head to learn the order of events, few enough for a laptop."""
HEADS = ("seq_transformer", "hcmi")
"""A quick one that reads sentences, and the one that reads words, phrases and sentences."""
EPOCHS, LR = 10, 4e-3
QUERIES, SHOWN = 10, 10
"""Of the demo on a user's own videos, and how many hits of each its page has."""
FRAMES = "12"
"""Of each of them: what tells short clips apart, in half the time of what a folder gets otherwise."""
INDEXED_FROM = 10_000
"""So many videos are indexed first, where FAISS is installed; fewer are compared one by one in less time."""
TRAINING = ("--train", "hard_negatives=4", "--train", "logit_scale=50")
"""The study of ``benchmarks/storyboard`` chose rate and scale for hcmi by validation, and has such batches."""


def demo(
    workspace: WorkspaceOption = Path("tvr-demo"),
    videos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder of your own videos: search these instead, with --model words.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="With --videos: the page of hits. Default: hits.html in the workspace."),
    ] = None,
    train_videos: Annotated[
        int | None,
        typer.Option(
            help=f"Generated videos to train on; fewer are faster and worse. Default: {VIDEOS['train_videos']}."
        ),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then show everything in a browser, as `tvr serve --open` does.")
    ] = False,
) -> None:
    """The whole path on generated videos, or with --videos ten searches of your own. No network, a few minutes."""
    if videos is not None:
        if train_videos is not None:
            raise UsageError(
                "--train-videos is of the generated demo, and --videos trains nothing. Leave one of them out."
            )
        _search_own(videos, workspace, html)
        _go_on(workspace, serve=serve)
        return
    if html is not None:
        raise UsageError("--html is the page of the demo on your own videos: name their folder with --videos")
    _generated(workspace, VIDEOS["train_videos"] if train_videos is None else train_videos)
    _go_on(workspace, serve=serve)


def _go_on(workspace: Path, *, serve: bool) -> None:
    """Show the page, or say how."""
    if serve:
        _type("serve", str(workspace), "--open")
    else:
        print_next("serve", workspace)


def _search_own(root: Path, workspace: Path, html: Path | None) -> None:
    """Ten queries to a folder of videos, and a page of what they found."""
    if not root.exists() and root.name.isdecimal():
        raise UsageError(
            f"--videos is a folder of your own videos, and there is none named {root}. If that many generated videos "
            f"are meant: tvr demo --train-videos {root}"
        )
    dataset = _loaded(root)
    page = workspace / "hits.html" if html is None else html
    if html is not None or workspace.is_dir():
        check_writable("--html", page)
    place = Workspace(workspace)
    store = place.store_folder(dataset.name, WORDS_MODEL, words_encoder.WEIGHTS, None)
    usual = dataset.preset.num_frames
    err.print(
        f"{counted(int(FRAMES), 'frame')} of each video, where a folder gets {usual}: enough for short clips",
        soft_wrap=True,
    )
    _type(
        *("extract", "--dataset", "folder", "--root", str(root), "--model", WORDS_MODEL),
        *("--num-frames", FRAMES, "--workspace", str(workspace)),
    )
    candidates = None
    if len(dataset.videos) >= INDEXED_FROM and find_spec("faiss"):
        _type("index", "--zero-shot", "--store", str(store))
        candidates = CANDIDATES
    archive = opened_archive(None, store)
    out.print(f"\n{where_searched(archive)}", soft_wrap=True)
    names = [words_encoder.NAMED_AS.format(name) for name in words_encoder.class_names()]
    searcher = Searcher.open(archive, Catalogue(archive.store, dataset.videos), candidates)
    asked = example_queries(searcher, names, QUERIES)
    out.print(_how_chosen(asked), soft_wrap=True)
    found = [_asked(searcher, query, candidates) for query in asked]
    with waiting(TAKING_FRAMES):
        _write_hits(page, archive, asked, found)
    if in_all := _in_all(archive, asked, found):
        out.print(in_all, soft_wrap=True)
    out.print(f"page: {page}", soft_wrap=True)


def _loaded(root: Path) -> Dataset:
    """The folder, before an encoder is loaded.

    Raises:
        UsageError: it is not there.
        DataError: what is wrong with it, of the option that was typed.
    """
    if not root.exists():
        raise UsageError(
            f"--videos {pasteable(root)}: there is no such folder. Name the one that holds your videos"
        )
    try:
        return load_dataset("folder", root, {})
    except DataError as error:
        raise DataError(re.sub(r"(?<= )--root\b", "--videos", str(error))) from error


def _how_chosen(asked: Sequence[ExampleQuery]) -> str:
    """Where the queries come from: nobody picked those that find most."""
    if asked[0].video_id is None:
        return f"{len(asked)} queries: the names of things that most of these videos look like"
    return f"{len(asked)} queries: captions of videos that lie evenly apart in the folder, whatever they find"


def _asked(searcher: Searcher, query: ExampleQuery, candidates: int | None) -> Sequence[FoundVideo]:
    """Show the command of a query and its best hit; the first ten."""
    more = [] if candidates is None else ["--candidates", str(candidates)]
    _show("search", query.text, "--zero-shot", "--store", str(searcher.archive.store.folder), *more)
    found = searcher.by_text(query.text, Wish(SHOWN)).hits
    print_found(found[:1])
    if verdict := _verdict(query, found):
        out.print(verdict, soft_wrap=True)
    return found


def _verdict(query: ExampleQuery, found: Sequence[FoundVideo]) -> str:
    """Where the clip of a caption stands; nothing of a query that is no caption."""
    if query.video_id is None:
        return ""
    rank = query.rank([hit.video_id for hit in found])
    if rank is None:
        return f"the clip of this caption is not among the first {len(found)}"
    return f"the clip of this caption is {'first' if rank == 1 else f'number {rank}'}"


def _in_all(archive: Archive, asked: Sequence[ExampleQuery], found: Sequence[Sequence[FoundVideo]]) -> str:
    """How many captions found their clips, beside chance; nothing where the queries are no captions."""
    if asked[0].video_id is None:
        return ""
    ranks = [query.rank([hit.video_id for hit in hits]) for query, hits in zip(asked, found, strict=True)]
    shown, count = min(SHOWN, archive.features.num_videos), archive.features.num_videos
    within = sum(rank is not None for rank in ranks)
    return (
        f"{counted(len(asked), 'caption')} as queries: {ranks.count(1)} find their own clip first, {within} among the "
        f"first {shown} (chance: {len(asked) / count:.1f} and {len(asked) * shown / count:.1f})"
    )


def _write_hits(
    page: Path,
    archive: Archive,
    asked: Sequence[ExampleQuery],
    found: Sequence[Sequence[FoundVideo]],
) -> None:
    from ..heads.report.hits_page import HitsSection, searches_page  # tables and pictures of reports

    caution = archive.store.manifest.caution
    remarks = [where_searched(archive), *([f"{caution}."] if caution else []), _in_all(archive, asked, found)]
    searches = [
        HitsSection(query.text, _verdict(query, hits), hits) for query, hits in zip(asked, found, strict=True)
    ]
    title = f"{archive.store.manifest.dataset}, searched with {counted(len(asked), 'sentence')}"
    write_page(page, searches_page(title, [remark for remark in remarks if remark], searches))


def _generated(workspace: Path, videos: int) -> None:
    sizes = VIDEOS | {"train_videos": videos}
    data = [word for name, count in sizes.items() for word in ("--data", f"{name}={count}")]
    runs = [workspace / "runs" / "storyboard" / f"demo-{head}-{videos}" for head in HEADS]
    here = ("--workspace", str(workspace))
    started = time.perf_counter()
    try:
        _type(
            *("extract", "--dataset", "storyboard", "--model", "tvr-storyboard"),
            *("--num-frames", "16", *data, *here),
        )
    except OtherSetError as error:  # which advises what the demo has no option for
        elsewhere = typed_command("--workspace", f"{workspace}-{videos}")
        raise DataError(
            f"{error.what}. A set is never changed: make this one elsewhere\n{elsewhere}"
        ) from error
    extracted = time.perf_counter()
    for head, run in zip(HEADS, runs, strict=True):
        chosen = ("--head", head, "--dataset", "storyboard", "--epochs", str(EPOCHS), "--lr", str(LR))
        _type("train-head", *chosen, *TRAINING, "--run", str(run), *here)
    trained = time.perf_counter()
    _type("eval", *map(str, runs))
    _print_twins(runs, Workspace(workspace).dataset_root("storyboard"))
    evaluated = time.perf_counter()
    run = runs[-1]
    query = _clearest_query(run, "test")
    _type("search", query.text, "--run", str(run), "--split", "test")
    verdict = "right" if query.found == query.video_id else "wrong"
    out.print(f"that sentence was written for {query.video_id}: the top hit is {verdict}", soft_wrap=True)
    out.print(
        f"\ngenerate and extract {extracted - started:.0f} s, train {trained - extracted:.0f} s, "
        f"evaluate {evaluated - trained:.0f} s, search {time.perf_counter() - evaluated:.0f} s; "
        f"everything is in {workspace}",
        soft_wrap=True,
    )
    _print_own()


def _print_own() -> None:
    """How a user's own videos are searched; a line each, since what is copied is a line."""
    model = without_download()[0]
    out.print("your own videos, once DIR is their folder:")
    if model == WORDS_MODEL:
        out.print(as_typed("demo", "--videos", "DIR"), soft_wrap=True)
    out.print(as_typed("extract", "--dataset", "folder", "--root", "DIR", "--model", model), soft_wrap=True)


def _print_twins(runs: Sequence[Path], videos: Path) -> None:
    """Who tells a video from its twin, which has the same events in another order, or their colours swapped."""
    subjects = [open_run(run, EvaluationOptions()) for run in runs]
    features = subjects[0].features
    heads = [
        (ZERO_SHOT_LABEL, zero_shot(features).to(features.device)),
        *((some.record.head, some.head) for some in subjects),
    ]
    table = Table(title="told from their twins, % (chance: 50)", title_justify="left")
    for column in ("head", "order of events", "colours"):
        table.add_column(column, justify="left" if column == "head" else "right")
    pairs = twins(videos, "test")
    for name, head in heads:
        found = twin_accuracy(similarity_matrix(head, features), features, pairs)
        table.add_row(name, f"{found['order']:.1f}", f"{found['colour']:.1f}")
    print_table_whole(table)


def _show(*words: str) -> None:
    out.print(Text(f"\n$ {as_typed(*words)}", style="bold"), soft_wrap=True)


def _type(*words: str) -> None:
    """Show a command, and do what it does when it is typed."""
    _show(*words)
    typed, demo_typed = sys.argv, typed_command()
    ASKED.advises, ASKED.demo, sys.argv = False, demo_typed, [typed[0], *words]  # advice is of what runs now
    try:
        code = app(list(words), prog_name="tvr", standalone_mode=False)
    finally:
        ASKED.advises, ASKED.demo, sys.argv = True, "", typed
    if code:  # of a command that said why, such as one that was interrupted
        raise typer.Exit(code)


@dataclass(frozen=True)
class Query:
    """A caption that was used as a query."""

    text: str
    video_id: str
    """The video it was written for."""
    found: str
    """The best hit."""


def _clearest_query(run: Path, split: str, candidates: int = 50) -> Query:
    """Of the first captions of a split, the one whose best hit is furthest ahead of the second.

    The choice looks at scores alone, not at which video is right.
    """
    archive = opened_archive(run, None, split=split)
    gallery = Gallery(archive.head, archive.features)
    rows = archive.store.texts(archive.store.splits[split])
    best, margin = None, -1.0
    for text, video in list(zip(rows.texts, rows.video_ids, strict=True))[:candidates]:
        first, second = gallery.search(archive.text(text), 2)[0]
        if first.score - second.score > margin:
            best, margin = Query(text, video, first.video_id), first.score - second.score
    assert best is not None, f"split {split} has no captions"
    return best
