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
    some_text, some_video = next(iter(text.values())), next(iter(video.values()))
    texts, videos = some_text.shape[0], some_video.shape[0]
    with torch.no_grad():
        if (
            texts * videos * head.numbers_per_pair() <= max_numbers
            and some_text.get_device() == some_video.get_device() == head.device_number
        ):
            return head.similarity(text, video)
        rows, columns = block_shape(texts, videos, max(1, max_numbers // head.numbers_per_pair()))
        result = torch.empty(texts, videos, dtype=_number_type(text), device=some_text.device)
        for top in range(0, texts, rows):
            some_texts = _cut(text, top, rows, head.device)
            for left in range(0, videos, columns):
                block = head.similarity(some_texts, _cut(video, left, columns, head.device))
                result[top : top + rows, left : left + columns] = block
    return result


def block_shape(texts: int, videos: int, pairs: int) -> tuple[int, int]:
    """Rows and columns of a block of at most ``pairs``: as square as the two counts allow.

    A square block reads the fewest encodings per pair.
    """
    rows = min(texts, max(1, math.isqrt(pairs)))
    columns = min(videos, max(1, pairs // rows))
    return min(texts, max(1, pairs // columns)), columns


def _number_type(encoded: Encoded) -> torch.dtype:
    return next(value.dtype for value in encoded.values() if value.is_floating_point())


def _cut(encoded: Encoded, start: int, count: int, device: torch.device) -> Encoded:
    return {name: value[start : start + count].to(device) for name, value in encoded.items()}
