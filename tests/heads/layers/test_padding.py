"""Operations over real parts."""

import pytest
import torch
from tvr.heads.layers import padding

MASK = torch.tensor([[True, True, False], [False, True, False], [True, True, True]])
PARTS = torch.arange(1.0, 19.0).view(3, 3, 2)


def test_zero_padding_removes_even_nan() -> None:
    rubbish = PARTS.masked_fill(~MASK[..., None], float("nan"))
    assert torch.equal(padding.zero_padding(rubbish, MASK), PARTS * MASK[..., None])


def test_repeat_first() -> None:
    found = padding.repeat_first(PARTS, MASK)
    assert torch.equal(found[0, 2], PARTS[0, 0]) and torch.equal(found[1, 0], PARTS[1, 1])
    assert torch.equal(found[2], PARTS[2])
    assert torch.equal(found[MASK], PARTS[MASK])


def test_masked_mean() -> None:
    wanted = torch.stack([PARTS[0, :2].mean(0), PARTS[1, 1], PARTS[2].mean(0)])
    torch.testing.assert_close(padding.masked_mean(PARTS, MASK), wanted)


def test_masked_softmax() -> None:
    found = padding.masked_softmax(torch.zeros(3, 3), MASK)
    assert found.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [pytest.approx(1 / 3)] * 3]


def test_last_real_and_without_start() -> None:
    assert padding.last_real(MASK).tolist() == [1, 1, 2]
    only = torch.tensor([[True, False], [True, True]])
    assert padding.without_start(only).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_unit_keeps_zero_finite(dtype: torch.dtype) -> None:
    vectors = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=dtype)
    found = padding.l2_normalise(vectors)
    assert found.dtype == dtype
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.6, 0.8]], dtype=dtype))
