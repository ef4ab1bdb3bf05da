"""``tvr eval``: how well trained heads retrieve, beside the same features without any head."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..data.base import Video, load_dataset
from ..data.contracts.errors import DataError, TvrError
from ..heads.evaluation.evaluate_runs import (
    EvaluationOptions,
    Scored,
    open_run,
)
from ..heads.report.published import TEST_SPLIT
from ..heads.report.table import table_rows
from ..pipeline.request import Named, videos_of_store
from ..pipeline.store.manifest import REQUEST_NAME
from ..pipeline.workspace import Workspace
from .input.asked_evaluation import AskedEvaluation
from .input.chosen_store import typed_with_places
from .input.options import (
    DEFAULT_WORKSPACE,
    FIGURES,
    GIVEN,
    REPORT,
    WHAT,
    DatasetOption,
    DeviceOption,
    JsonOption,
    WorkspaceOption,
    key_values,
)
from .output.evaluation import print_table, record
from .output.next_command import print_next, search_words
from .output.waiting import waiting
from .terminal import err, out, print_caution, print_json


def eval_(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs: their names as `tvr runs` lists them, or folders. Default: the newest."),
    ] = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Features to score on, a folder or a name as `tvr stores` lists it, instead of those a run was "
            "trained on.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Which split to score; all: every video.", rich_help_panel=WHAT)
    ] = TEST_SPLIT,
    zero_shot: Annotated[
        str | None,
        typer.Option(
            help="No run: heads without anything to train (mean_pool, query_scoring, mug), some with commas, or all.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    normalise: Annotated[
        str | None,
        typer.Option(
            help="Also score normalised: qb_norm, sinkhorn_bank (with training queries), dsl, sinkhorn "
            "(over all test queries), some with commas, or all. sinkhorn_std and sinkhorn_bank_std take T = std / 4; "
            "beside those with the fixed T the validation split chooses.",
            rich_help_panel=FIGURES,
        ),
    ] = None,
    fuse: Annotated[
        bool,
        typer.Option(
            "--fuse",
            help="Add up the scores of several RUNS, or .npy matrices: a:0.7 b:0.3, matched by id. Runs without "
            "weights get those that are best on the validation split.",
            rich_help_panel=FIGURES,
        ),
    ] = False,
    matrix: Annotated[
        Path | None,
        typer.Option(
            help="No run: scores of any system, a .npy of texts x videos; those of --save-similarity know their ids.",
            rich_help_panel=GIVEN,
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Ids of its rows: .txt, .json or .npy, as VIDEO or VIDEO#NUMBER; or a .csv, .tsv or .jsonl with "
            "the columns text and video. Default: row i describes column i.",
            rich_help_panel=GIVEN,
        ),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(help="Ids of its columns: .txt, .json or .npy.", rich_help_panel=GIVEN),
    ] = None,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Add bootstrap 95 % intervals.", rich_help_panel=FIGURES)
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Next to published figures; without runs, all of the data set.",
            rich_help_panel=FIGURES,
        ),
    ] = False,
    save_similarity: Annotated[
        Path | None,
        typer.Option(
            help="Keep the text x video matrix of a run in this .npy file.", rich_help_panel=FIGURES
        ),
    ] = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Write report.md and report.html with pictures into the run folder.",
            rich_help_panel=REPORT,
        ),
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Where the videos are, for the report's thumbnails. Default: where the store found them.",
            rich_help_panel=REPORT,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="key=value for the data set's Config, for the thumbnails.", rich_help_panel=REPORT),
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Rank every video for every text and every text for every video, next to zero-shot mean pooling."""
    place = Workspace(workspace)
    named = Named(root=root, settings=key_values(data, "--data"))
    asked = AskedEvaluation(
        place=place,
        runs=runs or [],
        dataset=dataset,
        store=store,
        split=split,
        device=device,
        zero_shot=zero_shot,
        normalise=normalise,
        fuse=fuse,
        matrix=matrix,
        texts=texts,
        videos=videos,
        compare=compare,
        report=report,
        save_similarity=save_similarity,
    )
    answered = asked.answered()
    scored = answered.scored
    _say_notes(scored)
    if report:
        with waiting("writing the report"):
            _write_reports(scored, answered.options, place, named)
    if as_json:
        print_json(record(scored, intervals=intervals))
        return
    print_table(table_rows(scored, intervals=intervals, compare=compare), scored, compare=compare)
    if save_similarity is not None:
        out.print(f"similarities: {save_similarity}", soft_wrap=True)
    if answered.runs or answered.store:
        _print_next(answered.runs, answered.store, report=report)


def _print_next(runs: Sequence[Path], store: Path | None, *, report: bool) -> None:
    if runs and not report:
        print_next(*sys.argv[1:], "--report", label="with pictures")
    print_next(*search_words(runs[-1] if runs else None, store))


def _say_notes(scored: Sequence[Scored]) -> None:
    for caution in dict.fromkeys(some.caution for some in scored):
        print_caution(caution)
    for some in scored:
        for note in some.notes:
            err.print(f"note: {some.run or some.name}: {note}", soft_wrap=True)


def _write_reports(
    scored: Sequence[Scored], options: EvaluationOptions, place: Workspace, named: Named
) -> None:
    # matplotlib takes half a second: who asks for no report does not wait for it.
    from ..heads.report.report import write_report

    datasets = {some.facts["store"]: some.facts["dataset"] for some in scored}
    videos = {store: _videos(Path(store), name, place, named) for store, name in datasets.items()}
    for some in scored:
        if some.run is not None:
            of_store = [one for one in scored if one.facts["store"] == some.facts["store"]]
            baseline = [one for one in of_store if one.run is None]
            file = write_report(open_run(some.run, options), [*baseline, some], videos[some.facts["store"]])
            err.print(f"report: {file}", soft_wrap=True)


def _videos(store: Path, dataset: str, place: Workspace, named: Named) -> Mapping[str, Video] | None:
    """The files of a store's data set, None (with the reason on standard error) where they are not there."""
    try:
        if (store / REQUEST_NAME).is_file():
            with typed_with_places():
                return videos_of_store(store, named, "eval --report")
        root = named.root or place.dataset_root(dataset)  # a store without a request does not say where
        if not root.is_dir():
            raise DataError(f"there is no folder {root}; name that of the videos with --root")
        return load_dataset(dataset, root, named.settings).videos
    except TvrError as error:
        err.print(f"no thumbnails: {error}", soft_wrap=True)
        return None
