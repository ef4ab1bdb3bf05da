"""hbi by its parts: the levels, the loss, the size of the paper."""

from typing import Any

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.hbi import LEVELS, Config, Head
from tvr.heads.layers.losses import ranking_divergence, symmetric_info_nce
from tvr.heads.layers.token_interaction import WeightedTokens, token_interaction

SHAPE = FeatureShape(dim=8, num_frames=12, num_words=10)
WORDS, FRAMES = torch.randn(5, 10, 8), torch.randn(5, 12, 8)
TEXTS = TextFeatures(WORDS, torch.arange(10) < torch.tensor([[10], [9], [6], [3], [1]]), WORDS[:, 0])
VIDEOS = VideoFeatures(FRAMES, torch.arange(12) < torch.tensor([[12], [5], [8], [3], [1]]))


def levels(head: Head) -> dict[str, torch.Tensor]:
    encoded = head.encode_text(TEXTS), head.encode_video(VIDEOS)
    return {
        level: token_interaction(
            *(WeightedTokens(e[level], e[f"{level}_weights"], e[f"{level}_mask"]) for e in encoded)
        )
        for level in LEVELS
    }


@pytest.mark.parametrize("rates", [(1.0, 0.0, 0.0), (2.0, 1.0, 1.0), (0.0, 0.0, 3.0)])
def test_similarity_is_the_mean_of_the_levels(rates: tuple[float, ...]) -> None:
    head = Head(Config(layers=0, rates=rates), SHAPE)
    found = head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS))
    wanted = sum(rate * value for rate, value in zip(rates, levels(head).values(), strict=True)) / sum(rates)
    torch.testing.assert_close(found, wanted)


def test_loss_is_that_of_every_level_and_their_divergence() -> None:
    head = Head(Config(layers=0, divergence=0.5), SHAPE)
    same = torch.eye(5, dtype=torch.bool)
    found = head.loss(head.encode_text(TEXTS), [head.encode_video(VIDEOS)], same)
    by_level = levels(head)
    wanted = sum(symmetric_info_nce(100 * scores, same) for scores in by_level.values())
    for level in ("action", "event"):
        wanted = wanted + 0.5 * ranking_divergence(by_level[level], by_level["entity"])
    torch.testing.assert_close(found["total"], wanted)


def test_parameters_are_those_of_the_paper_without_biases_that_change_nothing() -> None:
    head = Head(Config(layers=0, from_sentence=False), FeatureShape(512, 12, 24))
    expected = (7_358_468 - 4) + (3_158_022 - 6)
    assert sum(parameter.numel() for parameter in head.parameters()) == expected


def test_clusters_of_the_paper() -> None:
    head = Head(Config(layers=0), FeatureShape(8, 64, 24))
    video = head.encode_video(VideoFeatures(torch.randn(1, 64, 8), torch.ones(1, 64, dtype=torch.bool)))
    assert [video[level].shape[1] for level in LEVELS] == [64, 16, 8]


@pytest.mark.parametrize(
    "settings",
    [
        {"action_ratio": 0.0},
        {"event_ratio": 1.5},
        {"neighbours": 0},
        {"rates": (0.0, 0.0, 0.0)},
        {"rates": (1.0,)},
    ],
)
def test_impossible_settings_fail(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"must be"):
        Config(**settings)
