"""Blocks of like length give what one block gives, and the same gradients."""

import pytest
import torch
from torch import Tensor
from tvr.heads.layers import like_lengths
from tvr.heads.layers.best_matches import Padding, best_matches


def found(monkeypatch: pytest.MonkeyPatch, texts_at_a_time: int, masked: bool) -> tuple[Tensor, ...]:
    monkeypatch.setattr(like_lengths, "FEWEST_TEXTS", texts_at_a_time)
    monkeypatch.setattr(like_lengths, "NUMBERS_AT_A_TIME", 1)
    generator = torch.Generator().manual_seed(0)
    words, frames = (
        torch.randn(9, parts, 4, generator=generator, dtype=torch.float64).requires_grad_()
        for parts in (7, 5)
    )
    lengths = torch.randint(2, 8, (9, 1), generator=generator)
    mask = torch.arange(7) < lengths
    mask[:, 0] = False
    shown = torch.arange(5) < torch.randint(1, 6, (9, 1), generator=generator)
    best = best_matches(words, frames, Padding(mask, shown) if masked else None)
    weights = [torch.randn(some.shape, generator=generator, dtype=torch.float64) for some in best]
    sum((one * other).sum() for one, other in zip(best, weights, strict=True)).backward()  # type: ignore[union-attr]
    assert words.grad is not None and frames.grad is not None
    return *(some.detach() for some in best), words.grad, frames.grad


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("texts_at_a_time", [1, 2, 4])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, texts_at_a_time: int, masked: bool) -> None:
    whole = found(monkeypatch, 9, masked)
    for one, other in zip(whole, found(monkeypatch, texts_at_a_time, masked), strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)
    assert all(bool(tensor.isfinite().all()) for tensor in whole)
