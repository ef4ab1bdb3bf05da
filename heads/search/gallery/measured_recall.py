"""How much of what comparing every video finds an index of frames finds, and how hard it has to look for that."""

import torch
from jaxtyping import Int
from torch import Tensor

from ...base import Encoded, Head, TextFeatures
from ...features.feature_set import FeatureSet
from .encoded_items import drawn_places
from .frame_index import RECALL_AT, Effort, FrameIndex
from .kept_encodings import KeptEncodings
from .kept_scores import KeptScores

GOAL = 0.99
QUERIES, FEWEST_QUERIES, COMPARISONS = 64, 24, 32_000_000
"""Queries of a measurement, at least, and how many pairs of a text and a video are compared at most for it."""
_LADDER = ((16, 500, 1000), (16, 1000, 1000), (32, 1000, 1000), (32, 2000, 2000), (64, 4000, 4000))
"""Cells, frames a word and videos that are tried, one after another, until ``GOAL`` is met."""


def number_of_queries(videos: int) -> int:
    """By how many queries the recall in a gallery of so many videos is measured."""
    return min(QUERIES, max(FEWEST_QUERIES, COMPARISONS // videos))


def captions_asked(captions: FeatureSet, head: Head, count: int) -> TextFeatures:
    """Captions of a store, always the same ones."""
    drawn = drawn_places(captions.num_texts, count)
    return captions.text_batch(drawn.sort().values, head.shape.num_words)


def frames_asked(items: FeatureSet, head: Head, count: int) -> TextFeatures:
    """Texts whose words are the frames of videos, always the same ones, and whose sentence is their mean."""
    drawn = drawn_places(items.num_videos, count)
    shape = head.shape
    videos = items.video_batch(drawn.sort().values, min(shape.num_words, shape.num_frames))
    real = videos.mask[..., None]
    mean = (videos.frames * real).sum(dim=1) / real.sum(dim=1)
    return TextFeatures(videos.frames, videos.mask, mean)


@torch.no_grad()
def measured_effort(
    index: FrameIndex, kept: KeptEncodings, texts: TextFeatures, *, are_captions: bool, candidates: int | None
) -> Effort:
    """The least effort that finds ``GOAL`` of the exact first ones, or the largest one that is tried.

    Args:
        index: that is asked.
        kept: the same videos, all of which are compared.
        texts: that ask.
        are_captions: whether these are of the store.
        candidates: how many videos shall be compared; None: as many as it takes.
    """
    encoded = kept.head.encode_text(texts)
    exact = KeptScores(kept)(encoded)
    count = min(RECALL_AT, exact.shape[1])
    best = exact.topk(count, dim=1).indices
    source = "captions" if are_captions else "frames"
    effort: Effort | None = None
    for visited, asked, most in _LADDER:
        most = candidates or most
        tried = Effort(visited, asked, most, 0.0, len(best), source)
        recall = _recall(index, encoded, tried, best)
        if effort is None or recall > effort.recall:
            effort = Effort(visited, asked, most, round(recall, 4), len(best), source)
        if recall >= GOAL:
            break
    assert effort is not None, "at least one was tried"
    return effort


def _recall(index: FrameIndex, text: Encoded, effort: Effort, best: Int[Tensor, "text first"]) -> float:
    shares = [
        len(set(index.votes(text, row, effort)[: effort.candidates].tolist()) & set(first)) / len(first)
        for row, first in enumerate(best.tolist())
    ]
    return sum(shares) / len(shares)
