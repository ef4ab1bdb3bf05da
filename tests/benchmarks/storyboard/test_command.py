"""The command of the study: what it refuses before anything is generated, and that a trial of two rows runs once."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.storyboard.__main__ import Place, main
from benchmarks.storyboard.measuring import GeneratedSet
from benchmarks.storyboard.study import figures_of
from benchmarks.storyboard.trials import Trial


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--without", "nonsense"], "there is no nonsense"),
        (["--ablate", "nonsense"], "there is no nonsense"),
        (["--without", "hcmi"], "the pictures show hcmi"),
        (["--tuned-by", "nowhere.json"], "nowhere.json is no record of this study"),
    ],
)
def test_command_fails(arguments: list[str], message: str, tmp_path: Path) -> None:
    command = typer.Typer()
    command.command()(main)
    workspace = tmp_path / "study"
    said = CliRunner().invoke(command, ["--workspace", str(workspace), *arguments])
    assert said.exit_code == 2
    assert message in " ".join(said.output.replace("│", " ").split())
    assert not workspace.exists()


def test_a_trial_of_two_rows_runs_once(videos: GeneratedSet, tmp_path: Path) -> None:
    place = Place(tmp_path, videos, unseen=videos, processes=1)
    trial = Trial("mean_pool", train_videos=48, num_frames=8)
    one, other = place.tasks([trial, trial], tested=True, normalised=False)
    place.run("heads", [one, other])
    assert figures_of(one) == figures_of(other)
    written = one.figures.stat().st_mtime_ns
    place.run("again", [one])
    assert one.figures.stat().st_mtime_ns == written
