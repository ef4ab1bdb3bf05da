"""How the trials of a sweep ended: rows, groups over seeds, and the table of both."""

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...pipeline.store.atomic_files import write_json
from ..evaluation.validation_figures import few_candidates_of, figures_of, validation_of
from ..runs.run_folder import read_result
from .trial import TrialTask, read_failure

TABLE = "sweep.json"
"""Of a sweep's folder: how the trials of the sweep that ended last did."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """How one trial ended."""

    name: str
    group: str
    folder: str
    score: float | None
    """Validation score of the best epoch; None where there is none."""
    best_epoch: int | None
    figures: dict[str, float]
    """Validation figures of the best epoch by name, such as ``t2v R@1``."""
    few_candidates: list[str]
    """Names of those that chance alone brings above 50."""
    seconds: float | None
    failure: str | None
    """Why it failed; None where it did not, or has not run yet."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Trials that differ by their seed only."""

    group: str
    trials: int
    """Finished ones."""
    failures: int
    pending: int
    mean: float | None
    """Mean validation score over the seeds."""
    deviation: float | None
    """Sample standard deviation over the seeds, from two on."""
    figures: dict[str, tuple[float, float | None]]
    """Mean and deviation of each validation figure."""
    few_candidates: list[str]
    """Names of those that chance alone brings above 50 in one of the trials."""
    seconds: float | None
    """Mean training time."""


def rows_of(tasks: Sequence[TrialTask]) -> list[TrialRow]:
    """How each trial ended, the best validation score first; failed ones and those to come at the end."""
    rows = [_row(task) for task in tasks]
    return sorted(rows, key=lambda row: (row.score is None, -(row.score or 0.0), row.name))


def groups_of(rows: Sequence[TrialRow]) -> list[GroupRow]:
    """Mean and deviation over seeds, the best mean first."""
    names = dict.fromkeys(row.group for row in rows)
    groups = [_group(name, [row for row in rows if row.group == name]) for name in names]
    return sorted(groups, key=lambda group: (group.mean is None, -(group.mean or 0.0), group.group))


def save_table(sweep: Path, tasks: Sequence[TrialTask]) -> list[TrialRow]:
    """Write all trials and groups into ``table_of`` the sweep and into ``sweep.json``; the rows.

    Of several commands that share a sweep, each writes again where trials have ended while it wrote: the last one that
    writes has seen them all.
    """
    sweep.mkdir(parents=True, exist_ok=True)
    rows = rows_of(tasks)
    while True:
        tables = {"groups": groups_of(rows), "trials": rows}
        for file in (table_of(sweep, tasks), sweep / TABLE):
            write_json(file, {name: [asdict(row) for row in table] for name, table in tables.items()})
        written, rows = rows, rows_of(tasks)
        if rows == written:
            return rows


def table_of(sweep: Path, tasks: Sequence[TrialTask]) -> Path:
    """The table of these very trials: sweeps of other grids may share the folder, and each keeps its own."""
    names = "\n".join(sorted(task.folder.name for task in tasks))
    return sweep / f"sweep-{hashlib.sha256(names.encode()).hexdigest()[:12]}.json"


def _row(task: TrialTask) -> TrialRow:
    failure = read_failure(task)
    result = read_result(task.folder) if task.is_done else None
    done = result is not None
    validation = validation_of(task.folder, result["best_epoch"]) if done else {}
    return TrialRow(
        name=task.trial.name,
        group=task.trial.group,
        folder=str(task.folder),
        score=result["best_score"] if done else None,
        best_epoch=result["best_epoch"] if done else None,
        figures=figures_of(validation),
        few_candidates=few_candidates_of(validation),
        seconds=result["seconds"] if done else None,
        failure=None if done else failure,
    )


def _group(name: str, rows: Sequence[TrialRow]) -> GroupRow:
    done = [row for row in rows if row.score is not None]
    failures = sum(row.failure is not None for row in rows)
    scores = [row.score for row in done if row.score is not None]
    mean, deviation = _mean_and_deviation(scores)
    figures = {
        key: _mean_and_deviation([row.figures[key] for row in done])
        for key in (done[0].figures if done else ())
    }
    return GroupRow(
        group=name,
        trials=len(done),
        failures=failures,
        pending=len(rows) - len(done) - failures,
        mean=mean,
        deviation=deviation,
        figures={key: (m, d) for key, (m, d) in figures.items() if m is not None},
        few_candidates=list(dict.fromkeys(name for row in done for name in row.few_candidates)),
        seconds=_mean_and_deviation([row.seconds for row in done if row.seconds is not None])[0],
    )


def _mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
