"""``python -m benchmarks.storyboard.phrases``: one clip or phrase of hcmi per four of what an item has, or of the most.

Both ways with the study's settings and seeds, compared on its validation split; the default is scored on its test split
as well. Runs that the study has done already are not done again.
"""

import os
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import typer

from benchmarks.record import keep

from .__main__ import Place, prepared
from .study import (
    HIGHER_SCALE,
    LEARNING_RATES,
    Contender,
    Settings,
    figures_of,
    repeats,
    row_of,
    validation_score,
)

TUNED = Settings(LEARNING_RATES[0], HIGHER_SCALE)
"""What validation chose for hcmi."""


def main(
    workspace: Annotated[Path, typer.Option(help="Videos, features and runs.")] = Path("tvr-storyboard"),
    processes: Annotated[int, typer.Option(help="Trials at once, one thread each.")] = os.cpu_count() or 1,
) -> None:
    """Compare the two ways."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the children at their start
    place = prepared(workspace, processes)
    ways = {"real": Contender("hcmi"), "most": Contender("hcmi", {"one_per_four": "most"})}
    keep("storyboard_phrases", {name: _measured(place, way, name == "real") for name, way in ways.items()})


def _measured(place: Place, way: Contender, tested: bool) -> dict[str, Any]:
    tasks = place.tasks(repeats(way.trial(TUNED)), tested=tested)
    place.run(way.label, tasks)
    scores = [validation_score(figures_of(task)) for task in tasks]
    validation = {"scores": scores, "mean": fmean(scores), "deviation": stdev(scores)}
    return {"validation_of_600": validation, **({"test": row_of(way.label, tasks)} if tested else {})}


if __name__ == "__main__":
    typer.run(main)
