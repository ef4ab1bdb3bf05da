import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tvr.data.contracts.errors import TrainingError, UsageError
from tvr.heads import hcmi, mean_pool, seq_transformer
from tvr.heads.evaluation.evaluate import evaluate
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.runs.run_folder import load_run, read_metrics
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.history import EpochReport, TrainingResult
from tvr.heads.training.loop import train

from ...fixtures.generated import generated_features, generated_rows
from . import child

QUICK = TrainingConfig(epochs=2, batch_size=16, lr=1e-2, device="cpu")
SMALL = seq_transformer.Config(layers=1)


@cache
def toy_features() -> dict[str, FeatureSet]:
    """Two splits of generated features, made when the first test asks for them."""
    return {
        "train": generated_features(videos=48, captions=2, turned=True, noise=0.3),
        "val": generated_features("val", videos=20, turned=True, noise=0.3, seed=1),
    }


def run(folder: Path, config: TrainingConfig = QUICK, **sets: FeatureSet) -> TrainingResult:
    return train("seq_transformer", SMALL, sets or toy_features(), config, folder)


def weights(folder: Path) -> bytes:
    return (folder / "head.safetensors").read_bytes()


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    return [{**line, "seconds": None, "training_seconds": None} for line in read_metrics(folder)]


def test_a_head_learns_what_zero_shot_cannot_know(tmp_path: Path) -> None:
    features = {
        "train": generated_features(videos=400, turned=True, noise=0.3, frames=(2, 4)),
        "val": generated_features("val", videos=50, turned=True, noise=0.3, frames=(2, 4), seed=1),
        "test": generated_features("test", videos=50, turned=True, noise=0.3, frames=(2, 4), seed=2),
    }
    reports: list[EpochReport] = []
    config = TrainingConfig(epochs=12, batch_size=64, lr=1e-2)
    result = train("seq_transformer", SMALL, features, config, tmp_path / "run", reports.append)
    shape = features["test"].shape()
    before = evaluate(mean_pool.Head(mean_pool.Config(), shape), features["test"]).ranks.t2v.recall(5)
    after = evaluate(result.head, features["test"]).ranks.t2v.recall(5)
    assert before < 20
    assert after > 80
    assert [report.epoch for report in reports] == list(range(1, 13))
    assert reports[-1].loss["total"] < reports[0].loss["total"] / 5


def test_the_best_epoch_of_the_validation_split_is_kept(tmp_path: Path) -> None:
    result = run(tmp_path / "run", dataclasses.replace(QUICK, epochs=4))
    lines = read_metrics(tmp_path / "run")
    scores = [line["val"]["t2v"]["recall_sum"] + line["val"]["v2t"]["recall_sum"] for line in lines]
    assert result.best_score == max(scores)
    assert result.best_epoch == scores.index(max(scores)) + 1
    head, record = load_run(tmp_path / "run")
    assert evaluate(head, toy_features()["val"]).score("recall_sum") == result.best_score
    assert (record.head, record.config) == ("seq_transformer", dataclasses.replace(QUICK, epochs=4))


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    result = run(tmp_path / "run", train=toy_features()["train"])
    assert (result.best_score, result.best_epoch) == (None, 2)
    assert read_metrics(tmp_path / "run")[0]["val"] is None


def test_the_test_split_is_never_looked_at(tmp_path: Path) -> None:
    run(tmp_path / "without")
    run(tmp_path / "with", QUICK, **toy_features(), test=generated_features(videos=3, dim=5))
    assert weights(tmp_path / "without") == weights(tmp_path / "with")


