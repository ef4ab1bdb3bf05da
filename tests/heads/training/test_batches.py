from functools import cache

import pytest
import torch
from tvr.heads import hcmi
from tvr.heads.base import build_head
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.batches import batches_per_epoch, epoch_batches, epoch_of_batches
from tvr.heads.training.distributed import Distributed
from tvr.heads.training.state import TrainingState

from ...fixtures.generated import generated_features


@cache
def toy_features() -> FeatureSet:
    """Generated features, made when the first test asks for them."""
    return generated_features(videos=21, captions=3)


def texts_of(config: TrainingConfig, epoch: int) -> list[int]:
    return torch.cat([pairs.texts for pairs in epoch_batches(toy_features(), config, epoch)]).tolist()


def test_one_caption_of_each_video() -> None:
    config = TrainingConfig(batch_size=7)
    seen = texts_of(config, 0)
    assert sorted(toy_features().text_video[seen].tolist()) == list(range(21))
    assert {text for epoch in range(30) for text in texts_of(config, epoch)} == set(range(63))


def test_every_caption_once() -> None:
    assert sorted(texts_of(TrainingConfig(batch_size=9, captions="all"), 4)) == list(range(63))


def test_pairs_belong_together() -> None:
    for pairs in epoch_batches(toy_features(), TrainingConfig(batch_size=5, captions="all"), 0):
        assert toy_features().text_video[pairs.texts].tolist() == pairs.videos.tolist()
        assert len(pairs.texts) == 5


def test_same_seed_same_batches() -> None:
    config = TrainingConfig(batch_size=7)
    assert texts_of(config, 3) == texts_of(config, 3)
    assert texts_of(config, 3) != texts_of(config, 4)
    assert texts_of(config, 3) != texts_of(TrainingConfig(batch_size=7, seed=1), 3)


def test_incomplete_batches_are_left_out_unless_there_is_no_other() -> None:
    assert batches_per_epoch(toy_features(), TrainingConfig(batch_size=10)) == 2
    small = list(epoch_batches(toy_features(), TrainingConfig(batch_size=64), 0))
    assert [len(pairs.texts) for pairs in small] == [21]


@pytest.mark.parametrize(("num_frames", "draws"), [(9, 1), (4, 2)])
def test_a_view_is_drawn_once_where_videos_are_shown_whole(num_frames: int, draws: int) -> None:
    assert toy_features().frames.longest == 9
    head = build_head("hcmi", hcmi.Config(), toy_features().shape(num_frames=num_frames))
    config = TrainingConfig(batch_size=7, num_frames=num_frames)
    for batch in epoch_of_batches(toy_features(), head, config, 0, Distributed()):
        assert len(batch.views) == draws
        if draws == 2:
            assert not torch.equal(batch.views[0].frames, batch.views[1].frames)
        assert TrainingState(head, config, 3).loss(batch, Distributed())["total"].isfinite()
