"""The batches of an epoch, on the device, as the head reads them."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..base import Head, TextFeatures, VideoFeatures
from .batches import epoch_batches
from .config import TrainingConfig
from .feature_set import FeatureSet
from .processes import Processes
from .seeding import seeded

_Item = TypeVar("_Item")

BATCHES_AHEAD = 2
"""Batches gathered in advance where features do not fit on the device."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Text i describes video i. With several processes, the items are this process's share."""

    text: TextFeatures
    views: list[VideoFeatures]
    """The same videos, each time with other frames; one view where every video is shown whole."""
    same_video: Bool[Tensor, "text video"]
    """Of the whole batch: the diagonal, and further captions of a video in it."""


def epoch_of_batches(
    features: FeatureSet, head: Head, config: TrainingConfig, epoch: int, processes: Processes
) -> Iterator[Batch]:
    """The batches of an epoch: the same for the same seed and epoch, however many processes share them."""
    batches = _batches(features, head, config, epoch, processes)
    return batches if features.is_resident else gathered_ahead(batches)


def _batches(
    features: FeatureSet, head: Head, config: TrainingConfig, epoch: int, processes: Processes
) -> Iterator[Batch]:
    generator = seeded(config.seed, "frames", epoch)
    for pairs in epoch_batches(features, config, epoch):
        count = len(pairs.texts) - len(pairs.texts) % processes.count
        texts, videos, share = pairs.texts[:count], pairs.videos[:count], processes.share(count)
        same_video = videos[:, None] == videos
        yield Batch(
            text=features.text_batch(texts, head.shape.num_words, share),
            views=_views(features, videos, share, head, generator),
            same_video=same_video.to(features.device, non_blocking=True),
        )


def _views(
    features: FeatureSet, videos: Int[Tensor, " video"], share: slice, head: Head, generator: torch.Generator
) -> list[VideoFeatures]:
    """As many as the head asks for, but one where another draw would bring the same frames."""
    frames = head.shape.num_frames
    draws = 1 if features.frames.longest <= frames else head.num_views
    return [features.video_batch(videos, frames, generator, share) for _ in range(draws)]


def gathered_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items, produced by a thread while the ones before are used. Its errors are raised here."""
    with ThreadPoolExecutor(1) as pool:
        pending = deque(pool.submit(next, items, None) for _ in range(BATCHES_AHEAD))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item
