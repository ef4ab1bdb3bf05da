"""The batches of an epoch: which pairs they hold, gathered on the device as the head reads them."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..base import Head, TextFeatures, VideoFeatures
from ..features.feature_set import FeatureSet
from ..features.seeding import seeded
from ..runs.training_config import TrainingConfig
from .distributed import Distributed
from .neighbours import hard_negative_groups

BATCHES_AHEAD = 2
"""Batches gathered in advance where features do not fit on the device."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Batch:
    """Text i describes video i. With several processes, the items are this process's share."""

    text: TextFeatures
    views: list[VideoFeatures]
    """The same videos, each time with other frames; one view where every video is shown whole."""
    same_video: Bool[Tensor, "text video"]
    """Of the whole batch: the diagonal, and further captions of a video in it."""


def epoch_of_batches(
    features: FeatureSet, head: Head, config: TrainingConfig, epoch: int, distributed: Distributed
) -> Iterator[Batch]:
    """The batches of an epoch: the same for the same seed and epoch, however many processes share them."""
    batches = _batches(features, head, config, epoch, distributed)
    return batches if features.is_resident else gathered_ahead(batches)


def _batches(
    features: FeatureSet, head: Head, config: TrainingConfig, epoch: int, distributed: Distributed
) -> Iterator[Batch]:
    generator = seeded(config.seed, "frames", epoch)
    for pairs in epoch_batches(features, config, epoch):
        count = len(pairs.texts) - len(pairs.texts) % distributed.count
        texts, videos, share = pairs.texts[:count], pairs.videos[:count], distributed.share(count)
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
    draws = head.num_views if longer_videos(features, frames) else 1
    return [features.video_batch(videos, frames, generator, share) for _ in range(draws)]


def longer_videos(features: FeatureSet, num_frames: int) -> int:
    """How many videos have more frames than a head sees, so that another draw brings others."""
    return int((features.frames.lengths > num_frames).sum())


@dataclass(frozen=True, slots=True)
class Pairs:
    """One batch: text ``texts[i]`` describes video ``videos[i]``. Indices into a feature set, on the CPU."""

    texts: Int[Tensor, " pair"]
    videos: Int[Tensor, " pair"]


def batches_per_epoch(features: FeatureSet, config: TrainingConfig) -> int:
    """Steps of one epoch. The last incomplete batch is left out; another epoch has other leftovers."""
    return max(1, pairs_per_epoch(features, config) // config.batch_size)


def epoch_batches(features: FeatureSet, config: TrainingConfig, epoch: int) -> Iterator[Pairs]:
    """The batches of an epoch: the same for the same seed and epoch, whatever happened before."""
    generator = seeded(config.seed, "batches", epoch)
    texts = (
        _one_caption_each(features, generator)
        if config.captions == "sample"
        else torch.arange(features.num_texts)
    )
    texts = texts[torch.randperm(len(texts), generator=generator)]
    if config.hard_negatives > 1:
        groups = list(hard_negative_groups(features, texts, config.hard_negatives))
        # The groups that were made last had little choice left: mixed, every batch has some of them.
        texts = torch.cat([groups[i] for i in torch.randperm(len(groups), generator=generator).tolist()])
    for step in range(batches_per_epoch(features, config)):
        chosen = texts[step * config.batch_size : (step + 1) * config.batch_size]
        yield Pairs(chosen, features.text_video[chosen])


def pairs_per_epoch(features: FeatureSet, config: TrainingConfig) -> int:
    """Pairs of one epoch before it is cut into batches."""
    if config.captions == "all":
        return features.num_texts
    return int((features.captions_per_video > 0).sum())


def _one_caption_each(features: FeatureSet, generator: torch.Generator) -> Int[Tensor, " text"]:
    """One random text of every video that has any."""
    counts = features.captions_per_video
    by_video = features.text_video.argsort(stable=True)
    draw = (torch.rand(len(counts), generator=generator, dtype=torch.float64) * counts).long()
    first = counts.cumsum(0) - counts
    return by_video[(first + draw)[counts > 0]]


def gathered_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items, produced by a thread while the ones before are used. Its errors are raised here."""
    with ThreadPoolExecutor(1) as pool:
        pending = deque(pool.submit(next, items, None) for _ in range(BATCHES_AHEAD))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item
