"""Blocks of like length give what one block gives, and the same gradients."""

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap
from tvr.heads.layers import bucketing
from tvr.heads.layers.best_matches import Padding, best_matches


def in_blocks_of(monkeypatch: pytest.MonkeyPatch, texts: int) -> None:
    monkeypatch.setattr(bucketing, "MIN_TEXTS", texts)
    monkeypatch.setattr(bucketing, "NUMBERS_AT_A_TIME", 1)


def parts() -> tuple[Tensor, Tensor, Padding]:
    """Words and frames of nine texts and videos of all lengths."""
    generator = torch.Generator().manual_seed(0)
    words, frames = (torch.randn(9, count, 4, generator=generator, dtype=torch.float64) for count in (7, 5))
    said = torch.arange(7) < torch.randint(2, 8, (9, 1), generator=generator)
    said[:, 0] = False
    return words, frames, Padding(said, torch.arange(5) < torch.randint(1, 6, (9, 1), generator=generator))


def found(monkeypatch: pytest.MonkeyPatch, texts_at_a_time: int) -> tuple[Tensor, ...]:
    in_blocks_of(monkeypatch, texts_at_a_time)
    words, frames, padding = parts()
    best = best_matches(words.requires_grad_(), frames.requires_grad_(), padding)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(some.shape, generator=generator, dtype=torch.float64) for some in best]
    torch.stack([(one * other).sum() for one, other in zip(best, weights, strict=True)]).sum().backward()
    assert words.grad is not None and frames.grad is not None
    return *(some.detach() for some in best), words.grad, frames.grad


@pytest.mark.parametrize("texts_at_a_time", [1, 2, 4])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, texts_at_a_time: int) -> None:
    whole = found(monkeypatch, 9)
    for one, other in zip(whole, found(monkeypatch, texts_at_a_time), strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)
    assert all(bool(tensor.isfinite().all()) for tensor in whole)


@pytest.mark.filterwarnings(
    "ignore:There is a performance drop"
)  # of vmap, where a scatter has no rule of its own
@pytest.mark.parametrize("texts_at_a_time", [2, 9])
def test_gradients_of_several_heads_at_once(monkeypatch: pytest.MonkeyPatch, texts_at_a_time: int) -> None:
    """The words pass through weights, the frames do not, as in wti without a transformer over either."""
    in_blocks_of(monkeypatch, texts_at_a_time)
    words, frames, padding = parts()
    weights = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def total(weight: Tensor) -> Tensor:
        best = best_matches(words @ weight, frames, padding)
        return best.of_frames.square().sum() + best.of_words.square().sum()

    together = vmap(grad(total))(weights)
    for weight, gradient in zip(weights, together, strict=True):
        torch.testing.assert_close(grad(total)(weight), gradient)


def test_a_text_without_words_matches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    in_blocks_of(monkeypatch, 1)
    words, frames, padding = parts()
    padding.words[3] = False
    best = best_matches(words.requires_grad_(), frames, padding)
    assert (best.of_words[:, 3] == 0).all()


def test_half_precision_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    words, frames, padding = parts()
    answers: list[tuple[Tensor, ...]] = []
    for texts_at_a_time in (2, 9):
        in_blocks_of(monkeypatch, texts_at_a_time)
        some = words.float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            best = best_matches(some, frames.float(), padding)
        assert best.of_words.dtype == torch.bfloat16
        (best.of_words.sum() + best.of_frames.sum()).backward()
        assert some.grad is not None and some.grad.dtype == torch.float32
        answers.append((best.of_words.detach(), some.grad))
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0.02)
