"""How far a figure would move if other queries had been asked: bootstrap intervals."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from .ranks import RECALLS, Ranks

RESAMPLES = 1000
_RESAMPLES_AT_ONCE = 100


def bootstrap_intervals(
    ranks: Ranks, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % intervals of every figure, by name.

    Videos are drawn with replacement, each with all its queries: captions of one video succeed and fail together,
    so drawing queries one by one would promise too much. The candidates stay as they are.

    Source: percentile bootstrap over clusters, Efron and Tibshirani 1993, chapters 8 and 13.
    """
    names = [f"R@{k}" for k in RECALLS] + ["MdR", "MnR"]
    drawn = np.concatenate(list(_figures(ranks, resamples, np.random.default_rng(seed))))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def _figures(
    ranks: Ranks, resamples: int, random: np.random.Generator
) -> Iterator[Float[np.ndarray, "resample figure"]]:
    order = np.argsort(ranks.ranks, kind="stable")
    ranked = ranks.ranks[order]
    _, cluster = np.unique(ranks.query_video[order], return_inverse=True)
    clusters = int(cluster.max()) + 1
    hits = np.stack([ranks.hits(k)[order] for k in RECALLS], axis=1)
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        draws = random.multinomial(
            clusters, [1 / clusters] * clusters, min(_RESAMPLES_AT_ONCE, resamples - start)
        )
        weights = draws[:, cluster]  # how often each query is drawn
        total = weights.sum(axis=1, keepdims=True)
        recalls = 100 * (weights @ hits) / total
        means = (weights @ ranked)[:, None] / total
        yield np.concatenate([recalls, _medians(ranked, weights)[:, None], means], axis=1)


def _medians(
    ranked: Float[np.ndarray, " query"], weights: Int[np.ndarray, "resample query"]
) -> Float[np.ndarray, " resample"]:
    """The median of sorted values of which each is there ``weights`` times."""
    until = np.cumsum(weights, axis=1)
    total = until[:, -1:]
    lower = (until <= (total - 1) // 2).sum(axis=1)
    upper = (until <= total // 2).sum(axis=1)
    return (ranked[lower] + ranked[upper]) / 2
