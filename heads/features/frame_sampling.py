"""Which of a video's stored frames a head sees: vectorised over a batch of videos of unequal length."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def uniform(
    lengths: Int[Tensor, " video"], num_frames: int
) -> tuple[Int[Tensor, "video frame"], Bool[Tensor, "video frame"]]:
    """Frames evenly spread from the first to the last, and which of them are real.

    A video with at most ``num_frames`` frames keeps them all. The result is as wide as the longest video
    needs.

    Source: CLIP4Clip's ``np.linspace(0, length - 1, num_frames, dtype=int)``, in exact integer arithmetic.
    """
    width = min(num_frames, int(lengths.max()))
    slots = torch.arange(width)
    spread = slots * (lengths[:, None] - 1) // max(1, num_frames - 1)
    return _keep_short(spread, slots, lengths, num_frames)


def segment_random(
    lengths: Int[Tensor, " video"], num_frames: int, generator: torch.Generator
) -> tuple[Int[Tensor, "video frame"], Bool[Tensor, "video frame"]]:
    """One random frame of each of ``num_frames`` equal segments, and which of them are real.

    A video with at most ``num_frames`` frames keeps them all.

    Source: temporal segment networks (arXiv 1608.00859) section 3.1.
    """
    width = min(num_frames, int(lengths.max()))
    slots = torch.arange(width)
    begin = slots * lengths[:, None] // num_frames
    end = (slots + 1) * lengths[:, None] // num_frames
    # The draw is as wide as num_frames whatever the batch holds, so that a video's frames depend on its
    # place only.
    draw = torch.rand(len(lengths), num_frames, generator=generator)[:, :width]
    chosen = begin + (draw * (end - begin)).long().clamp_max(torch.clamp_min(end - begin - 1, 0))
    return _keep_short(chosen, slots, lengths, num_frames)


def _keep_short(
    chosen: Int[Tensor, "video frame"],
    slots: Int[Tensor, " frame"],
    lengths: Int[Tensor, " video"],
    num_frames: int,
) -> tuple[Int[Tensor, "video frame"], Bool[Tensor, "video frame"]]:
    """Every frame of the short videos, the chosen ones of the others; positions beyond the end point at the
    end."""
    positions = torch.where((lengths > num_frames)[:, None], chosen, slots)
    mask = slots < lengths[:, None]
    return torch.minimum(positions, lengths[:, None] - 1), mask
