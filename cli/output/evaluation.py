"""What ``tvr eval`` says: its tables, and the same as a record."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from rich.table import Table
from rich.text import Text

from ...heads.evaluation.evaluate_runs import Scored
from ...heads.report.table import (
    METRICS,
    Heading,
    TableRow,
    by_heading,
    cell,
    comparison_remarks,
    mark_remarks,
    worse_than_untrained,
)
from ...heads.runs.training_config import Selection, score_in_words
from ..terminal import NAME_WIDTH, fit, out, print_tables_whole

NARROW = 8
"""Characters of other columns of names, as ``NAME_WIDTH`` is of the first."""
SPARE = ("MnR", "MdR", "features", "tied", "R@5", "queries")
"""Columns that a narrow terminal can do without, the first one first: last what says how much a figure is worth."""


def print_table(rows: Sequence[TableRow], scored: Sequence[Scored], *, compare: bool) -> None:
    """One table for each heading, then what marks and numbers in them mean, what the figures are of and what they do
    not cover.

    Args:
        rows: the tables.
        scored: what was evaluated.
        compare: whether published figures were asked for, and a word is due where they are of something else.
    """
    sources = {
        source: f"[{n}]" for n, source in enumerate(dict.fromkeys(r.source for r in rows if r.source), 1)
    }
    stores = {some.facts["store"]: str(some.facts["dataset"]) for some in scored}
    several = len(stores) > 1
    _print_tables(rows, sources, "" if several else next(iter(stores.values())))
    for line in (*mark_remarks(rows), *worse_than_untrained(scored)):
        out.print(line, soft_wrap=True)
    for source, number in sources.items():
        out.print(f"{number} {source}", soft_wrap=True)
    if any(row.direction == "v2t any" for row in rows):
        out.print(
            "v2t: among the videos' best captions (CLIP4Clip); v2t any: among all captions (CE, VSE)",
            soft_wrap=True,
        )
    for line in dict.fromkeys(_basis(some, named=several) for some in scored):
        out.print(line, soft_wrap=True)
    for line in comparison_remarks(scored) if compare else ():
        out.print(line, soft_wrap=True)


def _print_tables(rows: Sequence[TableRow], sources: Mapping[str, str], dataset: str) -> None:
    """All of them, headed by the data set that all are of, if they are.

    Where the names of data sets leave no room, letters stand for these, and nothing where all rows of a table are of
    one, which its heading names.
    """
    tables = by_heading(rows)
    named = {row.dataset: row.dataset for row in rows if row.dataset}
    drawn = [_table(some, sources, named) for some in tables.values()]
    letters: dict[str, str] = {}
    if not fit(drawn) and len(named) <= len(ascii_uppercase):
        mixed = [some for some in tables.values() if len({row.dataset for row in some}) > 1]
        letters = dict(zip((name for name in named if mixed), ascii_uppercase, strict=False))
        drawn = [_table(some, sources, letters if some in mixed else {}) for some in tables.values()]
    for heading, table in zip(tables, drawn, strict=True):
        table.title = _title(heading, dataset)
    print_tables_whole(drawn, SPARE)
    for name, letter in letters.items():
        out.print(f"{letter}: {name}", soft_wrap=True)


def _table(rows: Sequence[TableRow], sources: Mapping[str, str], datasets: Mapping[str, str]) -> Table:
    table = Table(title_justify="left")
    table.add_column("head", min_width=NAME_WIDTH, overflow="fold")
    if datasets:
        header = "data set" if all(name == shown for name, shown in datasets.items()) else "set"
        table.add_column(header, min_width=len(header), overflow="fold")
    table.add_column("way", no_wrap=True)
    for name in (*METRICS, "queries", "tied"):
        table.add_column(name, justify="right", no_wrap=True)
    if sources:
        table.add_column("features", min_width=NARROW, overflow="fold")
        table.add_column("source", justify="right", no_wrap=True)
    for row in rows:
        names = [row.name, *([datasets[row.dataset]] if datasets else []), row.direction]
        counts = ["" if count is None else f"{count:,}" for count in (row.queries, row.tied)]
        known = [row.features, sources.get(row.source, "")] if sources else []
        table.add_row(*names, *(cell(row, metric, between="\n") for metric in METRICS), *counts, *known)
    return table


def _title(heading: Heading, dataset: str) -> Text:
    """The data set, if all tables are of one, and the section; where its figures are of a part of the split, struck,
    with the reason beside it."""
    of = f"{dataset}: " if dataset else ""
    if not heading.unlike:
        return Text(f"{of}{heading.section}")
    return Text.assemble(of, (heading.section, "strike"), f"; {heading.unlike}")


def _basis(scored: Scored, *, named: bool) -> str:
    """What its figures are of; of which data set, where there are several."""
    of = f"{scored.facts['dataset']}, " if named else ""
    return f"{of}{scored.basis}"


def record(scored: Sequence[Scored], *, intervals: bool) -> dict[str, Any]:
    """Everything that ``tvr eval --json`` tells: a list of what was scored, each with its figures and what they are
    of; ``run`` is its folder, null for zero-shot, for a matrix, whose file is ``given``, and for a sum, which has
    ``weights``.
    """
    return {
        "runs": [
            {
                "name": some.name,
                "run": None if some.run is None else str(some.run),
                **({"given": some.given} if some.given else {}),
                **({"weights": dict(some.weights)} if some.weights else {}),
                **some.facts,
                "notes": list(some.notes),
                **some.evaluation.record(intervals=intervals),
            }
            for some in scored
        ]
    }


def untrained_is_better(zero: float, select_by: Selection) -> str:
    """What is said of a head that validation finds worse than the mean of the frames.

    Args:
        zero: the score of zero-shot mean pooling.
        select_by: which score it is.
    """
    return (
        f"worse than no training: zero-shot mean pooling scores {score_in_words(zero, select_by)} on the same "
        "validation split"
    )
