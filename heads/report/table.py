"""Figures in sections, so that like stands beside like: what was trained, and how scores were normalised."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..evaluation.bootstrap import bootstrap_intervals
from ..evaluation.evaluate_runs import Scored
from ..evaluation.normalisations import COLUMNS
from ..evaluation.ranks import BothRanks, Ranks
from .escaping import in_markdown
from .published import METRICS, PublishedRow, published_for

FROZEN, ADAPTED, TUNED = "frozen encoder", "adapters inside the encoder", "encoder fine-tuned"
PLAIN, UNKNOWN = "plain scores", "normalisation unknown"
KINDS = {
    "inductive": "normalised with a bank of training queries",
    "transductive": "normalised over all test queries",
}

_ENCODERS = {"frozen": FROZEN, "adapters inside": ADAPTED, "fine-tuned": TUNED}
_NORMALISATIONS = {"none": PLAIN, "none stated": PLAIN, "DSL": KINDS["transductive"], "unknown": UNKNOWN}
_ORDER = [
    f"{encoder}, {kind}" for encoder in (FROZEN, ADAPTED, TUNED) for kind in (PLAIN, *KINDS.values(), UNKNOWN)
]


@dataclass(frozen=True)
class TableRow:
    """One system in one direction."""

    section: str
    name: str
    direction: str
    """t2v, v2t, or ``v2t any``: among all captions instead of the videos' best ones."""
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """Of some figures, for own runs."""
    queries: int | None
    tied: int | None
    remark: str
    """Backbone and, for published rows, where the figures come from."""
    is_own: bool


def table_rows(scored: Sequence[Scored], *, intervals: bool = False, compare: bool = False) -> list[TableRow]:
    """Rows in order of their section and, within it, own runs before published ones.

    Args:
        scored: own evaluations. Those of other data sets, splits or protocols get sections of their own.
        intervals: add bootstrap intervals, which take a moment.
        compare: add published rows of the same data set, protocol and test split.
    """
    tasks = _by_task(scored)
    found: list[TableRow] = []
    for task, some in tasks.items():
        rows = [row for one in some for row in _own_rows(one, intervals=intervals)]
        if compare:
            rows += [_published_row(row) for row in published_for(some[0]).rows]
        rows.sort(key=lambda row: (_ORDER.index(row.section), row.direction != "t2v", not row.is_own))
        found += [replace(row, section=f"{task}: {row.section}") for row in rows] if len(tasks) > 1 else rows
    return found


def comparison_remarks(scored: Sequence[Scored]) -> list[str]:
    """What must be said of the published rows beside these evaluations, or of there being none."""
    remarks = [published_for(one).remark for one in scored]
    return [remark for remark in dict.fromkeys(remarks) if remark]


def _by_task(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """Evaluations whose figures may be compared: of the same videos, and of the same queries."""
    tasks: dict[str, list[Scored]] = {}
    for one in scored:
        split, facts = one.evaluation.split, one.facts
        name = f"{facts['dataset']} {split} ({one.evaluation.protocol}; {facts['split_source']})"
        tasks.setdefault(name, []).append(one)
    return tasks


def markdown_table(rows: Sequence[TableRow]) -> str:
    """The rows as Markdown, a table for each section."""
    lines: list[str] = []
    for section in dict.fromkeys(row.section for row in rows):
        lines += [f"**{in_markdown(section)}**", "", f"| | | {' | '.join(METRICS)} | queries | tied | |"]
        lines.append("|---|---|" + "---:|" * (len(METRICS) + 2) + "---|")
        for row in (row for row in rows if row.section == section):
            counts = ["" if count is None else f"{count:,}" for count in (row.queries, row.tied)]
            cells = [row.name, row.direction, *(cell(row, metric) for metric in METRICS), *counts, row.remark]
            lines.append(f"| {' | '.join(map(in_markdown, cells))} |")
        lines.append("")
    return "\n".join(lines)


def cell(row: TableRow, metric: str, between: str = " · ") -> str:
    """A figure and, after ``between``, its interval; a dash where there is no figure."""
    if metric not in row.figures:
        return "-"
    text = f"{row.figures[metric]:.1f}"
    if metric not in row.intervals:
        return text
    low, high = row.intervals[metric]
    return f"{text}{between}{low:.1f}-{high:.1f}"


def _own_rows(scored: Scored, *, intervals: bool) -> Iterator[TableRow]:
    evaluation = scored.evaluation
    columns: list[tuple[str, str, BothRanks]] = [(PLAIN, scored.name, evaluation.ranks)]
    for name, ranks in evaluation.normalised.items():
        chosen = " (by validation)" if name in evaluation.chosen else ""
        columns.append((KINDS[COLUMNS[name].kind], f"{scored.name} + {name}{chosen}", ranks))
    remark = scored.facts["model"] + (", random weights" if scored.facts["random_weights"] else "")
    for kind, name, both in columns:
        directions: dict[str, Ranks] = {"t2v": both.t2v, "v2t": both.v2t}
        if evaluation.protocol == "multi":
            directions["v2t any"] = both.v2t_any_caption
        for direction, ranks in directions.items():
            figures = ranks.summary()
            yield TableRow(
                section=f"{FROZEN}, {kind}",
                name=name,
                direction=direction,
                figures={metric: float(figures[metric]) for metric in METRICS},
                intervals=bootstrap_intervals(ranks) if intervals else {},
                queries=ranks.num_queries,
                tied=ranks.tied_queries,
                remark=remark,
                is_own=True,
            )


def _published_row(row: PublishedRow) -> TableRow:
    stated = ", normalisation not stated" if row.normalisation == "none stated" else ""
    return TableRow(
        section=f"{_ENCODERS[row.encoder]}, {_NORMALISATIONS[row.normalisation]}",
        name=row.model,
        direction=row.direction,
        figures=dict(row.figures),
        intervals={},
        queries=None,
        tied=None,
        remark=f"{row.backbone}{stated}; {row.source}",
        is_own=False,
    )
