"""How often a hit of a certain score is right: measured on the validation split, by isotonic regression.

A cosine of 0.31 means nothing by itself, and another head's 0.31 means something else. On validation, captions are
looked for among the split's videos and it is known which hits are right; the share of right ones that never falls as
the score rises, nearest to what was seen in squares, is what is said of a score. It holds for a gallery as large and as
mixed as the validation split: in a larger one, a hit of the same score is right less often.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from ..base import Head
from ..evaluation.blockwise import similarity_in_blocks
from ..evaluation.scores import EncodedTexts, EncodedVideos
from ..features.feature_set import FeatureSet
from .comparing import Usual

CHANCE = 0.5
"""Where nothing was measured, a best hit stands out if chance would bring fewer items than this to its score."""
SELDOM = 0.1
"""Where it was, if this share of hits of its score were right."""
HITS = 10
"""Of each query so many of the best are counted."""
FEWEST_QUERIES = 20
"""With fewer captions nothing is said."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Shares of right hits by score."""

    scores: Float[np.ndarray, " step"]
    """Where each step begins, rising."""
    shares: Float[np.ndarray, " step"]
    """Of right hits from there on, never falling."""
    queries: int
    videos: int

    def share_right(self, score: float) -> float:
        """Which share of validation's hits of such a score were right."""
        return float(self.shares[max(0, int(np.searchsorted(self.scores, score, side="right")) - 1)])


def nothing_stands_out(best: float, usual: Usual | None, calibration: Calibration | None) -> str | None:
    """Why the best hit of a query is worth little; empty: it stands out; None: not known.

    Args:
        best: its score.
        usual: the scores of the query; None where they are spread in a way of their own, as a trained head's are.
        calibration: of the head, where it was measured.
    """
    if calibration is not None:
        is_worth = calibration.share_right(best) >= SELDOM
        return "" if is_worth else "fewer than one in ten hits of such a score were right on validation"
    if usual is None:
        return None
    return "" if usual.by_chance(best) < CHANCE else "chance alone would bring a best score like this"


@torch.no_grad()
def calibrated(head: Head, validation: FeatureSet) -> Calibration | None:
    """Look for every caption of a split among its videos, and see which of the first ``HITS`` are right.

    None where there are fewer than ``FEWEST_QUERIES`` captions.
    """
    if validation.num_texts < FEWEST_QUERIES:
        return None
    videos = EncodedVideos(head.eval(), validation)
    places = torch.cat([group.items for group in videos.groups]).cpu()
    found: list[torch.Tensor] = []
    right: list[torch.Tensor] = []
    for texts in EncodedTexts(head, validation).groups:
        parts = [similarity_in_blocks(head, texts.encoded, group.encoded) for group in videos.groups]
        best = torch.cat(parts, dim=1).float().cpu().topk(min(HITS, len(places)), dim=1)
        found.append(best.values.flatten())
        right.append((places[best.indices] == validation.text_video[texts.items.cpu()][:, None]).flatten())
    scores, shares = isotonic(torch.cat(found).double().numpy(), torch.cat(right).numpy())
    return Calibration(scores, shares, validation.num_texts, validation.num_videos)


def isotonic(
    scores: Float[np.ndarray, " hit"], right: Bool[np.ndarray, " hit"]
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """The never falling steps nearest in squares to what was seen, by pooling adjacent violators (Ayer et al. 1955).

    Args:
        scores: of hits, in any order; equal ones are one step.
        right: which of them are right.

    Returns:
        Where each step begins, and its height.
    """
    starts, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place).astype(float)
    sums = np.bincount(place, weights=right.astype(float))
    steps: list[tuple[float, float, float]] = []  # where it begins, right hits, hits
    for start, total, count in zip(starts, sums, counts, strict=True):
        step = (float(start), float(total), float(count))
        while steps and steps[-1][1] * step[2] >= step[1] * steps[-1][2]:
            before = steps.pop()
            step = (before[0], before[1] + step[1], before[2] + step[2])
        steps.append(step)
    return np.array([step[0] for step in steps]), np.array([step[1] / step[2] for step in steps])
