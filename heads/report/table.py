"""Figures in sections, so that like stands beside like: what was trained, and how scores were normalised."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..evaluation.bootstrap import bootstrap_intervals
from ..evaluation.evaluate_runs import ZERO_SHOT_LABEL, Scored, short_names
from ..evaluation.normalisations import COLUMNS
from ..evaluation.ranks import FEW, FEW_REMARK, BothRanks, Ranks
from .escaping import in_markdown
from .published import METRICS, PublishedRow, published_for

FROZEN, ADAPTED, TUNED = "frozen encoder", "adapters inside the encoder", "encoder fine-tuned"
GIVEN = "scores as given"
"""Of an encoder of which nothing is known."""
NOT_COMPARABLE = "not comparable"
"""What stands below a table with that mark."""
PLAIN, UNKNOWN = "plain scores", "normalisation unknown"
KINDS = {
    "inductive": "normalised with a bank of training queries",
    "transductive": "normalised over all test queries",
}

_ENCODERS = {"frozen": FROZEN, "adapters inside": ADAPTED, "fine-tuned": TUNED}
_NORMALISATIONS = {"none": PLAIN, "none stated": PLAIN, "DSL": KINDS["transductive"], "unknown": UNKNOWN}
_ORDER = [
    f"{encoder}, {kind}"
    for encoder in (FROZEN, ADAPTED, TUNED, GIVEN)
    for kind in (PLAIN, *KINDS.values(), UNKNOWN)
]


@dataclass(frozen=True)
class Heading:
    """What the rows of one table have in common."""

    section: str
    """What was trained, and how scores were normalised; before it, where there are several, which task it is."""
    unlike: str
    """Why nothing else may stand in that table, which is struck from the heading; empty where the whole split was
    scored."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One system in one direction."""

    heading: Heading
    name: str
    dataset: str
    """Which features, where figures of several stores are told; otherwise empty."""
    direction: str
    """t2v, v2t, or ``v2t any``: among all captions instead of the videos' best ones."""
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """Of some figures, for own runs."""
    few: Sequence[str]
    """Names of the recalls that chance alone brings above 50."""
    queries: int | None
    tied: int | None
    features: str
    """Backbone, and what must be known of it."""
    source: str
    """Where the figures come from; empty for own runs."""

    @property
    def is_own(self) -> bool:
        """Whether the figures were measured here."""
        return not self.source

    @property
    def remark(self) -> str:
        """Features and source in one cell."""
        return f"{self.features}; {self.source}" if self.source else self.features


def table_rows(scored: Sequence[Scored], *, intervals: bool = False, compare: bool = False) -> list[TableRow]:
    """Rows in order of their section and, within it, own runs before published ones.

    Args:
        scored: own evaluations. Those of other data sets, splits or protocols get sections of their own, and so do
            those of a part of the split, beside which no published row stands.
        intervals: add bootstrap intervals, which take a moment.
        compare: add published rows of the same data set, protocol and test split.
    """
    tasks, names = _by_task(scored), _store_names(scored)
    found: list[TableRow] = []
    for task, some in tasks.items():
        rows = [row for one in some for row in _own_rows(one, names[one.facts["store"]], intervals=intervals)]
        if compare:
            dataset = some[0].facts["dataset"] if len(names) > 1 else ""
            published = next((like for one in some if (like := published_for(one).rows)), ())
            rows += [_published_row(row, dataset) for row in published]
        rows.sort(key=_place)
        if len(tasks) > 1:
            rows = [
                replace(row, heading=replace(row.heading, section=f"{task}: {row.heading.section}"))
                for row in rows
            ]
        found += rows
    return found


def _place(row: TableRow) -> tuple[int, bool, bool, bool]:
    heading = row.heading
    return _ORDER.index(heading.section), not heading.unlike, row.direction != "t2v", not row.is_own


def _store_names(scored: Sequence[Scored]) -> dict[str | None, str]:
    """Of each store its data set and, where several are of the same, its own name; of a single store nothing."""
    every = {one.facts["store"]: str(one.facts["dataset"]) for one in scored}
    if len(every) == 1:
        return dict.fromkeys(every, "")
    # A sum may be of several stores, and a matrix of none that is known.
    datasets = {
        one.facts["store"]: every[one.facts["store"]]
        for one in scored
        if not one.weights and one.facts["store"]
    }
    folders = short_names([Path(store) for store in datasets])
    several = [name for name, stores in Counter(datasets.values()).items() if stores > 1]
    return every | {
        store: f"{name}, {folders[Path(store)]}" if name in several else name
        for store, name in datasets.items()
    }


def by_heading(rows: Sequence[TableRow]) -> dict[Heading, list[TableRow]]:
    """The rows of each table."""
    tables: dict[Heading, list[TableRow]] = {}
    for row in rows:
        tables.setdefault(row.heading, []).append(row)
    return tables


