"""All similarities of many texts with many videos, block by block, in bounded memory."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..base import Encoded, Head


def similarity_in_blocks(
    head: Head, text: Encoded, video: Encoded, max_numbers: int = 2**22
) -> Float[Tensor, "text video"]:
    """Cosine-scale similarities of all texts with all videos, without gradients.

    A block is cut so that the head's ``similarity`` holds about ``max_numbers`` numbers at a time, besides the
    encodings and the result. By default that is 16 MB in single precision, near the best for a CPU's caches.
    Encodings may lie on another device than the head: each block is carried over, and the result comes back to
    where the texts are. The block size changes nothing but the last bits of a sum.

    Args:
        max_numbers: how many numbers ``similarity`` may hold at its peak; one pair is the least.
    """
    texts, videos = _count(text), _count(video)
    pairs = max(1, max_numbers // head.numbers_per_pair())
    device, home = head.logit_scale.device, _example(text).device
    with torch.no_grad():
        if texts * videos <= pairs and device == home:
            return head.similarity(text, _moved(video, device))
        rows, columns = block_shape(texts, videos, pairs)
        result = torch.empty(texts, videos, dtype=_example(text).dtype, device=home)
        for top in range(0, texts, rows):
            some_texts = _moved(_cut(text, top, rows), device)
            for left in range(0, videos, columns):
                some_videos = _moved(_cut(video, left, columns), device)
                block = head.similarity(some_texts, some_videos)
                result[top : top + rows, left : left + columns] = block
    return result


def block_shape(texts: int, videos: int, pairs: int) -> tuple[int, int]:
    """Rows and columns of a block of at most ``pairs``: as square as the two counts allow.

    A square block reads the fewest encodings per pair.
    """
    rows = min(texts, max(1, math.isqrt(pairs)))
    columns = min(videos, max(1, pairs // rows))
    return min(texts, max(1, pairs // columns)), columns


def _count(encoded: Encoded) -> int:
    return len(next(iter(encoded.values())))


def _example(encoded: Encoded) -> Tensor:
    return next(value for value in encoded.values() if value.is_floating_point())


def _cut(encoded: Encoded, start: int, count: int) -> Encoded:
    return {name: value[start : start + count] for name, value in encoded.items()}


def _moved(encoded: Encoded, device: torch.device) -> Encoded:
    return {name: value.to(device) for name, value in encoded.items()}
