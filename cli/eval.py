"""``tvr eval``: how well a trained head retrieves, beside the same features without any head."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import DEFAULT_WORKSPACE, DatasetOption, DeviceOption, JsonOption, WorkspaceOption
from .terminal import out, print_json

if TYPE_CHECKING:
    from ..heads.evaluation.evaluate import Evaluation

_COLUMNS = ("R@1", "R@5", "R@10", "MdR", "MnR")


def eval_(
    run: Annotated[Path | None, typer.Argument(help="Run folder. Default: the newest run.")] = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: Annotated[
        Path | None, typer.Option(help="Features to score on, instead of those the run was trained on.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split to score.")] = "test",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Rank every video for every text and every text for every video, next to zero-shot mean pooling."""
    from ..heads.evaluation.comparison import with_zero_shot
    from ..pipeline.workspace import Workspace

    scored = with_zero_shot(run or Workspace(workspace).find_run(dataset), split, store, device)
    if as_json:
        print_json(
            {name: evaluation.record() for name, evaluation in scored.evaluations.items()} | scored.facts
        )
        return
    print_table(scored.evaluations, random_weights=scored.facts["random_weights"])
    out.print(f'next: tvr search "what you look for" --run {scored.run}', soft_wrap=True)


def print_table(evaluations: "dict[str, Evaluation]", *, random_weights: bool) -> None:
    """One row a head and direction, then what the figures do not cover."""
    from rich.table import Table

    table = Table(title="(random weights)" if random_weights else None, title_justify="left")
    table.add_column("head")
    table.add_column("direction")
    for name in (*_COLUMNS, "queries", "tied"):
        table.add_column(name, justify="right")
    for head, evaluation in evaluations.items():
        record = evaluation.record()
        for direction in (key for key in ("t2v", "v2t", "v2t_any_caption") if key in record):
            figures = record[direction]
            cells = [f"{figures[name]:.1f}" for name in _COLUMNS]
            table.add_row(head, direction, *cells, f"{figures['queries']:,}", f"{figures['tied_queries']:,}")
    out.print(table)
    out.print(next(iter(evaluations.values())).coverage, soft_wrap=True)
