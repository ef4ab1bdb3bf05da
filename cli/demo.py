"""``tvr demo``: the whole path on generated videos, by typing the commands a user would type."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..data.contracts.errors import pasteable
from ..data.storyboard import twins
from ..heads.evaluation.evaluate_runs import ZERO_SHOT_LABEL, EvaluationOptions, open_run, zero_shot
from ..heads.evaluation.scores import similarity_matrix
from ..heads.evaluation.twins import twin_accuracy
from ..heads.search.archive import open_archive
from ..heads.search.exact import Gallery
from ..pipeline.workspace import Workspace
from .eval import eval_
from .extract import extract
from .options import WorkspaceOption
from .search import search
from .terminal import out, print_table_whole
from .train_head import train_head

VIDEOS = {"train_videos": 2400, "val_videos": 200, "test_videos": 400}
"""Enough for a head to learn the order of events, few enough for a laptop."""
HEADS = ("seq_transformer", "hcmi")
"""A quick one that reads sentences, and the one that reads words, phrases and sentences."""
EPOCHS, LR, TRAINING = 10, 4e-3, ["hard_negatives=4", "logit_scale=50"]
"""The study of ``benchmarks/storyboard`` chose rate and scale for hcmi by validation, and has such batches."""


def demo(
    workspace: WorkspaceOption = Path("tvr-demo"),
    videos: Annotated[int, typer.Option(help="Videos to train on; fewer are faster and worse.")] = VIDEOS[
        "train_videos"
    ],
) -> None:
    """Generate videos, extract features, train two heads, evaluate them and search. No network, a few minutes."""
    sizes = VIDEOS | {"train_videos": videos}
    data = [f"{name}={count}" for name, count in sizes.items()]
    runs = [workspace / "runs" / "storyboard" / f"demo-{head}-{videos}" for head in HEADS]
    started = time.perf_counter()
    _type("extract --dataset storyboard --model tvr-storyboard --num-frames 16", data, option="--data")
    extract("storyboard", model="tvr-storyboard", num_frames=16, data=data, workspace=workspace)
    extracted = time.perf_counter()
    for head, run in zip(HEADS, runs, strict=True):
        _type(
            f"train-head --head {head} --epochs {EPOCHS} --lr {LR} --run {pasteable(run)}",
            TRAINING,
            option="--train",
        )
        train_head(
            head=head,
            workspace=workspace,
            dataset="storyboard",
            run=run,
            epochs=EPOCHS,
            lr=LR,
            training=TRAINING,
        )
    trained = time.perf_counter()
    _type(f"eval {' '.join(map(pasteable, runs))}")
    eval_(runs)
    _print_twins(runs, Workspace(workspace).dataset_root("storyboard"))
    evaluated = time.perf_counter()
    run = runs[-1]
    query = _clearest_query(run, "test")
    _type(f"search {pasteable(query.text)} --run {pasteable(run)} --split test")
    search([query.text], run=run, split="test")
    verdict = "right" if query.found == query.video_id else "wrong"
    out.print(f"that sentence was written for {query.video_id}: the top hit is {verdict}")
    out.print(
        f"\ngenerate and extract {extracted - started:.0f} s, train {trained - extracted:.0f} s, "
        f"evaluate {evaluated - trained:.0f} s, search {time.perf_counter() - evaluated:.0f} s; "
        f"everything is in {workspace}"
    )
    out.print("next: tvr extract --dataset folder --root DIR, with a folder of your own videos")


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


def _type(command: str, pairs: list[str] | None = None, option: str = "") -> None:
    """Show a command as a user would type it."""
    arguments = "".join(f" {option} {pair}" for pair in pairs or [])
    out.print(f"\n[bold]$ tvr {command}{escape(arguments)}[/]", soft_wrap=True, markup=True)


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
