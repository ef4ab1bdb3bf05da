"""Which text-video pairs make up each batch of an epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from .config import TrainingConfig
from .feature_set import FeatureSet
from .neighbours import alike_groups
from .seeding import seeded


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
    if config.alike > 1:
        groups = list(alike_groups(features, texts, config.alike))
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
