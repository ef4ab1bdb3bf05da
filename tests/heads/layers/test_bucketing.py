import pytest
import torch
from tvr.heads.layers.bucketing import Bucket, length_buckets, texts_per_block, unsort

LENGTHS = torch.tensor([5, 2, 6, 1, 3, 2, 4])
MASK = torch.arange(8) < LENGTHS[:, None]


def test_groups_go_from_short_to_long() -> None:
    buckets = length_buckets(MASK, 3)
    assert [bucket.words for bucket in buckets] == [2, 5, 6]
    lengths = torch.cat([LENGTHS[bucket.texts] for bucket in buckets])
    assert lengths.tolist() == [1, 2, 2, 3, 4, 5, 6]


def test_a_left_out_start_token_does_not_shorten_a_text() -> None:
    mask = MASK.clone()
    mask[:, 0] = False
    mask[3, 1] = True  # the only text of one word, now of two
    assert [bucket.words for bucket in length_buckets(mask, 3)] == [2, 5, 6]


def test_few_texts_are_one_group() -> None:
    assert length_buckets(MASK, 7) == [Bucket(slice(None), 8)]


@pytest.mark.parametrize("axis", [0, 1])
def test_unsort_undoes_the_buckets(axis: int) -> None:
    values = torch.randn(7, 7)
    buckets = length_buckets(MASK, 2)
    parts = [
        values.index_select(axis, bucket.texts) for bucket in buckets if not isinstance(bucket.texts, slice)
    ]
    assert len(parts) == len(buckets) == 4
    assert torch.equal(unsort(parts, buckets, axis), values)
    assert not torch.equal(torch.cat(parts, dim=axis), values)


def test_a_block_never_shrinks_to_nothing() -> None:
    assert texts_per_block(words=64, frames=10**9) == 8
    assert texts_per_block(words=32, frames=1024) == 32
