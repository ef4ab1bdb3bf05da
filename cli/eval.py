"""``tvr eval``: how well trained heads retrieve, beside the same features without any head."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..data.contracts.errors import TvrError, UsageError
from .options import DEFAULT_WORKSPACE, DatasetOption, DeviceOption, JsonOption, WorkspaceOption, key_values
from .terminal import err, out, print_json, print_table_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..data.base import Video
    from ..heads.evaluation.evaluate_runs import EvaluationOptions, Scored
    from ..heads.report.table import TableRow


NAME_WIDTH = 12
"""Of a column of names on a narrow terminal, where they are folded but never left out."""


def eval_(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders. Default: the newest run.")] = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: Annotated[
        Path | None, typer.Option(help="Features to score on, instead of those a run was trained on.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split to score.")] = "test",
    normalise: Annotated[
        str | None,
        typer.Option(
            help="Also score normalised: qb_norm, sinkhorn_bank (with training queries), dsl, sinkhorn "
            "(over all test queries), some with commas, or all."
        ),
    ] = None,
    intervals: Annotated[bool, typer.Option("--intervals", help="Add bootstrap 95 % intervals.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Next to published figures; without runs, all of the data set.")
    ] = False,
    save_similarity: Annotated[
        Path | None, typer.Option(help="Keep the text x video matrix of a run in this .npy file.")
    ] = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Write report.md and report.html with pictures into the run folder."),
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Where the videos are, for the report's thumbnails. Default: where tvr extract looks."
        ),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="key=value for the data set's Config, for the thumbnails.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Rank every video for every text and every text for every video, next to zero-shot mean pooling."""
    from ..heads.evaluation.evaluate_runs import EvaluationOptions, scored_runs
    from ..heads.report.table import table_rows
    from ..pipeline.workspace import Workspace

    place = Workspace(workspace)
    chosen = list(runs or []) or (place.find_runs(dataset) if compare else [place.find_run(dataset)])
    options = EvaluationOptions(split=split, store=store, device=device, normalise=_normalisations(normalise))
    scored = scored_runs(chosen, options)
    if save_similarity is not None:
        _save_similarity(chosen, options, save_similarity)
    if report:
        _write_reports(scored, options, root or place.dataset_root(scored[0].facts["dataset"]), data)
    if as_json:
        print_json(_record(scored, intervals=intervals))
        return
    print_table(table_rows(scored, intervals=intervals, compare=compare), scored)
    if save_similarity is not None:
        out.print(f"similarities: {save_similarity}", soft_wrap=True)
    out.print(f'next: tvr search "what you look for" --run {chosen[-1]}', soft_wrap=True)


def print_table(rows: "Sequence[TableRow]", scored: "Sequence[Scored]") -> None:
    """One table for each section, then what the figures are of and what they do not cover."""
    from rich.table import Table

    from ..heads.report.table import METRICS, cell

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


def _features(scored: "Scored") -> str:
    untrained = " (random weights)" if scored.facts["random_weights"] else ""
    return f"features: {scored.facts['model']} {scored.facts['pretrained']}{untrained}"


def _write_reports(
    scored: "Sequence[Scored]", options: "EvaluationOptions", root: Path, data: list[str] | None
) -> None:
    from ..heads.evaluation.evaluate_runs import open_run
    from ..heads.report.report import write_report

    videos = _videos(scored[0].facts["dataset"], root, data)
    baseline = [some for some in scored if some.run is None]
    for some in scored:
        if some.run is not None:
            file = write_report(open_run(some.run, options), [*baseline, some], videos)
            err.print(f"report: {file}", soft_wrap=True)


def _videos(dataset: str, root: Path, data: list[str] | None) -> "Mapping[str, Video] | None":
    """The files of a data set, None (with the reason on standard error) where they are not there."""
    from ..data.base import load_dataset

    if not root.is_dir():
        err.print(
            f"no thumbnails: there is no folder {root}; name that of the videos with --root", soft_wrap=True
        )
        return None
    try:
        return load_dataset(dataset, root, key_values(data, "--data")).videos
    except TvrError as error:
        err.print(f"no thumbnails: {error}", soft_wrap=True)
        return None


def _normalisations(names: str | None) -> tuple[str, ...]:
    from ..heads.evaluation.normalisations import COLUMNS, column

    if names == "all":
        return tuple(COLUMNS)
    chosen = tuple(name.strip() for name in (names or "").split(",") if name.strip())
    for name in chosen:
        column(name)
    return chosen


def _save_similarity(runs: "Sequence[Path]", options: "EvaluationOptions", file: Path) -> None:
    from ..heads.evaluation.evaluate_runs import open_run, save_similarity

    if len(runs) != 1:
        raise UsageError(f"--save-similarity takes one run, got {len(runs)}")
    save_similarity(open_run(runs[0], options), file)


def _record(scored: "Sequence[Scored]", *, intervals: bool) -> dict[str, Any]:
    heads = {some.name: some.evaluation.record(intervals=intervals) for some in scored}
    runs = {some.name: str(some.run) for some in scored if some.run is not None}
    only = {"run": next(iter(runs.values()))} if len(runs) == 1 else {}
    return heads | scored[0].facts | only | {"runs": runs}
