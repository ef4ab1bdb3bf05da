"""How well a head finds videos by text and texts by video."""

from dataclasses import dataclass
from typing import Any

from ...data.base import Protocol
from ...data.contracts.errors import DataError
from ..base import Head
from ..training.config import Selection
from ..training.feature_set import FeatureSet
from .encoded import EncodedTexts, EncodedVideos, HeadScores
from .ranks import BothRanks, rank_both


@dataclass(frozen=True)
class Evaluation:
    """Ranks of one head on one split, and what they do not cover."""

    ranks: BothRanks
    split: str
    protocol: Protocol
    videos: int
    """Videos that were candidates."""
    texts: int
    """Texts that were queries."""
    expected_videos: int
    """Videos the published split has."""
    excluded_videos: dict[str, str]
    """Why each of the other videos was left out, by id."""
    excluded_queries: dict[str, str]
    """Why each of the other texts was left out, by id."""

    @property
    def coverage(self) -> str:
        """One line that goes with every figure."""
        scored = f"{self.videos:,} of {self.expected_videos:,} videos and {self.texts:,} texts scored"
        missing = self.expected_videos - self.videos
        if not missing and not self.excluded_queries:
            return f"{self.split}: {scored}"
        excluded = f"{missing:,} videos and {len(self.excluded_queries):,} texts excluded"
        return f"{self.split}: {scored}; {excluded}: not a figure of the full split"

    def score(self, name: Selection) -> float:
        """The one number by which epochs and trials are compared; higher is better."""
        t2v, v2t = self.ranks.t2v, self.ranks.v2t
        scores = {
            "recall_sum": t2v.recall_sum + v2t.recall_sum,
            "t2v_r1": t2v.recall(1),
            "v2t_r1": v2t.recall(1),
        }
        return scores[name]

    def record(self) -> dict[str, Any]:
        """All figures as plain values, for a JSON file."""
        directions = {"t2v": self.ranks.t2v.summary(), "v2t": self.ranks.v2t.summary()}
        if self.protocol == "multi":
            directions["v2t_any_caption"] = self.ranks.v2t_any_caption.summary()
        return directions | {
            "split": self.split,
            "protocol": self.protocol,
            "coverage": self.coverage,
            "videos": self.videos,
            "texts": self.texts,
            "expected_videos": self.expected_videos,
            "excluded_videos": len(self.excluded_videos),
            "excluded_queries": len(self.excluded_queries),
        }


def evaluate(head: Head, features: FeatureSet) -> Evaluation:
    """Rank every video for every text, and every text for every video.

    Args:
        head: any head, trained or not; it is left in evaluation mode.
        features: one split, on the head's device.

    Raises:
        UsageError: the head cannot read these features.
        DataError: no text describes any of the videos.
        TrainingError: a similarity is NaN or infinite.
    """
    if not features.num_texts:
        raise DataError(f"split {features.origin.split!r} has no text that describes one of its videos")
    head.eval()
    scores = HeadScores(head, EncodedTexts(head, features), EncodedVideos(head, features))
    return Evaluation(
        ranks=rank_both(scores, features.text_video),
        split=features.origin.split,
        protocol=features.origin.protocol,
        videos=features.num_videos,
        texts=features.num_texts,
        expected_videos=features.origin.expected_videos
        or features.num_videos + len(features.excluded_videos),
        excluded_videos=dict(features.excluded_videos),
        excluded_queries=dict(features.excluded_queries),
    )
