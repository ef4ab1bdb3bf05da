"""Adaptive label denoising: which other videos of a batch are as close to a video as it is to itself."""

from jaxtyping import Bool, Float
from torch import Tensor


def potential_positives(
    first_view: Float[Tensor, "video dim"], second_view: Float[Tensor, "video dim"]
) -> Bool[Tensor, "video video"]:
    """True where two videos are probably of the same thing, seen from either of them.

    Video j is a potential positive of video i when the mean cosine over their four pairs of views is at least
    the cosine of video i's own two views. The rule depends on i; here either direction will do. Every video is
    one of its own.

    Source: HunYuan_tvr (arXiv 2204.03382), adaptive label denoising, as its authors' article states it.

    Args:
        first_view: unit-length vectors of the videos from one random sample of their frames.
        second_view: the same from another.
    """
    # Two views of a still video agree to three digits, all that bfloat16 has; autocast leaves doubles alone.
    first, second = first_view.detach().double(), second_view.detach().double()
    across = first @ second.T
    mean = (first @ first.T + across + across.T + second @ second.T) / 4
    found = mean >= (first * second).sum(dim=1)[:, None]
    return found | found.T
