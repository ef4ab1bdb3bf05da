"""``tvr sweep`` as typed."""

import json
from pathlib import Path

import pytest

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
