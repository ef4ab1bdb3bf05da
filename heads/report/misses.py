"""Queries that a head answers badly: whose video does not come first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from ..base import Head
from ..features.feature_set import FeatureSet
from ..search.gallery.exact import Hit, search


@dataclass(frozen=True)
class Miss:
    """A query that the head answers badly."""

    text: str
    rank: float
    """Of the true video; the mean of a tie's places."""
    true_video: str
    found_video: str
    """The best hit."""
    found_score: float


def wrong_queries(ranks: Float[np.ndarray, " text"]) -> list[int]:
    """The places of the texts whose video does not come first, in their order."""
    return np.flatnonzero(ranks > 1).tolist()


def worst_queries(ranks: Float[np.ndarray, " text"], count: int) -> list[int]:
    """The places of the texts whose video comes last, the worst first."""
    order = np.argsort(-ranks, kind="stable")[:count]
    return order[ranks[order] > 1].tolist()


def misses(
    head: Head, features: FeatureSet, ranks: Float[np.ndarray, " text"], chosen: Sequence[int]
) -> list[Miss]:
    """What a head found for texts of a feature set.

    Args:
        head: that was evaluated.
        features: on what.
        ranks: of every text's own video.
        chosen: the places of the texts.
    """
    if not chosen:
        return []
    texts = features.text_batch(torch.tensor(list(chosen)), head.shape.num_words)
    hits: list[list[Hit]] = search(head, features, texts, 1)
    return [
        Miss(
            text=features.texts[item],
            rank=float(ranks[item]),
            true_video=features.video_ids[int(features.text_video[item])],
            found_video=hit[0].video_id,
            found_score=hit[0].score,
        )
        for item, hit in zip(chosen, hits, strict=True)
    ]
