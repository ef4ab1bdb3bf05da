"""Two commands at once in one run folder, one workspace, one sweep: whatever is there at the end, one of them made.

The commands are processes of their own, started together, and wait some random milliseconds before every change of the
folder, so that they meet each time at another point.
"""

import json
import random
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ..fixtures.fuzz import cases
from ..fixtures.generated import generated_store
from ..fixtures.warm_shell import warm_shell

INTERLEAVINGS = 20
QUICK = ("--set", "layers=1", "--epochs", "2", "--batch-size", "16", "--device", "cpu")
SWEEP = ("--set", "layers=1", "--set", "batch_size=16", "--set", "device=cpu", "--workers", "1")
RATES = ("1e-3", "1e-2")
TAKEN, OTHER = "trains into", "holds a run with other settings"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a store and, in ``alone``, what each training comes to that nobody disturbs."""
    place = tmp_path_factory.mktemp("place")
    generated_store(place / "features" / "toy" / "model-tag", videos=20)
    for rate in RATES:
        run = place / "alone" / "toy" / rate
        code, said = warm_shell().run(*training(place, rate), "--run", run)
        assert code == 0, said
    return place


@pytest.fixture(scope="module")
def swept(place: Path) -> dict[float, dict[str, Any]]:
    """By learning rate, what each trial comes to in a sweep that nobody disturbs: its processes have threads of their
    own number, and sums of another order."""
    code, said = warm_shell().run(*sweep(place, "2"), "--folder", place / "swept")
    assert code == 0, said
    found = [content(trial) for trial in (place / "swept" / "trials").iterdir()]
    return {some["config.json"]["training"]["lr"]: some for some in found}


def sweep(place: Path, epochs: str) -> tuple[str | Path, ...]:
    rates = f"lr={','.join(RATES)}"
    return ("sweep", rates, "--workspace", place, "--dataset", "toy", *SWEEP, "--set", f"epochs={epochs}")


def training(place: Path, rate: str) -> tuple[str | Path, ...]:
    return ("train-head", "--workspace", place, "--dataset", "toy", "--lr", rate, *QUICK)


def together(folder: Path, seed: int, *commands: Sequence[str | Path]) -> list[tuple[int | None, str]]:
    """Run commands at the same time; exit code and words of each."""
    running = [
        warm_shell().start(*command, hesitate=seed * 10 + number, folder=str(folder), forks=True)
        for number, command in enumerate(commands)
    ]
    return [(command.wait(), command.said) for command in running]


def content(run: Path) -> dict[str, Any]:
    """What a run holds, times and the events of TensorBoard apart, of which there is one file."""
    files = {file.name: file for file in run.iterdir()}
    events = [name for name in files if name.startswith("events.")]
    assert len(events) == 1, sorted(files)
    timeless: dict[str, Any] = {
        name: file.read_bytes() for name, file in files.items() if file.suffix == ".safetensors"
    }
    timeless["config.json"] = json.loads(files["config.json"].read_text())
    timeless["metrics.jsonl"] = [json.loads(line) for line in files["metrics.jsonl"].read_text().splitlines()]
    timeless["result.json"] = json.loads(files["result.json"].read_text())
    if "run.toml" in files:  # a trial of a sweep has none of its own
        timeless["run.toml"] = tomllib.loads(files["run.toml"].read_text())
        timeless["run.toml"].pop("store")  # its place
    for record in (*timeless["metrics.jsonl"], timeless["result.json"]):
        for name in ("seconds", "training_seconds"):
            record.pop(name, None)
    assert sorted(files) == sorted([*timeless, *events])
    return timeless


@pytest.mark.parametrize("seed", range(cases(INTERLEAVINGS)))
def test_two_trainings_in_one_run_folder(place: Path, seed: int) -> None:
    run = place / "runs" / "toy" / f"contested-{seed}"
    rates = random.Random(seed).choices(RATES, k=2)
    ended = together(run, seed, *((*training(place, rate), "--run", run) for rate in rates))
    winners = [rate for rate, (code, _) in zip(rates, ended, strict=True) if code == 0]
    assert winners, ended
    for code, said in ended:
        assert code == 0 or (code == 7 and TAKEN in said) or (code == 2 and OTHER in said), said
    assert len(set(winners)) == 1
    assert content(run) == content(place / "alone" / "toy" / winners[0])


@pytest.mark.parametrize("seed", range(cases(INTERLEAVINGS)))
def test_two_trainings_in_one_workspace(place: Path, tmp_path: Path, seed: int) -> None:
    store = shutil.copytree(place / "features", tmp_path / "features") / "toy" / "model-tag"
    commands = [(*training(tmp_path, rate), "--store", store) for rate in RATES]
    ended = together(tmp_path, seed, *commands)
    assert [code for code, _ in ended] == [0, 0], ended
    runs = sorted((tmp_path / "runs" / "toy").iterdir())
    assert [run.name for run in runs] == ["seq_transformer-1", "seq_transformer-2"]
    found = {
        str(json.loads((run / "config.json").read_text())["training"]["lr"]): content(run) for run in runs
    }
    for rate, some in found.items():
        alone = content(place / "alone" / "toy" / {"0.001": "1e-3", "0.01": "1e-2"}[rate])
        some["config.json"]["store"]["path"] = alone["config.json"]["store"]["path"]
        assert some == alone


@pytest.mark.parametrize("seed", range(cases(INTERLEAVINGS)))
def test_two_sweeps_in_one_folder(
    place: Path, swept: dict[float, dict[str, Any]], tmp_path: Path, seed: int
) -> None:
    """The same sweep twice, or with other settings."""
    epochs = random.Random(seed).choices(("1", "2"), k=2)
    ended = together(tmp_path, seed, *((*sweep(place, number), "--folder", tmp_path) for number in epochs))
    assert [code for code, _ in ended] == [0, 0], ended
    trials = sorted((tmp_path / "trials").iterdir())
    assert len(trials) == len(RATES) * len(set(epochs))
    for trial in trials:
        training = content(trial)["config.json"]["training"]
        assert len(content(trial)["metrics.jsonl"]) == training["epochs"]
        if training["epochs"] == 2:
            alone = swept[training["lr"]]
            assert {**content(trial), "config.json": None} == {**alone, "config.json": None}
    table = json.loads((tmp_path / "sweep.json").read_text())["trials"]
    of_table = {
        json.loads((Path(row["folder"]) / "config.json").read_text())["training"]["epochs"] for row in table
    }
    assert len(of_table) == 1, "rows of different settings"
    assert [row["score"] is None for row in table] == [False, False]
