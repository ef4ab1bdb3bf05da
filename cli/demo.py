"""``tvr demo``: the whole path on generated videos, by typing the commands a user would type."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..data.storyboard import twins
from ..heads.evaluation.evaluate_runs import ZERO_SHOT_LABEL, EvaluationOptions, open_run, zero_shot
from ..heads.evaluation.scores import similarity_matrix
from ..heads.evaluation.twins import twin_accuracy
from ..heads.search.archive import open_archive
from ..heads.search.exact import Gallery
from ..pipeline.workspace import Workspace
from .main import app
from .options import WorkspaceOption
from .output.next_command import as_typed, print_next
from .output.verbosity import ASKED
from .terminal import out, print_table_whole

VIDEOS = {"train_videos": 2400, "val_videos": 200, "test_videos": 400}
"""Enough for a head to learn the order of events, few enough for a laptop."""
HEADS = ("seq_transformer", "hcmi")
"""A quick one that reads sentences, and the one that reads words, phrases and sentences."""
EPOCHS, LR = 10, 4e-3
TRAINING = ("--train", "hard_negatives=4", "--train", "logit_scale=50")
"""The study of ``benchmarks/storyboard`` chose rate and scale for hcmi by validation, and has such batches."""


def demo(
    workspace: WorkspaceOption = Path("tvr-demo"),
    videos: Annotated[int, typer.Option(help="Videos to train on; fewer are faster and worse.")] = VIDEOS[
        "train_videos"
    ],
) -> None:
    """Generate videos, extract features, train two heads, evaluate them and search. No network, a few minutes."""
    sizes = VIDEOS | {"train_videos": videos}
    data = [word for name, count in sizes.items() for word in ("--data", f"{name}={count}")]
    runs = [workspace / "runs" / "storyboard" / f"demo-{head}-{videos}" for head in HEADS]
    here = ("--workspace", str(workspace))
    started = time.perf_counter()
    _type(
        "extract", "--dataset", "storyboard", "--model", "tvr-storyboard", "--num-frames", "16", *data, *here
    )
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
    own = ("extract", "--dataset", "folder", "--root", "DIR")
    print_next(*own, remark="   (DIR: a folder of your own videos)")


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


def _type(*words: str) -> None:
    """Show a command, and do what it does when it is typed."""
    out.print(Text(f"\n$ {as_typed(*words)}", style="bold"), soft_wrap=True)
    ASKED.advises = False
    try:
        code = app(list(words), prog_name="tvr", standalone_mode=False)
    finally:
        ASKED.advises = True
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
    archive = open_archive(run, None, split=split)
    gallery = Gallery(archive.head, archive.features)
    rows = archive.store.texts(archive.store.splits[split])
    best, margin = None, -1.0
    for text, video in list(zip(rows.texts, rows.video_ids, strict=True))[:candidates]:
        first, second = gallery.search(archive.text(text), 2)[0]
        if first.score - second.score > margin:
            best, margin = Query(text, video, first.video_id), first.score - second.score
    assert best is not None, f"split {split} has no captions"
    return best
