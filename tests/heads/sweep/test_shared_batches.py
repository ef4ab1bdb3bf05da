"""How often trainings that take turns draw an epoch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tvr.heads import seq_transformer
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.sweep import shared_batches
from tvr.heads.sweep.shared_batches import SharedBatches, take_turns
from tvr.heads.training.loop import training

from ...fixtures.generated import generated_features


def epochs_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seeds: tuple[int, ...]) -> list[int]:
    """The epochs that trainings with these seeds draw between them."""
    drawn: list[int] = []
    original = shared_batches.epoch_of_batches

    def counted(features: Any, head: Any, config: Any, epoch: int, processes: Any) -> Iterator[Any]:
        drawn.append(epoch)
        return original(features, head, config, epoch, processes)

    monkeypatch.setattr(shared_batches, "epoch_of_batches", counted)
    features = {"train": generated_features(videos=48, captions=2)}
    batches = SharedBatches()
    trainings = {
        place: training(
            "seq_transformer",
            seq_transformer.Config(layers=1),
            features,
            TrainingConfig(epochs=2, batch_size=16, lr=1e-3 * (place + 1), seed=seed, device="cpu"),
            tmp_path / str(place),
            batches,
        )
        for place, seed in enumerate(seeds)
    }
    ended = dict(take_turns(trainings, torch.device("cpu")))
    assert ended == dict.fromkeys(range(len(seeds)))
    return drawn


def test_three_trainings_of_two_epochs_draw_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert epochs_drawn(monkeypatch, tmp_path, (0, 0, 0)) == [0, 1]


def test_other_seeds_draw_for_themselves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert epochs_drawn(monkeypatch, tmp_path, (0, 1)) == [0, 0, 1, 1]
