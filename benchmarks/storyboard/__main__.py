"""``python -m benchmarks.storyboard``: what each head is worth on Storyboard.

Generates the set, extracts it once with the embedded backbone, chooses every head's learning rate and logit
scale on the validation split, runs its seeds, and then hcmi with one mechanism changed at a time. Writes
``benchmarks/results/storyboard.json``, the tables of ``docs/storyboard.md`` and its pictures. Running it again goes on
where it was stopped; every figure comes from the run folders in the workspace.
"""

import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from numpy import linspace
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tvr.data.base import load_dataset
from tvr.data.storyboard import phrase_spans
from tvr.heads.features.from_store import features_of
from tvr.heads.runs.run_folder import load_run
from tvr.pipeline.encoders import clip
from tvr.pipeline.extract import extract
from tvr.pipeline.machine import end_with_parent
from tvr.pipeline.options import ExtractionOptions, sampling_of
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.workspace import Workspace

from benchmarks.record import keep

from . import page, pictures
from .again import keep_again
from .measuring import GeneratedSet, Task, run_task
from .spans import equal_parts_iou
from .study import (
    DEFAULTS,
    SEEDS,
    Change,
    Contender,
    Settings,
    best_trial,
    changes,
    contenders,
    folder_of,
    further_trials,
    repeats,
    row_of,
    settings_of,
    tuned_before,
    tuning_row,
)
from .trials import Trial

VIDEOS = {"train_videos": "10000", "val_videos": "1000", "test_videos": "1000"}
UNSEEN_VIDEOS = {"seed": "1", "train_videos": "100", "val_videos": "100", "test_videos": "1000"}
"""Other videos of the same world, whose test split alone is scored: while heads and study took their form, nobody
looked at it."""
NUM_FRAMES = 16
SHOWN_QUERIES = 4
"""Captions of the gallery, evenly spread over the test split, not chosen."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the study reads and writes, and how much at once."""

    workspace: Path
    videos: GeneratedSet
    unseen: GeneratedSet
    processes: int

    def tasks(self, trials: Iterable[Trial], *, tested: bool, normalised: bool = True) -> list[Task]:
        """The trials with their folders."""
        folders = [(trial, folder_of(trial, self.workspace)) for trial in trials]
        return [Task(trial, self.videos, at, tested, normalised, self.unseen) for trial, at in folders]

    def run(self, title: str, tasks: Sequence[Task]) -> None:
        """Do what is not done, each task in a process with one thread of its own."""
        # Two rows of a table may be the same trial, and share its folder.
        waiting = list({task.figures: task for task in tasks if not task.is_done}.values())
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        spawn = multiprocessing.get_context("spawn")
        with (
            Progress(*columns) as progress,
            ProcessPoolExecutor(self.processes, spawn, initializer=end_with_parent) as pool,
        ):
            bar = progress.add_task(title, total=len(waiting))
            for done in as_completed([pool.submit(run_task, task) for task in waiting]):
                done.result()
                progress.advance(bar)


def main(  # noqa: PLR0913 - a command has as many arguments as options
    workspace: Annotated[Path, typer.Option(help="Videos, features and runs.")] = Path("tvr-storyboard"),
    processes: Annotated[int, typer.Option(help="Trials at once, one thread each.")] = os.cpu_count() or 1,
    without: Annotated[
        list[str] | None, typer.Option(help="A head, or a row of it, to leave out; repeatable.")
    ] = None,
    tuned_by: Annotated[
        Path | None,
        typer.Option(help="Record of a study whose learning rates and logit scales to use again."),
    ] = None,
    ablate: Annotated[
        list[str] | None,
        typer.Option(help="A group of the ablation of hcmi; repeatable. Default: all of them."),
    ] = None,
    ablation: Annotated[bool, typer.Option(help="Also run hcmi with one thing changed at a time.")] = True,
    again: Annotated[
        list[str] | None,
        typer.Option(help="Only this head, among the rows that were measured before; repeatable."),
    ] = None,
) -> None:
    """Measure every head on Storyboard."""
    rivals = _only(set(again)) if again else _chosen(set(without or []))
    groups = _groups(ablate) if ablation else set[str]()
    try:
        before = {} if tuned_by is None else tuned_before(tuned_by)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the children at their start
    place = prepared(workspace, processes)
    tried = _tried(place, rivals, before)
    tuned = _tuned(rivals, before | {label: settings_of(best_trial(some)) for label, some in tried.items()})
    tuning = [tuning_row(label, some) for label, some in tried.items() if len(some) > 1]
    if again:
        figures = keep_again(_heads(place, rivals, tuned), tuning)
        page.fill(figures)
        page.fill_readme(figures)
        pictures.bars(figures["heads"], page.DOCS / "storyboard-heads.png")
        return
    figures: dict[str, Any] = {
        "videos": VIDEOS,
        "unseen_videos": UNSEEN_VIDEOS,
        "num_frames": NUM_FRAMES,
        "equal_parts_iou": _equal_parts_iou(place),
        "tuning": tuning,
        "heads": _heads(place, rivals, tuned),
        "ablation": _ablation(place, tuned["hcmi"], groups),
    }
    keep("storyboard", figures)
    page.fill(figures)
    page.fill_readme(figures)
    _draw(figures, tuned["hcmi"], place)


