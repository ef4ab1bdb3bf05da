"""How blocks are cut."""

import pytest
import torch
from tvr.heads.base import Encoded, FeatureShape, Head
from tvr.heads.evaluation.blockwise import block_shape, similarity_in_blocks


@pytest.mark.parametrize("pairs", [1, 2, 7, 100, 5000, 10**6])
@pytest.mark.parametrize(("texts", "videos"), [(1, 1), (1000, 3), (3, 1000), (70, 90)])
def test_blocks_are_bounded_and_as_large_as_they_may_be(texts: int, videos: int, pairs: int) -> None:
    rows, columns = block_shape(texts, videos, pairs)
    assert 1 <= rows <= texts and 1 <= columns <= videos and rows * columns <= pairs
    assert rows * columns > min(pairs, texts * videos) / 2


class Counting(Head):
    """Remembers the blocks it was asked for."""

    def __init__(self) -> None:
        super().__init__(FeatureShape(1, 1, 1))
        self.asked: list[tuple[int, int]] = []

    def similarity(self, text: Encoded, video: Encoded) -> torch.Tensor:
        self.asked.append((len(text["t"]), len(video["v"])))
        return text["t"][:, None] - video["v"]

    def numbers_per_pair(self) -> int:
        return 10


def test_every_pair_once_without_gradient() -> None:
    head = Counting()
    text = torch.randn(13, requires_grad=True)
    video = torch.randn(29)
    found = similarity_in_blocks(head, {"t": text}, {"v": video}, max_numbers=400)
    assert torch.equal(found, text.detach()[:, None] - video) and not found.requires_grad
    assert max(rows * columns for rows, columns in head.asked) <= 40
    assert sum(rows * columns for rows, columns in head.asked) == 13 * 29