def test_same_seed_same_weights(tmp_path: Path) -> None:
    run(tmp_path / "a")
    torch.rand(3)
    run(tmp_path / "b")
    run(tmp_path / "c", dataclasses.replace(QUICK, seed=1))
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_training_leaves_the_random_numbers_of_others_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.heads.training.child", "train", str(tmp_path / "killed"), "wti"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], env=environment) as process:
        deadline = time.monotonic() + 120
        while len(read_metrics(tmp_path / "killed")) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert 2 <= len(read_metrics(tmp_path / "killed")) < child.CONFIG.epochs
    subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, check=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    child.run(tmp_path / "whole", "wti")
    torch.set_num_threads(threads)
    for name in ("head.safetensors", "resume.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert without_seconds(tmp_path / "killed") == without_seconds(tmp_path / "whole")


def test_a_run_from_before_a_setting_existed_goes_on(tmp_path: Path) -> None:
    first = run(tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    record = json.loads(file.read_text())
    assert record["training"].pop("hard_negatives") == 1
    file.write_text(json.dumps(record))
    assert run(tmp_path / "run").record() == first.record()
    with pytest.raises(UsageError, match=r"training\.hard_negatives is 1 there and 4 here"):
        run(tmp_path / "run", dataclasses.replace(QUICK, hard_negatives=4))


def test_a_run_from_before_a_setting_was_renamed_goes_on(tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK, hard_negatives=4)
    first = run(tmp_path / "run", config)
    file = tmp_path / "run" / "config.json"
    record = json.loads(file.read_text())
    record["training"]["alike"] = record["training"].pop("hard_negatives")
    file.write_text(json.dumps(record))
    assert load_run(tmp_path / "run")[1].config == config
    assert run(tmp_path / "run", config).record() == first.record()
    with pytest.raises(UsageError, match=r"training\.hard_negatives is 4 there and 1 here"):
        run(tmp_path / "run")


def test_a_run_keeps_the_loss_from_before_a_setting_changed_it(tmp_path: Path) -> None:
    config = hcmi.Config(layers=1, word_layers=0, clustering="uniform")
    train("hcmi", config, toy_features(), QUICK, tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    record = json.loads(file.read_text())
    assert record["head_config"].pop("level_weights") == [1.0, 1.0, 0.2]
    file.write_text(json.dumps(record))
    message = r"level_weights is \[1.0, 1.0, 1.0\] there and \[1.0, 1.0, 0.2\] here"
    with pytest.raises(UsageError, match=message):
        train("hcmi", config, toy_features(), QUICK, tmp_path / "run")
    as_before = dataclasses.replace(config, level_weights=(1.0, 1.0, 1.0))
    train("hcmi", as_before, toy_features(), QUICK, tmp_path / "run")


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = run(tmp_path / "run")
    reports: list[EpochReport] = []
    again = train("seq_transformer", SMALL, toy_features(), QUICK, tmp_path / "run", reports.append)
    assert reports == []
    assert again.record() == first.record()


def test_early_stopping(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=30, batch_size=16, lr=1e-9, patience=2, device="cpu")
    result = run(tmp_path / "run", config)
    assert (result.best_epoch, result.epochs) == (1, 3)
    assert run(tmp_path / "run", config).epochs == 3


def test_averaged_weights_are_what_is_kept(tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK, epochs=1, ema=0.99)
    averaged = run(tmp_path / "averaged", config).head
    last = run(tmp_path / "last", dataclasses.replace(config, ema=0.0)).head
    zero_at_the_start = "temporal.positions"
    moved = [float(head.state_dict()[zero_at_the_start].abs().mean()) for head in (averaged, last)]
    assert 0 < moved[0] < moved[1]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains(tmp_path: Path, precision: str) -> None:
    config = dataclasses.replace(QUICK, precision=precision)
    low, full = run(tmp_path / "low", config), run(tmp_path / "full")
    assert all(p.dtype == torch.float32 for p in low.head.parameters())
    losses = [read_metrics(result.folder)[-1]["loss"]["total"] for result in (low, full)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]


def test_logit_scale_is_the_encoders_or_what_was_asked_for(tmp_path: Path) -> None:
    usual, sharp = (
        run(tmp_path / "usual"),
        run(tmp_path / "sharp", dataclasses.replace(QUICK, logit_scale=7.0)),
    )
    assert usual.head.logit_scale == toy_features()["train"].origin.logit_scale
    assert sharp.head.logit_scale == 7
    assert load_run(tmp_path / "sharp")[0].logit_scale == 7
    assert weights(tmp_path / "usual") != weights(tmp_path / "sharp")


def test_train_fails_in_a_folder_of_another_run(tmp_path: Path) -> None:
    run(tmp_path / "run")
    before = weights(tmp_path / "run")
    with pytest.raises(UsageError, match=r"training.lr is 0.01 there and 0.002 here"):
        run(tmp_path / "run", dataclasses.replace(QUICK, lr=2e-3))
    with pytest.raises(UsageError, match=r"head_config.layers is 1 there and 2 here"):
        train("seq_transformer", seq_transformer.Config(layers=2), toy_features(), QUICK, tmp_path / "run")
    assert weights(tmp_path / "run") == before


def test_train_fails_when_the_loss_is_no_number(tmp_path: Path) -> None:
    videos, texts = generated_rows(videos=48, captions=2, turned=True)
    videos.frames[:, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"finite number at step 1 of epoch 1.*smaller lr.*tvr verify"):
        run(tmp_path / "run", train=FeatureSet(videos, texts))
    assert not (tmp_path / "run" / "head.safetensors").exists()


def test_a_run_that_diverges_keeps_its_last_good_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "good", dataclasses.replace(QUICK, epochs=1))
    original = seq_transformer.Head.encode_text
    calls = 0

    def overflowing(self: seq_transformer.Head, text: Any) -> Any:
        nonlocal calls
        calls += self.training
        encoded = original(self, text)
        return {name: tensor * float("inf") if calls > 4 else tensor for name, tensor in encoded.items()}

    monkeypatch.setattr(seq_transformer.Head, "encode_text", overflowing)
    with pytest.raises(TrainingError, match=r"step 2 of epoch 2"):
        run(tmp_path / "run")
    assert len(read_metrics(tmp_path / "run")) == 1
    assert (tmp_path / "run" / "head.safetensors").exists()
    monkeypatch.undo()
    run(tmp_path / "run")
    run(tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_train_fails_without_parameters(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'mean_pool' has no parameters"):
        train("mean_pool", mean_pool.Config(), toy_features(), QUICK, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_train_fails_without_a_negative(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two videos"):
        run(tmp_path / "run", train=generated_features(videos=1))


def test_load_run_fails_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        load_run(tmp_path)
    run(tmp_path / "run")
    (tmp_path / "run" / "head.safetensors").write_bytes(b"half a fi")
    with pytest.raises(TrainingError, match="does not fit head 'seq_transformer'"):
        load_run(tmp_path / "run")
    (tmp_path / "run" / "head.safetensors").unlink()
    with pytest.raises(TrainingError, match="first epoch is not finished"):
        load_run(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="not the record of a run"):
        load_run(tmp_path / "run")


COMPILED = """
import dataclasses, pathlib, sys, torch
from tests.heads.training import child
from tvr.heads import seq_transformer
from tvr.heads.training.loop import train

torch.set_num_threads(1)
for compiled in (False, True):
    config = dataclasses.replace(child.CONFIG, epochs=1, compile=compiled)
    folder = pathlib.Path(sys.argv[1]) / str(compiled)
    train("seq_transformer", seq_transformer.Config(layers=1), {"train": child.features("train")}, config, folder)
"""


@pytest.mark.slow
def test_a_compiled_training_learns_the_same(tmp_path: Path) -> None:
    """In a process of its own: compiled code cannot run through the tests' checks of every call."""
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", COMPILED, str(tmp_path)], cwd=root, check=True, timeout=300)
    losses = [read_metrics(tmp_path / str(compiled))[0]["loss"]["total"] for compiled in (False, True)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_cuda_graphs_fail_on_a_cpu(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cuda_graphs=true needs a GPU, and this trains on cpu"):
        run(tmp_path / "run", dataclasses.replace(QUICK, cuda_graphs=True))
