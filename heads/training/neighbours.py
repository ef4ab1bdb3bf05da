"""Which videos of a training split are alike before anything is trained, and batches that hold them together."""

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..layers.padding import masked_mean, unit
from .config import MOST_ALIKE
from .feature_set import FeatureSet

MOST_NEIGHBOURS = MOST_ALIKE - 1
"""Of each video; they are asked in turn whether another group already has them."""
ITEMS_AT_A_TIME = 1024

_KNOWN: WeakKeyDictionary[FeatureSet, Int[Tensor, "video neighbour"]] = WeakKeyDictionary()
"""Found once for all epochs of a split."""


def alike_groups(
    features: FeatureSet, texts: Int[Tensor, " text"], size: int
) -> Iterator[Int[Tensor, " member"]]:
    """The texts in groups: a text, then one of each of the videos most alike to its own that are still free.

    The first texts choose first, so that a group of an epoch's last ones may be smaller.

    Args:
        texts: which, in the order in which they choose.
        size: the most texts of a group.
    """
    waiting: dict[int, list[int]] = {}
    for text, video in zip(texts.tolist(), features.text_video[texts].tolist(), strict=True):
        waiting.setdefault(video, []).append(text)
    if features not in _KNOWN:
        _KNOWN[features] = nearest_videos(features)
    neighbours = _KNOWN[features].tolist()
    for video in features.text_video[texts].tolist():
        if not waiting[video]:
            continue
        found = [other for other in neighbours[video] if waiting.get(other)][: size - 1]
        yield torch.tensor([waiting[member].pop() for member in (video, *found)])


@torch.no_grad()
def nearest_videos(features: FeatureSet) -> Int[Tensor, "video neighbour"]:
    """The videos most alike to each, the nearest first.

    By the cosine of mean_pool's vectors of the two videos plus that of the means of their captions: the frozen
    encoder's own opinion, so that it is the same for every head.
    """
    vectors = torch.cat([_videos(features), _captions(features)], dim=1)
    count = min(MOST_NEIGHBOURS, len(vectors) - 1)
    found: list[Tensor] = []
    for start in range(0, len(vectors), ITEMS_AT_A_TIME):
        cosines = vectors[start : start + ITEMS_AT_A_TIME] @ vectors.T
        rows = torch.arange(len(cosines), device=cosines.device)
        cosines[rows, start + rows] = float("-inf")
        found.append(cosines.topk(count, dim=1).indices.cpu())
    return torch.cat(found)


def _videos(features: FeatureSet) -> Float[Tensor, "video dim"]:
    """What mean_pool makes of each video, of all frames that are stored."""
    found: list[Tensor] = []
    for items in torch.arange(features.num_videos).split(ITEMS_AT_A_TIME):
        batch = features.video_batch(items, features.frames.longest)
        found.append(unit(masked_mean(unit(batch.frames), batch.mask)))
    return torch.cat(found)


def _captions(features: FeatureSet) -> Float[Tensor, "video dim"]:
    """The mean of each video's captions; zero where it has none."""
    total = torch.zeros(features.num_videos, features.dim, device=features.device)
    for items in torch.arange(features.num_texts).split(ITEMS_AT_A_TIME):
        sentences = features.words.row(items, features.sentence_row[items])
        total.index_add_(0, features.text_video[items].to(total.device), unit(sentences))
    return unit(total)
