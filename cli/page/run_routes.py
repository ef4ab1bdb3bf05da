"""Routes of trained heads and of the store: curves, figures, the queries a run gets wrong, the videos that failed."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ...data.contracts.errors import TvrError, UsageError
from ...heads.evaluation.evaluate import evaluate
from ...heads.evaluation.evaluate_runs import EvaluationOptions, scored_runs, scored_untrained
from ...heads.features.from_store import features_of
from ...heads.report.misses import misses, wrong_queries
from ...heads.report.published import METRICS, TEST_SPLIT
from ...heads.report.table import by_heading, cell, comparison_remarks, mark_remarks, table_rows
from ...heads.runs.newest import RunEntry
from ...heads.runs.run_folder import load_record, read_metrics, read_result
from ...pipeline.store.housekeeping import size_of
from ...pipeline.store.rows import worst_first
from .context import PageContext
from .opened_store import VALIDATION, ListedRun
from .records import CautionRecord
from .run_records import (
    EpochRecord,
    FailedVideo,
    FailureList,
    FailureRecord,
    FirstRecord,
    ListedRunRecord,
    RunList,
    StoreRecord,
    TableRecord,
    TrainedRun,
    ValidationRecord,
)
from .search_routes import Offset, Top

MOST_FAILED = 1000
"""Videos that a store's page names."""
_COLUMNS = ("head", "direction", *METRICS, "queries", "tied", "features and source")


def run_routes(context: PageContext) -> APIRouter:
    """``/runs`` and everything below it, and ``/store``."""
    routes = APIRouter()

    @routes.get("/runs")
    def runs() -> RunList:
        names = {run.folder: run.name for run in context.opened.runs.values()}
        return RunList(
            [_listed(entry, names.get(entry.folder, entry.folder.name)) for entry in context.entries]
        )

    @routes.get("/runs/{name}")
    async def run(name: str) -> TrainedRun:
        chosen = context.run(name)
        tables, remarks = await asyncio.wrap_future(
            context.figures(("tables", chosen.name), lambda: _tables(context, chosen))
        )
        return _trained(context, chosen, tables, remarks)

    @routes.get("/runs/{name}/failures")
    async def failures(
        name: str,
        split: Annotated[str | None, Query(max_length=500)] = None,
        offset: Offset = 0,
        top: Top = 20,
    ) -> FailureList:
        chosen, wanted = context.run(name), _split(context, split)
        ranked = await asyncio.wrap_future(
            context.figures(("ranks", chosen.name, wanted), lambda: _ranked(context, chosen, wanted))
        )
        return await context.worker.done(
            lambda: _failures(context, chosen.name, wanted, ranked, slice(offset, offset + top))
        )

    @routes.get("/store")
    async def store() -> StoreRecord:
        return await asyncio.wrap_future(context.figures("store", lambda: _store(context)))

    return routes


def _listed(entry: RunEntry, name: str) -> ListedRunRecord:
    try:
        result, state = read_result(entry.folder) or {}, entry.state
    except TvrError as error:  # of one run, which hides no other one
        result, state = {}, str(error)
    best = result.get("best_score")
    return ListedRunRecord(
        name=name,
        head=entry.record.head,
        trained=entry.day,
        finished=entry.is_finished,
        state=state,
        seconds=result.get("seconds"),
        validation=None if best is None else ValidationRecord(int(result["best_epoch"]), float(best)),
    )


def _split(context: PageContext, split: str | None) -> str:
    """The split that is asked for; without one the test split, or another that has captions.

    Raises:
        UsageError: there is none, or none of that name.
    """
    known = context.opened.store.splits
    if not context.opened.store.manifest.num_texts:
        raise UsageError("this store has no captions, so nobody knows which videos would be right")
    if split is None:
        split = next(
            (name for name in (TEST_SPLIT, VALIDATION) if name in known), next(iter(sorted(known)), None)
        )
    if split is None or split not in known:
        raise UsageError(f"the store has no split {split!r}. Known: {', '.join(sorted(known)) or 'none'}")
    return split


