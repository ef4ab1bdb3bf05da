"""How well heads retrieve, asked from a program."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from .data.contracts.errors import UsageError
from .heads.evaluation.evaluate_runs import (
    EvaluationOptions,
    Scored,
    scored_runs,
    scored_untrained,
)
from .heads.evaluation.fusion import Member, member_of, scored_fusion
from .heads.evaluation.given_scores import given_matrix, scored_matrix
from .heads.evaluation.normalisations import chosen_columns
from .heads.evaluation.ranks import Ranks
from .heads.report.published import METRICS
from .heads.report.render import tables_html
from .heads.report.table import TableRow, by_heading, cell, mark_remarks, table_rows
from .opened_run import Run, open_run
from .opened_store import Store
from .pipeline.workspace import Workspace
from .places import Place, names_in, run_folder_of, store_folder_of, workspace_at
from .shown import text_table


class EvaluateOptions(TypedDict, total=False):
    """What ``evaluate`` takes beside the runs, called as the options of ``tvr eval``."""

    store: Store | Place | None
    """Features to score on, instead of those a run was trained on."""
    split: str
    """Default: ``test``; ``all``, without a run, is every video."""
    zero_shot: str | Sequence[str] | None
    """No run: heads without anything to train, or ``all``."""
    normalise: str | Sequence[str] | None
    """Also score normalised: ``qb_norm``, ``sinkhorn_bank``, ``dsl``, ``sinkhorn``, ..., or ``all``."""
    fuse: bool | Sequence[float]
    """Add up the scores of the runs and .npy matrices: with these weights, or ``a:0.7``, or those that are best on the
    validation split."""
    matrix: Place | NDArray[Any] | None
    """No run: scores of any system, texts x videos: a .npy file, which is mapped, or an array."""
    texts: Place | Sequence[str] | Mapping[str, str] | None
    """Ids of its rows: a file, ids, or the video of each. Default: row i describes column i."""
    videos: Place | Sequence[str] | None
    """Ids of its columns: a file or ids."""
    intervals: bool
    """Add bootstrap 95 % intervals to the table."""
    compare: bool
    """Add published figures to it."""
    device: str
    workspace: Place | None


class Evaluations(Sequence[Scored]):
    """What was scored, zero-shot first; ``print`` shows the table. ``t2v`` and ``v2t`` are those of the last one.

    Args:
        scored: each head's evaluation.
        intervals: whether the table has bootstrap intervals.
        compare: whether it has published figures.
    """

    def __init__(self, scored: Sequence[Scored], *, intervals: bool = False, compare: bool = False) -> None:
        self._scored = tuple(scored)
        self._intervals, self._compare = intervals, compare

    @property
    def t2v(self) -> Ranks:
        """Text to video: ``t2v.recall(1)`` is R@1 in percent."""
        return self._scored[-1].evaluation.ranks.t2v

    @property
    def v2t(self) -> Ranks:
        """Video to text."""
        return self._scored[-1].evaluation.ranks.v2t

    def named(self, name: str) -> Scored:
        """The one that the table calls so.

        Raises:
            UsageError: there is none; the message names them.
        """
        found = [one for one in self._scored if one.name == name]
        if not found:
            raise UsageError(f"no {name!r} was scored: {', '.join(one.name for one in self._scored)}")
        return found[0]

    def record(self) -> list[dict[str, Any]]:
        """All figures as plain values, one dictionary for each that was scored."""
        return [
            {"name": one.name, "run": None if one.run is None else str(one.run), **one.facts}
            | one.evaluation.record(intervals=self._intervals)
            for one in self._scored
        ]

    def __getitem__(self, index: Any) -> Any:
        return self._scored[index]

    def __len__(self) -> int:
        return len(self._scored)

    def __iter__(self) -> Iterator[Scored]:
        return iter(self._scored)

    def __repr__(self) -> str:
        figures = (f"{one.name}: t2v R@1 {one.evaluation.ranks.t2v.recall(1):.1f}" for one in self._scored)
        return f"Evaluations({'; '.join(figures)})"

    def __str__(self) -> str:
        tables = [_text(rows, heading.section) for heading, rows in by_heading(self._rows).items()]
        return "\n\n".join([*tables, "\n".join([*mark_remarks(self._rows), *self._basis])])

    def _repr_html_(self) -> str:
        return tables_html(self._rows, self._basis)

    @property
    def _rows(self) -> list[TableRow]:
        return table_rows(self._scored, intervals=self._intervals, compare=self._compare)

    @property
    def _basis(self) -> list[str]:
        """What the figures are of, what they do not cover, and what must be known of the encoder."""
        lines: list[str] = []
        for one in self._scored:
            lines += [f"{one.facts['dataset']}, {one.basis}", *one.notes]
        return list(dict.fromkeys(lines))


def evaluate(*runs: Run | Place | Store, **options: Unpack[EvaluateOptions]) -> Evaluations:
    """Rank every video for every text and every text for every video, next to zero-shot mean pooling.

    Args:
        *runs: runs, their folders or names; to fuse, also .npy matrices; or one store, which is scored without
            training. Default: the newest run.
        **options: see ``EvaluateOptions``.

    Raises:
        StoreError: the features are not there, or are another encoder's.
        UsageError: no such run, split, head or normalisation.
        DataError: nothing of the split can be scored.
    """
    place, matrix = workspace_at(options.get("workspace")), options.get("matrix")
    fuse = options.get("fuse", False)
    chosen = EvaluationOptions(
        split=options.get("split", "test"),
        device=options.get("device", "auto"),
        normalise=chosen_columns(names_in(options.get("normalise")), banks=matrix is None and not fuse),
    )
    shown = {"intervals": options.get("intervals", False), "compare": options.get("compare", False)}
    if matrix is not None:
        return Evaluations([_scored_matrix(runs, options, matrix, chosen.normalise)], **shown)
    if fuse:
        return Evaluations(_fused(place, runs, options, chosen), **shown)
    stores = [one for one in runs if isinstance(one, Store)]
    zero_shot = names_in(options.get("zero_shot")) or (("mean_pool",) if stores else ())
    given = options.get("store") or (stores[0] if stores else None)
    store = (
        None if given is None else given if isinstance(given, Store) else Store(store_folder_of(place, given))
    )
    if zero_shot:
        if len(runs) > len(stores) or len(stores) > 1:
            raise UsageError("without training one store is scored: leave the runs out, or zero_shot")
        on = store.features if store else Store(place.find_store(None).folder).features
        return Evaluations(scored_untrained(on, zero_shot, chosen), **shown)
    folders = [
        one.folder if isinstance(one, Run) else run_folder_of(place, one)
        for one in runs
        if not isinstance(one, Store)
    ]
    folders = folders or [open_run(workspace=place.root).folder]
    on_store = None if store is None else store.folder
    options_of = EvaluationOptions(chosen.split, on_store, chosen.device, chosen.normalise)
    return Evaluations(scored_runs([Path(folder) for folder in folders], options_of), **shown)


def _scored_matrix(
    runs: Sequence[object], options: EvaluateOptions, matrix: Place | NDArray[Any], normalise: Sequence[str]
) -> Scored:
    others = [name for name in ("store", "split", "zero_shot") if options.get(name)]
    if runs or others:
        raise UsageError(
            f"a matrix is scored alone: leave out {', '.join(['the runs'] * bool(runs) + others)}"
        )
    given = given_matrix(
        matrix if isinstance(matrix, np.ndarray) else Path(matrix),
        _ids(options.get("texts")),
        _ids(options.get("videos")),
    )
    return scored_matrix(given, normalise)


def _fused(
    place: Workspace,
    runs: Sequence[Run | Place | Store],
    options: EvaluateOptions,
    chosen: EvaluationOptions,
) -> Sequence[Scored]:
    fuse, on = options.get("fuse"), options.get("store")
    weights = None if isinstance(fuse, bool | None) else list(fuse)
    if options.get("zero_shot") or any(isinstance(run, Store) for run in runs):
        raise UsageError("fuse takes runs and .npy matrices, no store in their place and no zero_shot")
    members = [_member(place, run) for run in runs if not isinstance(run, Store)]
    if weights is not None and len(weights) != len(members):
        raise UsageError(
            f"fuse takes a weight for each of {len(members)} runs or matrices, got {len(weights)}"
        )
    if weights is not None:
        members = [replace(one, weight=float(weight)) for one, weight in zip(members, weights, strict=True)]
    store = on.folder if isinstance(on, Store) else on and store_folder_of(place, on)
    options_of = replace(chosen, store=store)
    return scored_fusion(members, options_of, _ids(options.get("texts")), _ids(options.get("videos"))).scored


def _member(place: Workspace, run: Run | Place) -> Member:
    if isinstance(run, Run):
        return Member(run.folder)
    named = member_of(os.fspath(run))
    return named if named.is_matrix else replace(named, place=run_folder_of(place, named.place))


def _ids(ids: Any) -> Any:
    """A place as a path, and ids as they are."""
    return Path(ids) if isinstance(ids, str | os.PathLike) else ids


def _text(rows: Sequence[TableRow], title: str) -> str:
    with_dataset = any(row.dataset for row in rows)
    with_source = any(row.source for row in rows)
    columns = ["head", *(["data set"] if with_dataset else []), "way", *METRICS, "queries", "tied"]
    columns += ["source"] if with_source else []
    lines = [
        [row.name, *([row.dataset] if with_dataset else []), row.direction]
        + [cell(row, metric) for metric in METRICS]
        + ["" if count is None else f"{count:,}" for count in (row.queries, row.tied)]
        + ([row.remark if row.source else ""] if with_source else [])
        for row in rows
    ]
    return f"{title}\n{text_table(columns, lines)}"