def mark_remarks(rows: Sequence[TableRow]) -> list[str]:
    """What the marks in these rows mean, where there are any."""
    if not any(metric in METRICS for row in rows for metric in row.few):
        return []
    return [FEW_REMARK]


def worse_than_untrained(scored: Sequence[Scored]) -> list[str]:
    """Of each trained head that ranks worse than the mean of the frames does, which nothing was trained for, a line."""
    untrained = {one.facts["store"]: one.evaluation for one in scored if one.is_untrained}
    lines: list[str] = []
    for one in scored:
        zero = untrained.get(one.facts["store"])
        if one.run is None or zero is None:
            continue
        own, best = one.evaluation.score("recall_sum"), zero.score("recall_sum")
        if own < best:
            sums = f"R@1 + R@5 + R@10 of both ways: {own:.1f} of 600, and {best:.1f} without"
            lines.append(
                f"{one.name} is worse here than zero-shot mean pooling, without any training ({sums})"
            )
    return lines


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
    """The rows as Markdown, a table for each heading."""
    lines: list[str] = []
    with_dataset = any(row.dataset for row in rows)
    for heading, some in by_heading(rows).items():
        extra = "data set | " if with_dataset else ""
        lines += [_markdown_heading(heading), "", f"| | {extra}| {' | '.join(METRICS)} | queries | tied | |"]
        lines.append(f"|---|{'---|' * with_dataset}---|" + "---:|" * (len(METRICS) + 2) + "---|")
        for row in some:
            counts = ["" if count is None else f"{count:,}" for count in (row.queries, row.tied)]
            names = [row.name, *([row.dataset] if with_dataset else []), row.direction]
            cells = [*names, *(cell(row, metric) for metric in METRICS), *counts, row.remark]
            lines.append(f"| {' | '.join(map(in_markdown, cells))} |")
        lines.append("")
    return "\n".join([*lines, *(f"{in_markdown(remark)}\n" for remark in mark_remarks(rows))])


def _markdown_heading(heading: Heading) -> str:
    if heading.unlike:
        return f"**~~{in_markdown(heading.section)}~~ {in_markdown(heading.unlike)}**"
    return f"**{in_markdown(heading.section)}**"


def cell(row: TableRow, metric: str, between: str = " · ") -> str:
    """A figure with its mark and, after ``between``, its interval; a dash where there is no figure."""
    if metric not in row.figures:
        return "-"
    text = f"{row.figures[metric]:.1f}{FEW if metric in row.few else ''}"
    if metric not in row.intervals:
        return text
    low, high = row.intervals[metric]
    return f"{text}{between}{low:.1f}-{high:.1f}"


def _own_rows(scored: Scored, dataset: str, *, intervals: bool) -> Iterator[TableRow]:
    evaluation = scored.evaluation
    unlike = f"{NOT_COMPARABLE}: {evaluation.partial}" if evaluation.partial else ""
    own = ZERO_SHOT_LABEL if scored.is_untrained and dataset else scored.name
    columns: list[tuple[str, str, BothRanks]] = [(PLAIN, own, evaluation.ranks)]
    for name, ranks in evaluation.normalised.items():
        chosen = " (by validation)" if name in evaluation.chosen else ""
        columns.append((KINDS[COLUMNS[name].kind], f"{own} + {name}{chosen}", ranks))
    model = scored.facts["model"]
    features = (model or GIVEN) + (f", {scored.caution.label}" if scored.caution else "")
    encoder = GIVEN if model is None else FROZEN
    for kind, name, both in columns:
        directions: dict[str, Ranks] = {"t2v": both.t2v, "v2t": both.v2t}
        if evaluation.protocol == "multi":
            directions["v2t any"] = both.v2t_any_caption
        for direction, ranks in directions.items():
            figures = ranks.summary()
            yield TableRow(
                heading=Heading(f"{encoder}, {kind}", unlike),
                name=name,
                dataset=dataset,
                direction=direction,
                figures={metric: float(figures[metric]) for metric in METRICS},
                intervals=bootstrap_intervals(ranks) if intervals else {},
                few=ranks.few_candidates,
                queries=ranks.num_queries,
                tied=ranks.tied_queries,
                features=features,
                source="",
            )


def _published_row(row: PublishedRow, dataset: str) -> TableRow:
    stated = "normalisation not stated, " if row.normalisation == "none stated" else ""
    return TableRow(
        heading=Heading(f"{_ENCODERS[row.encoder]}, {_NORMALISATIONS[row.normalisation]}", ""),
        name=row.model,
        dataset=dataset,
        direction=row.direction,
        figures=dict(row.figures),
        intervals={},
        few=(),
        queries=None,
        tied=None,
        features=row.backbone,
        source=f"{stated}{row.source}",
    )
