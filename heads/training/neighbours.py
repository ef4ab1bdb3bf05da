"""Which videos of a training split are alike before anything is trained, and batches that hold them together."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..features.feature_set import FeatureSet
from ..layers.padding import l2_normalise, masked_mean
from ..runs.training_config import MAX_HARD_NEGATIVES

MAX_NEIGHBOURS = MAX_HARD_NEGATIVES - 1
"""Of each video; they are asked in turn whether another group already has them."""
ROWS_AT_A_TIME = 2**15
"""Frames that are read at once."""
VIDEOS_AT_A_TIME = 1024
"""Videos that are compared with all others at once."""


def hard_negative_groups(
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
    if features.neighbours is None:
        features.neighbours = nearest_videos(features)
    neighbours = features.neighbours.tolist()
    for video in features.text_video[texts].tolist():
        if not waiting[video]:
            continue
        found = [other for other in neighbours[video] if waiting.get(other)][: size - 1]
        yield torch.tensor([waiting[member].pop(0) for member in (video, *found)])


@torch.no_grad()
def nearest_videos(features: FeatureSet) -> Int[Tensor, "video neighbour"]:
    """The videos most alike to each, the nearest first; on the CPU, where equal input gives equal bits.

    By the cosine of mean_pool's vectors of the two videos plus that of the means of their captions: the frozen
    encoder's own opinion, so that it is the same for every head. Videos without a caption come last: they are in no
    batch.
    """
    vectors = torch.cat([_videos(features), _captions(features)], dim=1)
    silent = features.captions_per_video == 0
    count = min(MAX_NEIGHBOURS, len(vectors) - 1)
    found: list[Tensor] = []
    for start in range(0, len(vectors), VIDEOS_AT_A_TIME):
        cosines = vectors[start : start + VIDEOS_AT_A_TIME] @ vectors.T
        rows = torch.arange(len(cosines))
        cosines[:, silent] = -2.0
        cosines[rows, start + rows] = float("-inf")
        found.append(cosines.topk(count, dim=1).indices)
    return torch.cat(found)


def _videos(features: FeatureSet) -> Float[Tensor, "video dim"]:
    """What mean_pool makes of each video, of all frames that are stored."""
    found: list[Tensor] = []
    longest = features.frames.longest
    for items in torch.arange(features.num_videos).split(max(1, ROWS_AT_A_TIME // longest)):
        batch = features.video_batch(items, longest)
        found.append(l2_normalise(masked_mean(l2_normalise(batch.frames), batch.mask)).cpu())
    return torch.cat(found)


def _captions(features: FeatureSet) -> Float[Tensor, "video dim"]:
    """The mean of each video's captions; zero where it has none."""
    total = torch.zeros(features.num_videos, features.dim)
    for items in torch.arange(features.num_texts).split(ROWS_AT_A_TIME):
        sentences = features.words.row(items, features.sentence_row[items])
        total.index_add_(0, features.text_video[items], l2_normalise(sentences).cpu())
    return l2_normalise(total)
