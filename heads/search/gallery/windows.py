"""Long videos as windows of their cached frames, so that an hour is not one mean vector of a few frames.

A head sees ``num_frames`` frames of a video. Of one with more than twice as many in the store, they would be minutes
apart; such a video is compared in windows of ``num_frames`` consecutive cached frames instead, each of which shares
half of them with the next. Nothing is extracted again, and shorter videos are seen as they are in training.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from ...features.feature_set import FeatureSet

LONG = 2
"""A video with more than this many times the frames that a head sees is long."""


@dataclass(frozen=True)
class Windows:
    """What is compared with a query: every video as a whole or, of a long one, its windows, in the order of videos."""

    videos: FeatureSet
    features: FeatureSet
    """An item a window; the videos themselves where none is long."""
    owner: Int[Tensor, " window"]
    """Whose window it is: a place among ``videos``."""

    def of(self, video: int) -> Int[Tensor, " own"]:
        """The windows of a video."""
        return (self.owner == video).nonzero().flatten()

    def nearest(self, windows: Int[Tensor, " own"], seconds: float, num_frames: int) -> int:
        """Of some windows the one whose middle is nearest to a time, as a head of so many frames sees them."""
        times = [self.features.frame_seconds(window, num_frames) for window in windows.tolist()]
        away = [abs(float(own[0] + own[-1]) / 2 - seconds) for own in times]
        return int(windows[away.index(min(away))])

    @property
    def num_long(self) -> int:
        """How many videos are cut."""
        return int((self.owner.bincount() > 1).sum())


def windows_of(videos: FeatureSet, num_frames: int) -> Windows:
    """The windows of videos as a head of so many frames sees them.

    Args:
        videos: with every stored frame.
        num_frames: the most frames of an item that the head sees.
    """
    lengths = videos.frames.lengths
    is_long = lengths > LONG * num_frames
    if not bool(is_long.any()):
        return Windows(videos, videos, torch.arange(len(lengths)))
    step = max(1, num_frames // 2)
    counts = torch.where(is_long, -(-(lengths - num_frames) // step) + 1, 1)
    owner = torch.arange(len(lengths)).repeat_interleave(counts)
    place = torch.arange(len(owner)) - (counts.cumsum(0) - counts)[owner]
    size = torch.where(is_long, num_frames, lengths)[owner]
    # The last window ends with the video, and shares more with the one before it.
    first = torch.minimum(place * step, lengths[owner] - size)
    return Windows(videos, videos.cut(owner, first, size), owner)
