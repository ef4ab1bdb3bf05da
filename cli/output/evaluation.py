"""What ``tvr eval`` says: its tables, and the same as a record."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ...heads.evaluation.evaluate_runs import Scored
from ...heads.report.table import METRICS, TableRow, cell, comparison_remarks
from ..terminal import out, print_table_whole

NAME_WIDTH = 12
"""Of a column of names on a narrow terminal, where they are folded but never left out."""


def print_table(rows: Sequence[TableRow], scored: Sequence[Scored], *, compare: bool) -> None:
    """One table for each section, then what the figures are of and what they do not cover.

    Args:
        rows: the tables.
        scored: what was evaluated.
        compare: whether published figures were asked for, and a word is due where they are of something else.
    """
    with_sources = not all(row.is_own for row in rows)
    for section in dict.fromkeys(row.section for row in rows):
        table = Table(title=section, title_justify="left")
        table.add_column("head", min_width=NAME_WIDTH, overflow="fold")
        table.add_column("way", no_wrap=True)
        for name in (*METRICS, "queries", "tied"):
            table.add_column(name, justify="right", no_wrap=True)
        if with_sources:
            table.add_column("features, source", min_width=NAME_WIDTH, overflow="fold")
        for row in (row for row in rows if row.section == section):
            counts = ["" if count is None else f"{count:,}" for count in (row.queries, row.tied)]
            cells = [cell(row, metric, between="\n") for metric in METRICS]
            table.add_row(row.name, row.direction, *cells, *counts, *([row.remark] if with_sources else []))
        print_table_whole(table)
    if any(row.direction == "v2t any" for row in rows):
        out.print("v2t: among the videos' best captions (CLIP4Clip); v2t any: among all captions (CE, VSE)")
    for line in dict.fromkeys(f"{some.evaluation.coverage}; {_features(some)}" for some in scored):
        out.print(line, soft_wrap=True)
    for line in comparison_remarks(scored) if compare else ():
        out.print(line, soft_wrap=True)


def _features(scored: Scored) -> str:
    untrained = " (random weights)" if scored.facts["random_weights"] else ""
    return f"features: {scored.facts['model']} {scored.facts['pretrained']}{untrained}"


def record(scored: Sequence[Scored], *, intervals: bool) -> dict[str, Any]:
    """Everything that ``tvr eval --json`` tells: a list of what was scored, each with its figures and what they are
    of; ``run`` is its folder, null for zero-shot.
    """
    return {
        "runs": [
            {
                "name": some.name,
                "run": None if some.run is None else str(some.run),
                **some.facts,
                "notes": list(some.notes),
                **some.evaluation.record(intervals=intervals),
            }
            for some in scored
        ]
    }
