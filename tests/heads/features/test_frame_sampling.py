import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tvr.heads.features.frame_sampling import segment_random, uniform

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 20))
def test_uniform_is_an_even_spread(lengths: list[int], num_frames: int) -> None:
    positions, mask = uniform(torch.tensor(lengths), num_frames)
    for row, real, length in zip(positions, mask, lengths, strict=True):
        count = min(length, num_frames)
        expected = [k * (length - 1) // max(1, num_frames - 1) for k in range(count)]
        expected = list(range(length)) if length <= num_frames else expected
        assert row[real].tolist() == expected
        assert int(real.sum()) == count
        assert int(row.max()) < length


def test_uniform_equals_linspace() -> None:
    """The released code rounds ``np.linspace`` down, which floats get right for these."""
    for length, num_frames in ((24, 12), (30, 12), (100, 64), (13, 12), (65, 64)):
        positions, _ = uniform(torch.tensor([length]), num_frames)
        assert positions[0].tolist() == np.linspace(0, length - 1, num_frames, dtype=int).tolist()


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 20), st.integers(0, 9))
def test_one_frame_of_each_segment(lengths: list[int], num_frames: int, seed: int) -> None:
    positions, mask = segment_random(torch.tensor(lengths), num_frames, seeded(seed))
    for row, real, length in zip(positions, mask, lengths, strict=True):
        if length <= num_frames:
            assert row[real].tolist() == list(range(length))
            continue
        for k, position in enumerate(row.tolist()):
            assert k * length // num_frames <= position < (k + 1) * length // num_frames


def test_every_frame_of_a_segment_comes_up() -> None:
    lengths = torch.full((4000,), 9)
    positions, _ = segment_random(lengths, 3, seeded(0))
    for k in range(3):
        shares = torch.bincount(positions[:, k], minlength=9)[3 * k : 3 * k + 3] / 4000
        assert bool(((shares - 1 / 3).abs() < 0.04).all())


def test_views_differ_and_repeat() -> None:
    lengths = torch.tensor([30, 30])
    generator = seeded(1)
    first, second = (segment_random(lengths, 8, generator)[0] for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, segment_random(lengths, 8, seeded(1))[0])


def test_the_rest_of_the_batch_does_not_matter() -> None:
    alone, _ = segment_random(torch.tensor([6, 6]), 8, seeded(2))
    beside_long, _ = segment_random(torch.tensor([6, 30]), 8, seeded(2))
    assert torch.equal(alone[0], beside_long[0, :6])
