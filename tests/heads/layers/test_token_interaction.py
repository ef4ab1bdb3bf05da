"""Token interaction against plain loops."""

from dataclasses import replace

import pytest
import torch
from tvr.heads.layers.padding import l2_normalise
from tvr.heads.layers.token_interaction import (
    TokenWeights,
    WeightedTokens,
    token_interaction,
    uniform_weights,
)


def tokens(items: int, parts: int, seed: int) -> WeightedTokens:
    generator = torch.Generator().manual_seed(seed)
    vectors = l2_normalise(torch.randn(items, parts, 5, generator=generator, dtype=torch.float64))
    mask = torch.arange(parts) < torch.randint(1, parts + 1, (items, 1), generator=generator)
    weights = torch.rand(items, parts, generator=generator, dtype=torch.float64) * mask
    return WeightedTokens(vectors, weights / weights.sum(1, keepdim=True), mask)


def best(one: WeightedTokens, other: WeightedTokens, i: int, j: int, masked: bool) -> float:
    """Weighted mean over the parts of item i of their best part of item j."""
    total = 0.0
    for part in range(one.mask.shape[1]):
        if not one.mask[i, part]:
            continue
        found = []
        for candidate in range(other.mask.shape[1]):
            cosine = float(one.vectors[i, part] @ other.vectors[j, candidate])
            if other.mask[j, candidate]:
                found.append(cosine)
            elif not masked:
                found.append(0.0)
        total += float(one.weights[i, part]) * max(found)
    return total


@pytest.mark.parametrize("masked", [True, False])
def test_by_loops(masked: bool) -> None:
    words, frames = tokens(4, 6, 0), tokens(5, 3, 1)
    found = token_interaction(words, frames, masked=masked)
    for text in range(4):
        for video in range(5):
            wanted = (best(words, frames, text, video, masked) + best(frames, words, video, text, masked)) / 2
            assert found[text, video].item() == pytest.approx(wanted, abs=1e-12)


def test_released_masking_differs_where_all_cosines_are_negative() -> None:
    words = WeightedTokens(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool))
    away = torch.tensor([[[-1.0, 0.0], [0.0, 0.0]]])
    frames = WeightedTokens(away, torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]]))
    assert token_interaction(words, frames).item() == -1
    assert token_interaction(words, frames, masked=False).item() == -0.5


def test_weights_start_uniform_or_at_the_last() -> None:
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    parts = torch.randn(2, 4, 6)
    uniform = uniform_weights(mask, parts)
    torch.testing.assert_close(uniform, torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0], [1, 0, 0, 0]]))
    torch.testing.assert_close(TokenWeights(6, 6)(parts, mask), uniform, atol=1e-2, rtol=0)
    last = TokenWeights(6, 6, favour_last=True)(parts, mask)
    assert last[0, 2] > 0.9 and last[1, 0] == 1 and last[0, 3] == 0


def test_gradients_go_to_the_winners() -> None:
    words, frames = tokens(4, 6, 0), tokens(5, 3, 1)
    words, frames = (replace(some, vectors=some.vectors.requires_grad_()) for some in (words, frames))
    assert torch.autograd.gradcheck(
        lambda one, other: token_interaction(replace(words, vectors=one), replace(frames, vectors=other)),
        (words.vectors, frames.vectors),
    )


def test_padding_gets_no_gradient() -> None:
    words, frames = tokens(4, 6, 0), tokens(5, 3, 1)
    words = replace(words, vectors=words.vectors.requires_grad_())
    token_interaction(words, frames).sum().backward()
    assert words.vectors.grad is not None
    assert (words.vectors.grad[~words.mask] == 0).all()
    assert (words.vectors.grad[words.mask] != 0).any()