def _chosen(left_out: set[str]) -> list[Contender]:
    """The contenders without those that a user leaves out."""
    rivals = contenders()
    _refuse_unknown(left_out.difference(*(rival.names for rival in rivals)))
    if "hcmi" in left_out:
        raise typer.BadParameter("the pictures show hcmi")
    return [rival for rival in rivals if not rival.names & left_out]


def _only(names: set[str]) -> list[Contender]:
    """The contenders that a user names, by their heads or rows."""
    rivals = contenders()
    _refuse_unknown(names.difference(*(rival.names for rival in rivals)))
    return [rival for rival in rivals if rival.names & names]


def _groups(ablate: list[str] | None) -> set[str]:
    """The groups of the ablation that a user wants, and the row that each is compared with."""
    known = {change.group for change in changes()}
    _refuse_unknown(set(ablate or []) - known)
    return {DEFAULTS, *ablate} if ablate else known


def _refuse_unknown(names: set[str]) -> None:
    if names:
        raise typer.BadParameter(f"there is no {', '.join(sorted(names))}")


def prepared(workspace: Path, processes: int) -> Place:
    """Both sets and their features; made where they are not there yet."""
    videos = _extracted(workspace, VIDEOS)
    return Place(workspace, videos, _extracted(workspace / "unseen", UNSEEN_VIDEOS), processes)


def _extracted(workspace: Path, videos: Mapping[str, str]) -> GeneratedSet:
    named = Workspace(workspace)
    root = named.dataset_root("storyboard")
    dataset = load_dataset("storyboard", root, videos)
    encoder = clip.load("tvr-storyboard")
    identity = encoder.identity
    store = named.store_folder("storyboard", identity.model, identity.pretrained, None)
    sampling = sampling_of(dataset.preset, "uniform", NUM_FRAMES, None)
    extract(dataset, encoder, ExtractionOptions(sampling, max_seconds=dataset.preset.max_seconds), store)
    return GeneratedSet(store, root)


def _equal_parts_iou(place: Place) -> float:
    test = features_of(FeatureStore.open(place.videos.store), "test")
    return equal_parts_iou(test, phrase_spans(place.videos.root))


def _tried(
    place: Place, rivals: Sequence[Contender], before: Mapping[str, Settings]
) -> dict[str, list[Task]]:
    """What validation chooses from, by contender: by the same rule for each that was not tuned ``before``."""
    open_ones = {rival.tuned_as.label: rival.tuned_as for rival in rivals}
    tried: dict[str, list[Task]] = {label: [] for label in open_ones if label not in before}
    while True:
        further = {
            label: place.tasks(further_trials(open_ones[label], some), tested=False)
            for label, some in tried.items()
        }
        if not any(further.values()):
            return tried
        place.run("tuning", [task for some in further.values() for task in some])
        tried = {label: some + further[label] for label, some in tried.items()}


def _tuned(rivals: Sequence[Contender], chosen: Mapping[str, Settings]) -> dict[str, Trial]:
    """Every contender as validation would have it, by its label."""
    return {rival.label: rival.trial(chosen[rival.tuned_as.label]) for rival in rivals}


def _heads(place: Place, rivals: Sequence[Contender], tuned: dict[str, Trial]) -> list[dict[str, Any]]:
    """The table of all heads: zero-shot, then the best first."""
    tasks = {
        rival.label: place.tasks(repeats(tuned[rival.label]), tested=True, normalised=not rival.is_costly)
        for rival in rivals
    }
    place.run("heads", [task for some in tasks.values() for task in some])
    rows = [row_of(label, some) for label, some in tasks.items()]
    baselines = {rival.label for rival in rivals if rival.is_zero_shot}
    return sorted(rows, key=lambda row: (row["label"] not in baselines, -row["mean"]["test/t2v/R@1"]))


def _ablation(place: Place, tuned: Trial, groups: set[str]) -> list[dict[str, Any]]:
    """hcmi with one mechanism changed at a time, and with the learning rate and logit scale of its defaults."""
    chosen = [
        (change, place.tasks(_with_change(change, tuned), tested=True, normalised=False))
        for change in changes()
        if change.group in groups
    ]
    place.run("ablation", [task for _, some in chosen for task in some])
    return [{"group": change.group} | row_of(change.label, some) for change, some in chosen]


def _with_change(change: Change, tuned: Trial) -> list[Trial]:
    seeds = SEEDS if change.group == DEFAULTS else SEEDS[:1]
    return [change.of(replace(tuned, seed=seed)) for seed in seeds]


def _draw(figures: dict[str, Any], shown: Trial, place: Place) -> None:
    """The pictures of the page: bars of all heads, and what the first seed of hcmi finds for a few captions."""
    dataset = load_dataset("storyboard", place.videos.root, VIDEOS)
    test = features_of(FeatureStore.open(place.videos.store), "test")
    head, _ = load_run(folder_of(shown, place.workspace))
    queries = [int(row) for row in linspace(0, test.num_texts - 1, SHOWN_QUERIES)]
    pictures.bars(figures["heads"], page.DOCS / "storyboard-heads.png")
    pictures.gallery(head, test, dataset, queries, page.DOCS / "storyboard-gallery.png")
    spans = phrase_spans(place.videos.root)
    pictures.alignment(head, test, spans, queries[0], page.DOCS / "storyboard-alignment.png")


if __name__ == "__main__":
    typer.run(main)
