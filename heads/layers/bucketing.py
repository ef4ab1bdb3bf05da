"""Texts of like length together: on a CPU, less padding is computed with, and blocks stay in the cache."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

NUMBERS_AT_A_TIME = 2**20
"""Of a block of word-frame similarities: 4 MB in single precision."""
MIN_TEXTS = 8
"""Of a bucket: below that, calls cost more than padding."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Texts of a batch that are of like length."""

    texts: Int[Tensor, " text"] | slice
    words: int
    """How many words the longest of them has."""


def length_buckets(mask: Bool[Tensor, "text word"], texts_at_a_time: int) -> list[Bucket]:
    """The texts in buckets, from the shortest to the longest; one bucket where there is nothing to gain.

    A GPU would have to wait to be told the lengths, and a compiler cannot know them.

    Args:
        mask: True where a word is real; some before the last one may not be.
    """
    texts, words = mask.shape
    if texts_at_a_time >= texts or mask.device.type != "cpu" or torch.compiler.is_compiling():
        return [Bucket(slice(None), words)]
    lengths = torch.where(mask, torch.arange(1, words + 1), 0).amax(dim=1)
    parts = lengths.argsort(stable=True).split(texts_at_a_time)
    return [Bucket(part, max(1, int(lengths[part[-1]]))) for part in parts]


def texts_per_block(words: int, frames: int) -> int:
    """How many texts' similarities to that many frames, of all videos together, make a block."""
    return max(MIN_TEXTS, NUMBERS_AT_A_TIME // max(1, words * frames))


def unsort(parts: Sequence[Tensor], buckets: Sequence[Bucket], axis: int = 0) -> Tensor:
    """What was found of each bucket as one tensor, its texts along ``axis`` in the order of the batch."""
    if len(parts) == 1:
        return parts[0]
    chosen = [bucket.texts for bucket in buckets if isinstance(bucket.texts, Tensor)]
    return torch.cat(list(parts), dim=axis).index_select(axis, torch.cat(chosen).argsort())
