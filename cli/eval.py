"""``tvr eval``: how well trained heads retrieve, beside the same features without any head."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..data.base import Video, load_dataset
from ..data.contracts.errors import DataError, TvrError, UsageError
from ..heads.evaluation.evaluate_runs import (
    EvaluationOptions,
    Scored,
    open_run,
    scored_runs,
    scored_untrained,
)
from ..heads.evaluation.evaluate_runs import save_similarity as write_similarity
from ..heads.evaluation.normalisations import COLUMNS, column
from ..heads.report.table import table_rows
from ..pipeline.request import Named, videos_of_store
from ..pipeline.store.manifest import REQUEST_NAME
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .input.chosen_run import chosen_runs
from .input.chosen_store import taken_store, typed_with_places
from .input.offered_stores import captions_offered
from .input.options import (
    DEFAULT_WORKSPACE,
    FIGURES,
    REPORT,
    WHAT,
    DatasetOption,
    DeviceOption,
    JsonOption,
    WorkspaceOption,
    check_writable,
    key_values,
)
from .output.evaluation import print_table, record
from .output.next_command import print_next, search_words
from .output.waiting import waiting
from .terminal import err, out, print_caution, print_json

RANKING = "ranking every video for every text"


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
    ] = "test",
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
    options = EvaluationOptions(split=split, device=device, normalise=_normalisations(normalise))
    chosen: list[Path] = []
    if zero_shot is None:
        chosen, used = chosen_runs(place, runs or [], store, dataset, every=compare)
        options = replace(options, store=used)
        if save_similarity is not None:
            _check_matrix(chosen, save_similarity)
        with waiting(RANKING):
            scored = scored_runs(chosen, options)
    else:
        if runs or report or save_similarity is not None:
            raise UsageError(
                "--zero-shot takes no run, no --report and no --save-similarity: it scores heads that are not trained. "
                "Leave these out, or --zero-shot"
            )
        used = taken_store(place, store, dataset)
        with captions_offered(place), waiting(RANKING):
            scored = scored_untrained(FeatureStore.open(used), _names(zero_shot), options)
    _say_notes(scored)
    if save_similarity is not None:
        write_similarity(open_run(chosen[0], options), save_similarity)
    if report:
        with waiting("writing the report"):
            _write_reports(scored, options, place, named)
    if as_json:
        print_json(record(scored, intervals=intervals))
        return
    print_table(table_rows(scored, intervals=intervals, compare=compare), scored, compare=compare)
    if save_similarity is not None:
        out.print(f"similarities: {save_similarity}", soft_wrap=True)
    _print_next(chosen, None if chosen and store is None else used, report=report)


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


def _names(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _normalisations(names: str | None) -> tuple[str, ...]:
    if names == "all":
        return tuple(COLUMNS)
    chosen = _names(names or "")
    for name in chosen:
        column(name)
    return chosen


def _check_matrix(runs: Sequence[Path], file: Path) -> None:
    """See that a matrix can be written, before anything is scored.

    Raises:
        UsageError: it cannot, or of several runs it is not clear which is meant.
    """
    if len(runs) != 1:
        raise UsageError(f"--save-similarity takes one run, got {len(runs)}")
    check_writable("--save-similarity", file)
