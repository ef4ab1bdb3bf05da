"""The channel decorrelation loss against plain loops."""

import statistics

import pytest
import torch
from torch import Tensor
from tvr.heads.layers.channel_correlation import channel_correlation_loss
from tvr.heads.layers.padding import l2_normalise
from tvr.heads.layers.token_interaction import WeightedTokens, uniform_weights

DIM = 3


def tokens(lengths: list[int], seed: int) -> WeightedTokens:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    vectors = l2_normalise(torch.randn(*mask.shape, DIM, generator=generator, dtype=torch.float64))
    return WeightedTokens(vectors, uniform_weights(mask, vectors), mask)


def correlation(one: WeightedTokens, other: WeightedTokens) -> list[list[float]]:
    """Of every real part with its best part of the same item, each channel standardised over all of them."""
    own: list[Tensor] = []
    partner: list[Tensor] = []
    weights: list[float] = []
    for item in range(len(one.mask)):
        for part in range(int(one.mask[item].sum())):
            vector = one.vectors[item, part]
            count = int(other.mask[item].sum())
            chosen = max(range(count), key=lambda c: float(vector @ other.vectors[item, c]))
            own.append(vector)
            partner.append(other.vectors[item, chosen])
            weights.append(float(one.weights[item, part]))

    def standardised(vectors: list[Tensor], channel: int) -> list[float]:
        values = [float(vector[channel]) for vector in vectors]
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        # A channel that never changes, but for rounding.
        return [(value - mean) / deviation if deviation > 1e-14 else 0.0 for value in values]

    a, b = ([standardised(vectors, c) for c in range(DIM)] for vectors in (own, partner))

    def mean(i: int, j: int) -> float:
        return sum(w * x * y for w, x, y in zip(weights, a[i], b[j], strict=True)) / len(one.mask)

    return [[mean(i, j) for j in range(DIM)] for i in range(DIM)]


@pytest.mark.parametrize(("diagonal", "off_diagonal"), [(0.11, 0.0), (0.5, 0.06)])
def test_by_loops(diagonal: float, off_diagonal: float) -> None:
    assert_as_by_loops(tokens([3, 1, 4, 2], 0), tokens([2, 5, 1, 3], 1), diagonal, off_diagonal)


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_channel_that_never_changes_correlates_with_nothing(value: float) -> None:
    """0.1 has no exact mean: what is left of it is rounding, and no deviation."""
    words, frames = tokens([3, 1, 4, 2], 0), tokens([2, 5, 1, 3], 1)
    words.vectors[..., 1], frames.vectors[..., 1] = value, value
    assert_as_by_loops(words, frames, 0.5, 0.06)


def test_one_word_and_one_frame_in_total_correlate_with_nothing() -> None:
    found = channel_correlation_loss(tokens([1], 0), tokens([1], 1), diagonal=0.5, off_diagonal=0.06)
    assert found.item() == 0.5 * DIM


def assert_as_by_loops(
    words: WeightedTokens, frames: WeightedTokens, diagonal: float, off_diagonal: float
) -> None:
    of_words, of_frames = correlation(words, frames), correlation(frames, words)
    wanted = 0.0
    for i in range(DIM):
        for j in range(DIM):
            value = (of_words[i][j] + of_frames[i][j]) / 2
            wanted += diagonal * (value - 1) ** 2 if i == j else off_diagonal * value**2
    found = channel_correlation_loss(words, frames, diagonal=diagonal, off_diagonal=off_diagonal)
    assert found.item() == pytest.approx(wanted, rel=1e-10)
