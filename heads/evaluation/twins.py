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

    A tie, which is what it is in every rank, counts half, as a coin would. Chance is 50. Pairs of which a video has
    no frames are left out, as its captions are from every figure.

    Args:
        similarity: of every text with every video of ``features``.
        features: the videos and all of their captions.
        twins: pairs of videos.

    Returns:
        By kind of twin: ``order``, ``colour``; none of a kind of which no pair is left.
    """
    videos = {video: place for place, video in enumerate(features.video_ids)}
    captions: dict[int, list[int]] = defaultdict(list)
    for text, video in enumerate(features.text_video.tolist()):
        captions[video].append(text)
    right: dict[str, list[float]] = defaultdict(list)
    for twin in twins:
        if twin.video_id not in videos or twin.twin_id not in videos:
            continue
        own, other = videos[twin.video_id], videos[twin.twin_id]
        for text in captions[own]:
            difference = float(similarity[text, own] - similarity[text, other])
            right[twin.kind].append(0.5 if abs(difference) <= TIE_TOLERANCE else float(difference > 0))
    return {kind: 100 * sum(values) / len(values) for kind, values in right.items()}
