"""The share of right hits by score: steps that never fall, nearest to what was seen."""

import itertools

import numpy as np
import pytest
import torch
from tvr.heads import mean_pool
from tvr.heads.search.calibration import (
    FEWEST_QUERIES,
    HITS,
    Calibration,
    calibrated,
    isotonic,
    nothing_stands_out,
)
from tvr.heads.search.comparing import Usual

from ...fixtures.generated import generated_features


@pytest.mark.parametrize("seed", range(6))
def test_steps_are_the_nearest_that_never_fall(seed: int) -> None:
    """Against every way to cut seven hits into steps."""
    random = np.random.default_rng(seed)
    scores, right = random.permutation(7).astype(float), random.random(7) < 0.5
    starts, shares = isotonic(scores, right)
    assert all(np.diff(shares) > 0)
    seen = right[scores.argsort()].astype(float)
    found = shares[np.searchsorted(starts, np.sort(scores), side="right") - 1]
    errors: list[float] = []
    for cuts in itertools.product([0, 1], repeat=6):
        group = np.concatenate([[0], np.cumsum(cuts)])
        steps = np.array([seen[group == one].mean() for one in group])
        if all(np.diff(steps) >= 0):
            errors.append(float(((steps - seen) ** 2).sum()))
    assert float(((found - seen) ** 2).sum()) == pytest.approx(min(errors))


def test_equal_scores_are_one_step() -> None:
    starts, shares = isotonic(np.array([0.5, 0.5, 0.5, 0.5]), np.array([True, False, True, False]))
    assert (starts.tolist(), shares.tolist()) == ([0.5], [0.5])


def test_a_share_is_that_of_hits_of_such_a_score() -> None:
    features = generated_features(videos=60, noise=1.5, seed=1)
    head = mean_pool.Head(mean_pool.Config(), features.shape())
    found = calibrated(head, features)
    assert found is not None
    assert (found.queries, found.videos) == (60, 60)
    with torch.no_grad():
        encoded = head.encode_video(features.video_batch(torch.arange(60), head.shape.num_frames))
        texts = head.encode_text(features.text_batch(torch.arange(60), head.shape.num_words))
        best = head.similarity(texts, encoded).topk(HITS, dim=1)
    right = best.indices == torch.arange(60)[:, None]
    shares = np.array([found.share_right(score) for score in best.values.flatten().tolist()])
    assert shares.mean() == pytest.approx(float(right.float().mean())), (
        "over all hits it is the share of right ones"
    )
    assert found.share_right(-9.0) == shares.min()
    assert found.share_right(9.0) == shares.max()
    assert shares.max() > 0.5 > 0.1 > shares.min()


def test_of_few_captions_nothing_is_said() -> None:
    features = generated_features(videos=FEWEST_QUERIES - 1)
    assert calibrated(mean_pool.Head(mean_pool.Config(), features.shape()), features) is None


def test_a_hit_stands_out_by_what_was_measured_or_else_by_chance() -> None:
    measured = Calibration(np.array([0.1, 0.5]), np.array([0.02, 0.8]), 50, 50)
    usual = Usual(0.0, 0.1, 100)
    assert nothing_stands_out(0.6, None, measured) == ""
    assert "one in ten" in str(nothing_stands_out(0.2, usual, measured))
    assert nothing_stands_out(0.3, usual, None) == "", "0.13 of 100 items reach three deviations"
    assert "chance alone" in str(nothing_stands_out(0.2, usual, None)), "2.3 reach two"
    assert nothing_stands_out(0.2, None, None) is None
