"""Hard negatives alone: can a head tell a video from its twin?"""

from collections import defaultdict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ...data.storyboard import Twin
from ..features.feature_set import FeatureSet
from .scores import TIE_TOLERANCE


def twin_accuracy(
    similarity: Float[Tensor, "text video"], features: FeatureSet, twins: Sequence[Twin]
) -> dict[str, float]:
    """Share of captions that score higher with their own video than with its twin, in per cent.

    A tie, which is what it is in every rank, counts half, as a coin would. Chance is 50.

    Returns:
        By kind of twin: ``order``, ``colour``.
    """
    videos = {video: place for place, video in enumerate(features.video_ids)}
    texts = {int(video): text for text, video in enumerate(features.text_video)}
    right: dict[str, list[float]] = defaultdict(list)
    for twin in twins:
        own, other = videos[twin.video_id], videos[twin.twin_id]
        scores = similarity[texts[own]]
        difference = float(scores[own] - scores[other])
        right[twin.kind].append(0.5 if abs(difference) <= TIE_TOLERANCE else float(difference > 0))
    return {kind: 100 * sum(values) / len(values) for kind, values in right.items()}
