"""``tvr sweep``: many heads and settings, compared on the validation split."""

import signal
from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import torch
import typer
from rich.markup import escape
from rich.table import Table

from ..data.contracts.cautions import label_of
from ..data.contracts.errors import UsageError, counted
from ..data.contracts.numbers import AT_LEAST_ONE, check_number
from ..data.contracts.strict_json import read_json
from ..heads.evaluation.evaluate_runs import zero_shot_score
from ..heads.evaluation.ranks import FEW, FEW_REMARK
from ..heads.evaluation.validation_figures import summed_figures
from ..heads.features.from_store import features_of, identity_of
from ..heads.runs.training_config import FORMER_NAMES, Selection, best_score
from ..heads.sweep.grid import OPTIONS, Trial, options_of, parse_grid, plan_trials
from ..heads.sweep.grid import TRAINING as TRAIN
from ..heads.sweep.processes import run_in_processes
from ..heads.sweep.results import GroupRow, TrialRow, groups_of, save_table, table_of
from ..heads.sweep.run import notes_of, open_for_sweep, pending_tasks, run_on_dask, tasks_of
from ..heads.sweep.trial import TrialTask
from ..pipeline.cluster.config import chosen_cluster
from ..pipeline.job_array import EVERYTHING, JobShare
from ..pipeline.machine import usable_cores
from ..pipeline.store.atomic_files import keep_text
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .input.chosen_store import taken_store
from .input.config_file import ConfigOption
from .input.offered_stores import captions_offered
from .input.options import (
    CLUSTER,
    DEFAULT_WORKSPACE,
    FAILURES,
    MODEL,
    TRAINING,
    WHAT,
    DatasetOption,
    JobOption,
    JsonOption,
    PbsOption,
    SchedulerOption,
    ShardOption,
    SlurmOption,
    StoreOption,
    WaitOption,
    WorkspaceOption,
    key_values,
    note_former_names,
)
from .output.evaluation import untrained_is_better
from .output.interruptions import interruptible, typed_command
from .output.next_command import print_next
from .terminal import NAME_WIDTH, Meter, err, out, print_json, print_table_whole

SOME_FAILED = 7
"""Exit code when a trial failed: that of a training that stopped."""
TERMINATED = 128 + signal.SIGTERM
"""Exit code when that signal ended it, as a shell has it."""
SPARE = ("seconds", "v2t R@10", "v2t R@5", "t2v R@10", "t2v R@5", "v2t R@1")
"""Columns that a narrow terminal goes without, the first one first."""


