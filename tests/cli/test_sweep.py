"""``tvr sweep`` as typed."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from rich.console import Console
from tvr.data.contracts.errors import UsageError
from tvr.heads.sweep.grid import plan_trials
from tvr.heads.sweep.results import TrialRow, groups_of
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.reader import FeatureStore

from ..fixtures.generated import generated_store
from ..fixtures.shell import tvr


@pytest.mark.slow
def test_sweep_resumes_and_shards(tmp_path: Path) -> None:
    store = generated_store(tmp_path / "store")
    line = ["sweep", "--grid", "head=seq_transformer", "layers=1", "seed=0,1", "--store", store]
    line += ["--set", "epochs=1", "--set", "batch_size=16", "--set", "device=cpu", "--workers", "1"]
    first = tvr(*line, "--shard", "1/2", "--json", cwd=tmp_path)
    assert first.code == 0, first.err
    group = json.loads(first.out)["groups"][0]
    assert (group["trials"], group["pending"]) == (1, 1)
    second = tvr(*line, cwd=tmp_path)
    assert second.code == 0, second.err
    assert "seq_transformer, layers=1" in second.out
    assert "±" in second.out
    assert "random weights" in second.out
    assert "next: tvr eval" in second.out
    assert "score of 600" in second.out
    sweep = tmp_path / "tvr-workspace" / "sweeps" / "toy"
    assert (sweep / "sweep.json").is_file()
    assert f"all trials: {next(sweep.glob('sweep-*.json')).relative_to(tmp_path)}" in second.out


def test_sweep_fails_before_training(tmp_path: Path) -> None:
    store = generated_store(tmp_path / "store")
    answer = tvr("sweep", "--grid", "head=hcmi,wit", "alike=4", "--store", store, cwd=tmp_path)
    assert answer.code == 2
    assert "note: the setting alike is called hard_negatives now" in answer.err
    assert "Did you mean 'wti'" in answer.err
    assert not (tmp_path / "tvr-workspace").exists()
    (tmp_path / "file").touch()
    line = ("--grid", "seed=0,1", "--store", store, "--folder", "file")
    answer = tvr("sweep", *line, cwd=tmp_path)
    assert "Traceback" not in answer.err
    assert "file/trials" in answer.err
    assert answer.code == 1


@pytest.mark.slow
def test_sweep_with_a_failed_trial_says_so(tmp_path: Path) -> None:
    store = generated_store(tmp_path / "store")
    answer = tvr("sweep", "--grid", "heads=5", "--store", store, cwd=tmp_path)
    assert answer.code == 7
    assert "failed seq_transformer,heads=5: heads must divide" in answer.out


def test_train_is_for_the_training_as_in_train_head() -> None:
    """And --set takes such settings as before."""
    fixed = import_module("tvr.cli.sweep")._fixed
    assert fixed({"layers": "1", "epochs": "2"}, {"lr": "1e-3", "training.seed": "4"}) == {
        "layers": "1",
        "epochs": "2",
        "training.lr": "1e-3",
        "training.seed": "4",
    }
    (trial,) = plan_trials({}, fixed({"layers": "1", "epochs": "2"}, {"lr": "1e-3", "seed": "4"}))
    assert (trial.head_config.layers, trial.training.epochs, trial.training.lr, trial.training.seed) == (
        1,
        2,
        1e-3,
        4,
    )


@pytest.mark.parametrize("key", ["lr", "training.lr"])
def test_train_fails_beside_set_of_the_same(key: str) -> None:
    with pytest.raises(UsageError, match=f"--set and --train both give {key}: leave one of them out"):
        import_module("tvr.cli.sweep")._fixed({key: "1"}, {"lr": "1"})


def test_sweep_fails_once_where_every_trial_would(tmp_path: Path) -> None:
    store = generated_store(tmp_path / "store")
    manifest, ids = load_manifest(store), json.loads((store / "splits.json").read_text())
    object.__setattr__(manifest, "num_texts", 0)
    manifest.save(store, ids)
    answer = tvr("sweep", "--grid", "seed=0,1", "--store", store, cwd=tmp_path)
    assert answer.code == 3
    assert answer.err.count("has no captions") == 1
    assert "it can be searched: tvr search" in answer.err
    assert not (tmp_path / "tvr-workspace").exists()


def test_a_reason_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [replace(row, failure="out of memory" if row.name[-1] in "01" else None) for row in trials([])]
    import_module("tvr.cli.sweep")._print_failures(rows)
    said = capsys.readouterr().out
    assert said == "failed hcmi,lr=0.001,seed=0 (and 3 other trials): out of memory\n"


def test_settings_that_are_worse_than_no_training_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = FeatureStore.open(generated_store(tmp_path / "store"))
    show = import_module("tvr.cli.sweep")._print_worse
    groups = groups_of([replace(row, score=1.0 if "0.0001" in row.group else 600.0) for row in trials([])])
    show(groups, "recall_sum", store)
    said = capsys.readouterr().out
    assert said.startswith("worse than no training: zero-shot mean pooling scores ")
    assert said.endswith("on the same validation split: hcmi,lr=0.0001,hard_negatives=4\n")
    show(groups[:1], "recall_sum", store)
    assert capsys.readouterr().out == ""


FIGURES = [f"{way} R@{k}" for way in ("t2v", "v2t") for k in (1, 5, 10)]


def trials(few: list[str]) -> list[TrialRow]:
    """Two settings with three seeds each, and figures as long as they are in earnest."""
    return [
        TrialRow(
            name=f"hcmi,lr={lr},seed={seed}",
            group=f"hcmi,lr={lr},hard_negatives=4",
            folder="",
            score=501.2 + 9 * seed,
            best_epoch=1,
            figures={name: 78.4 + 9 * seed for name in FIGURES},
            few_candidates=few,
            seconds=1234.5,
            failure=None,
        )
        for lr in ("0.001", "0.0001")
        for seed in (0, 1, 2)
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal_and_marks_few_candidates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """All columns at 120; at 80 the setting that won and its score, whatever has to go."""
    console = Console(force_terminal=True, color_system=None, width=width)
    for module in ("tvr.cli.terminal", "tvr.cli.sweep"):
        monkeypatch.setattr(import_module(module), "out", console)
    few = [] if width == 120 else ["t2v R@1"]
    import_module("tvr.cli.sweep")._print_groups(trials(few), "validation split", {"t2v R@1"})
    said = capsys.readouterr()
    table = [line for line in said.out.splitlines() if line[:1] in "┃│"]
    assert max(map(len, table)) <= width
    assert "hard_negatives=4" in said.out.replace("\n", "")
    assert said.out.count("510.2*±9.0" if few else "510.2±9.0") == 2
    if width == 120:
        assert all(name in table[0] for name in ("trial", "score", *FIGURES, "seeds", "seconds"))
        assert "without" not in said.err
        assert "*" not in said.out
    else:
        assert "no room in 80 columns" in said.err
        assert said.out.count("87.4*±9.0") == 2
        assert "* among fewer than 2K candidates, where chance alone gives R@K more than 50" in said.out