def _tables(context: PageContext, run: ListedRun) -> tuple[list[TableRecord], list[str]]:
    """The figures of a run on the test split, beside published ones; of a store without such a split none, and why."""
    store = context.opened.store
    if not store.manifest.num_texts or TEST_SPLIT not in store.splits:
        return [], [f"no figures: the store has no {TEST_SPLIT} split with captions"]
    options = EvaluationOptions(split=TEST_SPLIT, store=store.folder)
    if run.folder is None:
        scored = scored_untrained(store, ["mean_pool"], options)
    else:
        scored = scored_runs([run.folder], options)
    rows = table_rows(scored, intervals=True, compare=True)
    tables: list[TableRecord] = []
    for heading, some in by_heading(rows).items():
        cells = [
            [
                row.name,
                row.direction,
                *(cell(row, metric) for metric in METRICS),
                "" if row.queries is None else f"{row.queries:,}",
                "" if row.tied is None else f"{row.tied:,}",
                row.remark,
            ]
            for row in some
        ]
        tables.append(TableRecord(heading.section, heading.unlike, list(_COLUMNS), cells))
    coverage = [f"coverage: {one.evaluation.coverage}" for one in scored]
    return tables, list(dict.fromkeys([*coverage, *comparison_remarks(scored), *mark_remarks(rows)]))


def _trained(
    context: PageContext, run: ListedRun, tables: list[TableRecord], remarks: list[str]
) -> TrainedRun:
    manifest = context.opened.store.manifest
    history, config, notes = [], {}, []
    if run.entry is not None:
        record = load_record(run.entry.folder)
        config = {**record.head_config, **record.training}
        history = [_epoch(line) for line in read_metrics(run.entry.folder)]
        notes = list(context.opened.searcher(run.name).archive.notes)
    return TrainedRun(
        name=run.name,
        head=run.head,
        trained=None if run.entry is None else run.entry.day,
        config=config,
        notes=notes,
        caution=CautionRecord.of(manifest.caution),
        history=history,
        tables=tables,
        remarks=remarks,
    )


def _epoch(line: dict[str, Any]) -> EpochRecord:
    validation = line["val"] or {}
    figures = {f"{way} R@1": float(validation[way]["R@1"]) for way in ("t2v", "v2t") if way in validation}
    terms = {name: float(value) for name, value in line["loss"].items() if name != "total"}
    return EpochRecord(line["epoch"], line["loss"].get("total"), terms, figures)


def _ranked(context: PageContext, run: ListedRun, split: str) -> Any:
    """Features of a split, the head of a run, and where each text's own video stands."""
    features = features_of(context.opened.store, split)
    head = context.opened.searcher(
        run.name
    ).archive.head  # the one that answers, whatever its folder holds by now
    return features, head, evaluate(head, features).ranks.t2v.ranks


def _failures(context: PageContext, run: str, split: str, ranked: Any, wanted: slice) -> FailureList:
    features, head, ranks = ranked
    wrong, numbers = wrong_queries(ranks), context.opened.catalogue.numbers
    return FailureList(
        run=run,
        split=split,
        queries=len(ranks),
        wrong=len(wrong),
        offset=wanted.start,
        failures=[
            FailureRecord(
                miss.text,
                numbers[miss.true_video],
                miss.rank,
                FirstRecord(numbers[miss.found_video], miss.found_score),
            )
            for miss in misses(head, features, ranks, wrong[wanted])
        ],
    )


def _store(context: PageContext) -> StoreRecord:
    opened = context.opened
    store, manifest, catalogue = opened.store, opened.store.manifest, opened.catalogue
    statuses = store.statuses()
    failed = worst_first(statuses)
    return StoreRecord(
        name=context.name,
        dataset=manifest.dataset,
        encoder=dict(manifest.encoder),
        sampling={**manifest.sampling, "max_seconds": manifest.max_seconds, "decoder": manifest.decoder},
        videos=len(statuses),
        with_frames=opened.features.num_videos,
        captions=manifest.num_texts,
        frames=sum(status.frames for status in statuses),
        bytes=size_of(store.folder),
        splits={name: len(ids) for name, ids in sorted(store.splits.items())},
        caution=CautionRecord.of(manifest.caution),
        failed=[
            FailedVideo(catalogue.numbers[one.id], one.id, one.status, one.reason, one.frames)
            for one in failed[:MOST_FAILED]
        ],
        num_failed=len(failed),
    )