def sweep(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[SETTING=A,B]...", help="More of the grid.")
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="setting=value1,value2: head, preset, any field of its Config, or a training setting.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    dataset: DatasetOption = None,
    store: StoreOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the sweep; running it again resumes. Default: in the workspace.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="key=value for the head of every trial, or preset=paper; repeatable.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    training: Annotated[
        list[str] | None,
        typer.Option(
            "--train",
            help="key=value for the training Config of every trial; repeatable. (--set takes these, too.)",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Trials at once: processes, or Dask workers. Default: one per GPU or CPU core.",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    shard: ShardOption = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = False,
    pbs: PbsOption = False,
    job: JobOption = None,
    wait_seconds: WaitOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed trials again.", rich_help_panel=FAILURES)
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Train every combination of a grid, several at once; a table by validation score, over seeds."""
    fixed = _fixed(key_values(settings, "--set"), key_values(training, "--train"))
    check_number("workers", workers, AT_LEAST_ONE)
    # Workers of this machine are processes of our own: each trial gets a fresh one.
    asked = None if scheduler in (None, "local") and not (slurm or pbs) else workers or 1
    device = fixed.get(f"{TRAIN}device") or fixed.get("device", "auto")
    cluster = chosen_cluster(scheduler, (slurm, pbs), asked, wait_seconds, key_values(job, "--job"), device)
    place = Workspace(workspace)
    with captions_offered(place):
        opened = open_for_sweep(taken_store(place, store, dataset))
    trials = _planned([*(grid or []), *(more or [])], fixed)
    target = folder or place.sweep_folder(opened.manifest.dataset)
    at_once = workers or _usual_workers()
    tasks = tasks_of(trials, opened, target, threads=max(1, len(usable_cores()) // at_once))
    for note in notes_of(tasks):
        err.print(f"note: {note}", soft_wrap=True)
    mine = (JobShare.parse(shard) if shard else EVERYTHING).of(tasks)
    waiting = pending_tasks(mine, retry_failed=retry_failed)
    # Before there are processes, each of which would say of its own that it cannot be made.
    tasks[0].folder.parent.mkdir(parents=True, exist_ok=True)
    keep_text(target / OPTIONS, options_of(trials, fixed, identity_of(opened)))
    with _orderly_end(mine), Meter(f"sweep of {counted(len(tasks), 'trial')}", "trials") as meter:

        def show(done: int, total: int, trial: str) -> None:
            meter.update(done, total, [trial])

        if cluster is None:
            run_in_processes(waiting, at_once, show, _print_wait)
        else:
            run_on_dask(waiting, cluster, show)
    rows = save_table(target, tasks)
    _print_result(rows, tasks, table_of(target, tasks), as_json=as_json, store=opened)
    if any(task.has_failed for task in mine):
        raise typer.Exit(SOME_FAILED)


def _fixed(settings: Mapping[str, str], training: Mapping[str, str]) -> dict[str, str]:
    """What all trials share; of ``--train`` with the prefix that says so.

    Raises:
        UsageError: a setting was given twice.
    """
    trained = {f"{TRAIN}{key.removeprefix(TRAIN)}": value for key, value in training.items()}
    twice = [key for key in settings if f"{TRAIN}{key.removeprefix(TRAIN)}" in trained]
    if twice:
        raise UsageError(f"--set and --train both give {twice[0]}: leave one of them out")
    return {**settings, **trained}


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _orderly_end(tasks: Sequence[TrialTask]) -> Generator[None]:
    """Let SIGTERM, at which Python ends on the spot, end the trials' processes first; say of it and of Ctrl-C what is
    kept."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        with interruptible(""):
            try:
                yield
            except KeyboardInterrupt:
                raise KeyboardInterrupt(_kept(tasks)) from None
    except _Terminated:
        err.print(f"tvr: terminated: {_kept(tasks)}\ntvr: to go on: {typed_command()}", soft_wrap=True)
        raise typer.Exit(TERMINATED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _kept(tasks: Sequence[TrialTask]) -> str:
    ended = sum(task.has_ended for task in tasks)
    return (
        f"{ended} of {counted(len(tasks), 'trial')} ended; the others keep every finished epoch, and lose at most "
        "the one that ran"
    )


def _print_wait(why: str) -> None:
    err.print(f"waiting: {why}", soft_wrap=True)


def _planned(grid: list[str], fixed: dict[str, str]) -> list[Trial]:
    varied = parse_grid(grid)
    note_former_names([*fixed, *varied], FORMER_NAMES)
    return plan_trials(varied, fixed)


def _usual_workers() -> int:
    return torch.cuda.device_count() or len(usable_cores())


def _print_result(
    rows: Sequence[TrialRow], tasks: Sequence[TrialTask], saved: Path, *, as_json: bool, store: FeatureStore
) -> None:
    manifest = store.manifest
    if as_json:
        cautions = {"random_weights": manifest.random_weights, "caution": label_of(manifest.caution)}
        print_json(read_json(saved) | cautions)
        return
    selections: set[Selection] = {task.trial.training.select_by for task in tasks}
    scales = {best_score(selection) for selection in selections}
    score = f"score of {scales.pop()}" if len(scales) == 1 else "score"
    caution = f" ({manifest.caution.label})" if manifest.caution else ""
    summed = {name for task in tasks for name in summed_figures(task.trial.training.select_by)}
    _print_groups(rows, f"validation split, {score}, mean ± deviation over seeds{caution}", summed)
    if len(selections) == 1:
        _print_worse(groups_of(rows), selections.pop(), store)
    _print_failures(rows)
    best = rows[0]
    out.print(f"all trials: {saved}", soft_wrap=True)
    if best.score is not None:
        print_next("eval", best.folder)


def _print_worse(groups: Sequence[GroupRow], select_by: Selection, store: FeatureStore) -> None:
    """Which settings were better left untrained."""
    zero = zero_shot_score(features_of(store, "val"), select_by)
    worse = [group.group for group in groups if group.mean is not None and group.mean < zero]
    if worse:
        out.print(f"{untrained_is_better(zero, select_by)}: {'; '.join(worse)}", soft_wrap=True)


def _print_failures(rows: Sequence[TrialRow]) -> None:
    """Each reason once, with the trial that has it, or the first of them."""
    failed: dict[str, list[str]] = {}
    for row in rows:
        if row.failure is not None:
            failed.setdefault(row.failure, []).append(row.name)
    for why, names in failed.items():
        others = f" (and {counted(len(names) - 1, 'other trial')})" if len(names) > 1 else ""
        line = escape(f"{names[0]}{others}: {why}")
        out.print(f"[red]failed[/] {line}", soft_wrap=True, markup=True)


def _print_groups(rows: Sequence[TrialRow], title: str, summed: Set[str]) -> None:
    groups = groups_of(rows)
    table = Table(title=title, title_justify="left")
    table.add_column("trial", min_width=NAME_WIDTH, overflow="fold")
    figures = list(groups[0].figures)
    for name in ("score", *figures, "seeds", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        cells = [_spread(group.mean, group.deviation, FEW if summed & set(group.few_candidates) else "")]
        cells += [
            _spread(*group.figures.get(name, (None, None)), FEW if name in group.few_candidates else "")
            for name in figures
        ]
        seeds = f"{group.trials}" + (f" ({group.failures} failed)" if group.failures else "")
        seeds += f" ({group.pending} to come)" if group.pending else ""
        seconds = "" if group.seconds is None else f"{group.seconds:,.1f}"
        table.add_row(group.group.replace(",", ", "), *cells, seeds, seconds)
    print_table_whole(table, spare=SPARE)
    if any(group.few_candidates for group in groups):
        out.print(FEW_REMARK, soft_wrap=True)


def _spread(mean: float | None, deviation: float | None, mark: str = "") -> str:
    if mean is None:
        return "-"
    return f"{mean:.1f}{mark}" + ("" if deviation is None else f"±{deviation:.1f}")
