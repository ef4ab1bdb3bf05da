"""``tvr demo``: the whole path on generated videos, by typing the commands a user would type."""

import time
from pathlib import Path
from typing import Annotated

import typer

from .options import WorkspaceOption
from .terminal import out

VIDEOS = {"train_videos": 2400, "val_videos": 200, "test_videos": 400}
"""Enough for a head to learn the order of events, few enough for a laptop."""
HEAD = "seq_transformer"
EPOCHS = 12


def demo(
    workspace: WorkspaceOption = Path("tvr-demo"),
    videos: Annotated[int, typer.Option(help="Videos to train on; fewer are faster and worse.")] = VIDEOS[
        "train_videos"
    ],
) -> None:
    """Generate videos, extract features, train a head, evaluate it and search. No network, a few minutes."""
    from ..heads.evaluation.archive import clearest_query
    from .eval import eval_
    from .extract import extract
    from .search import search
    from .train_head import train_head

    sizes = VIDEOS | {"train_videos": videos}
    data = [f"{name}={count}" for name, count in sizes.items()]
    run = workspace / "runs" / "storyboard" / f"demo-{videos}"
    started = time.perf_counter()
    _type("extract --dataset storyboard --model tvr-storyboard --num-frames 16", data, option="--data")
    extract("storyboard", model="tvr-storyboard", num_frames=16, data=data, workspace=workspace)
    extracted = time.perf_counter()
    _type(f"train-head --head {HEAD} --epochs {EPOCHS} --run {run}")
    train_head(HEAD, workspace=workspace, dataset="storyboard", run=run, epochs=EPOCHS)
    trained = time.perf_counter()
    _type(f"eval {run}")
    eval_([run])
    evaluated = time.perf_counter()
    query = clearest_query(run, "test")
    _type(f'search "{query.text}" --run {run} --split test')
    search([query.text], run=run, split="test")
    verdict = "right" if query.found == query.video_id else "wrong"
    out.print(f"that sentence was written for {query.video_id}: the top hit is {verdict}")
    out.print(
        f"\ngenerate and extract {extracted - started:.0f} s, train {trained - extracted:.0f} s, "
        f"evaluate {evaluated - trained:.0f} s, search {time.perf_counter() - evaluated:.0f} s; "
        f"everything is in {workspace}"
    )
    out.print("next: tvr extract --dataset folder --root DIR, with a folder of your own videos")


def _type(command: str, pairs: list[str] | None = None, option: str = "") -> None:
    """Show a command as a user would type it."""
    arguments = "".join(f" {option} {pair}" for pair in pairs or [])
    out.print(f"\n[bold]$ tvr {command}{arguments}[/]", soft_wrap=True)
