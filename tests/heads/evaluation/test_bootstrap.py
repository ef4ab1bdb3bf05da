import numpy as np
import pytest
from tvr.heads.evaluation.bootstrap import bootstrap_intervals
from tvr.heads.evaluation.ranks import RECALLS, Ranks


def ranks_of(ahead: list[int], videos: list[int] | None = None) -> Ranks:
    zeros = np.zeros(len(ahead), np.int64)
    owners = np.arange(len(ahead)) if videos is None else np.array(videos)
    return Ranks(np.array(ahead), zeros, zeros + 1, 1000, owners)


def test_intervals_equal_loops() -> None:
    random = np.random.default_rng(3)
    ahead = random.integers(0, 40, 30)
    videos = np.sort(random.integers(0, 12, 30))
    found = bootstrap_intervals(ranks_of(ahead.tolist(), videos.tolist()), resamples=200, seed=5)
    names = np.unique(videos)
    draws = np.random.default_rng(5)
    samples = []
    for counts in np.concatenate(
        [draws.multinomial(len(names), [1 / len(names)] * len(names), 100) for _ in "ab"]
    ):
        drawn = np.concatenate(
            [
                np.repeat(1 + ahead[videos == v], 1)
                for v, c in zip(names, counts, strict=True)
                for _ in range(c)
            ]
        )
        samples.append([100 * (drawn <= k).mean() for k in RECALLS] + [np.median(drawn), drawn.mean()])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    assert list(found.values()) == [pytest.approx(pair) for pair in zip(low, high, strict=True)]


def test_interval_covers_what_theory_says() -> None:
    """R@1 of 1,000 independent queries at 50 %: a deviation of 1.58 points."""
    low, high = bootstrap_intervals(ranks_of([0, 9] * 500))["R@1"]
    assert low == pytest.approx(50 - 1.96 * 1.58, abs=0.5)
    assert high == pytest.approx(50 + 1.96 * 1.58, abs=0.5)


def test_captions_of_one_video_are_not_independent() -> None:
    alone = bootstrap_intervals(ranks_of([0, 9] * 500))["R@1"]
    by_video = bootstrap_intervals(ranks_of([0] * 10 + [9] * 10, [0] * 10 + [1] * 10))["R@1"]
    together = bootstrap_intervals(
        ranks_of(([0] * 10 + [9] * 10) * 50, np.repeat(np.arange(100), 10).tolist())
    )["R@1"]
    assert by_video == (0, 100)
    assert together[1] - together[0] > 2.5 * (alone[1] - alone[0])


def test_a_perfect_head_has_no_doubt() -> None:
    assert bootstrap_intervals(ranks_of([0] * 50))["MnR"] == (1, 1)
