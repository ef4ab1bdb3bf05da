import dataclasses
from functools import cache

import pytest
import torch
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.layers.padding import l2_normalise
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training import neighbours
from tvr.heads.training.batches import batches_per_epoch, epoch_batches
from tvr.heads.training.neighbours import hard_negative_groups, nearest_videos

from ...fixtures.generated import generated_features, generated_rows


@cache
def toy_features() -> FeatureSet:
    """Generated features, made when the first test asks for them."""
    return generated_features(videos=40, captions=2)


@cache
def directions(item: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a toy video's frames and of its captions: that of the sum of theirs."""
    features = toy_features()
    frames = features.video_batch(torch.tensor([item]), 9).frames[0]
    captions = features.text_batch((features.text_video == item).nonzero().flatten(), 8).sentence
    return l2_normalise(l2_normalise(frames).sum(0)[None])[0], l2_normalise(
        l2_normalise(captions).sum(0)[None]
    )[0]


def cosine(i: int, j: int) -> float:
    """Of the mean frames, plus that of the mean captions."""
    return float(sum(one @ other for one, other in zip(directions(i), directions(j), strict=True)))


@pytest.mark.parametrize("at_a_time", [1024, 7])
def test_nearest_videos_by_loops(at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "VIDEOS_AT_A_TIME", at_a_time)
    monkeypatch.setattr(neighbours, "ROWS_AT_A_TIME", at_a_time)
    found = nearest_videos(toy_features())
    assert found.shape == (40, 16)
    for i in range(40):
        wanted = sorted((j for j in range(40) if j != i), key=lambda j: -cosine(i, j))
        assert found[i].tolist() == wanted[:16]


def test_groups_hold_every_text_once_and_neighbours_together() -> None:
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    groups = [group.tolist() for group in hard_negative_groups(toy_features(), order, 4)]
    assert sorted(text for group in groups for text in group) == list(range(80))
    assert max(len(group) for group in groups) == 4
    near = nearest_videos(toy_features()).tolist()
    for group in groups:
        first, *others = toy_features().text_video[group].tolist()
        assert len({first, *others}) == len(group)
        assert all(other in near[first] for other in others)
    assert (
        groups[0][1:]
        and toy_features().text_video[groups[0][1]] == near[toy_features().text_video[groups[0][0]]][0]
    )


@pytest.mark.parametrize("captions", ["sample", "all"])
def test_batches_of_the_alike_are_alike(captions: str) -> None:
    near = nearest_videos(toy_features())

    def pairs_of_neighbours(hard_negatives: int) -> float:
        config = TrainingConfig(batch_size=8, captions=captions, hard_negatives=hard_negatives)  # type: ignore[arg-type]
        batches = list(epoch_batches(toy_features(), config, 0))
        assert len(batches) == batches_per_epoch(toy_features(), config)
        texts = torch.cat([batch.texts for batch in batches]).tolist()
        assert len(set(texts)) == len(texts)
        in_batch = [torch.isin(near[batch.videos, :3], batch.videos).float().mean() for batch in batches]
        return float(torch.stack(in_batch).mean())

    assert pairs_of_neighbours(4) > 1.5 * pairs_of_neighbours(1)


def test_the_same_seed_gives_the_same_groups() -> None:
    def texts(seed: int) -> list[int]:
        config = TrainingConfig(batch_size=8, hard_negatives=4, seed=seed)
        return torch.cat([batch.texts for batch in epoch_batches(toy_features(), config, 1)]).tolist()

    assert texts(0) == texts(0) != texts(1)


def test_a_set_smaller_than_its_neighbourhood() -> None:
    few = generated_features(videos=3)
    assert nearest_videos(few).shape == (3, 2)
    assert sorted(torch.cat(list(hard_negative_groups(few, torch.arange(3), 4))).tolist()) == [0, 1, 2]


def test_videos_without_a_caption_are_nobodys_neighbours() -> None:
    videos, texts = generated_rows(videos=20)
    some = FeatureSet(videos, dataclasses.replace(texts, video_ids=texts.video_ids[:10] * 2))
    assert (some.captions_per_video == 0).sum() == 10
    assert set(nearest_videos(some)[:, :9].flatten().tolist()) == set(range(10))


def test_a_search_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    some = generated_features(videos=12)
    first = list(hard_negative_groups(some, torch.arange(12), 3))
    monkeypatch.setattr(neighbours, "nearest_videos", None)
    again = list(hard_negative_groups(some.placed_on("cpu"), torch.arange(12), 3))
    assert [group.tolist() for group in first] == [group.tolist() for group in again]
