import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tvr.data.contracts.errors import UsageError
from tvr.heads import seq_transformer
from tvr.heads.runs.run_folder import read_metrics
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.loop import train
from tvr.heads.training.metric_loggers import curve_points

from ...fixtures.generated import generated_features

CONFIG = TrainingConfig(epochs=2, batch_size=16, device="cpu")
FEATURES = {"train": generated_features(videos=32), "val": generated_features("val", videos=9, seed=1)}


def run(folder: Path, config: TrainingConfig = CONFIG) -> None:
    train("seq_transformer", seq_transformer.Config(layers=1), FEATURES, config, folder)


def test_curves_are_the_metrics(tmp_path: Path) -> None:
    run(tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    for name, value in curve_points(read_metrics(tmp_path / "run")[1]):
        point = events.Scalars(name)[-1]
        assert (point.step, point.value) == (2, pytest.approx(value, rel=1e-6))
    assert {"loss/total", "val/t2v/R@1", "val/v2t/MnR", "seconds"} <= set(events.Tags()["scalars"])


def test_curve_points_leave_out_what_is_no_number() -> None:
    line = {"epoch": 3, "is_best": True, "val": {"split": "val", "t2v": {"R@1": 5}}, "loss": {"total": 0.5}}
    assert dict(curve_points(line)) == {"val/t2v/R@1": 5.0, "loss/total": 0.5}
    assert dict(curve_points({"val": None})) == {}


def test_weights_and_biases_hears_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    def init(**settings: Any) -> SimpleNamespace:
        heard.append(settings)
        return SimpleNamespace(
            log=lambda points, step: heard.append((step, points)),
            finish=lambda exit_code: heard.append(exit_code),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    run(tmp_path / "run", dataclasses.replace(CONFIG, wandb="retrieval"))
    assert (heard[0]["project"], heard[0]["name"], heard[0]["config"]["head"]) == (
        "retrieval",
        "run",
        "seq_transformer",
    )
    assert [entry[0] for entry in heard[1:3]] == [1, 2]
    assert heard[2][1] == dict(curve_points(read_metrics(tmp_path / "run")[1]))
    assert heard[3] == 0


def test_weights_and_biases_fails_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match=r"pip install 'tvr\[wandb\]'"):
        run(tmp_path / "run", dataclasses.replace(CONFIG, wandb="retrieval"))
