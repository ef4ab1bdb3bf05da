"""How well a head finds videos by text and texts by video."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Int
from torch import Tensor

from ...data.base import Protocol
from ...data.contracts.errors import DataError, counted
from ..base import Head
from ..features.feature_set import FeatureSet
from ..runs.training_config import Selection
from .bootstrap import bootstrap_intervals
from .normalisations import (
    COLUMNS,
    PUBLISHED,
    TEMPERATURES,
    Banks,
    NormalisationConfig,
    banks_of,
    caveat,
    column,
    normalised_ranks,
    refusal,
)
from .ranks import BothRanks, Scores, rank_both
from .scores import EncodedTexts, EncodedVideos, HeadScores


@dataclass(frozen=True)
class Ranked:
    """Ranks by scores of whatever origin."""

    ranks: BothRanks
    """By plain scores."""
    normalised: dict[str, BothRanks]
    """By normalised ones, as an ``Evaluation`` has them."""
    refused: dict[str, str]
    """Why a normalisation would mean nothing with these scores, by its name."""
    caveats: tuple[str, ...]
    """What is wrong with some queries of a normalised figure."""


@dataclass(frozen=True)
class Evaluation:
    """Ranks of one head on one split, and what they do not cover."""

    ranks: BothRanks
    """By plain scores."""
    normalised: dict[str, BothRanks]
    """By scores normalised in each of the ways that were asked for; names of ``normalisations.COLUMNS``."""
    split: str
    protocol: Protocol
    videos: int
    """Videos that were candidates."""
    texts: int
    """Texts that were queries."""
    expected_videos: int
    """Videos the published split has."""
    limit: int | None
    """To how many videos of all splits the store was limited; None: it was not."""
    excluded_videos: dict[str, str]
    """Why each of the other videos was left out, by id."""
    excluded_queries: dict[str, str]
    """Why each of the other texts was left out, by id."""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Why a normalisation that was asked for would mean nothing with these scores, by its name."""
    caveats: tuple[str, ...] = ()
    """What is wrong with some queries of a normalised figure."""
    chosen: tuple[str, ...] = ()
    """Of normalisations that differ in their temperature alone, those that were better on the validation split."""

    @property
    def coverage(self) -> str:
        """One line that goes with every figure."""
        videos = f"{self.videos:,} of {counted(self.expected_videos, 'video')}"
        scored = f"{videos} and {counted(self.texts, 'text')} scored"
        if self.limit is not None:
            scored += f"; the store was limited to {counted(self.limit, 'video')}"
        missing = self.expected_videos - self.videos
        if self.limit is None and not missing and not self.excluded_queries:
            return f"{self.split}: {scored}"
        excluded = f"{counted(missing, 'video')} and {counted(len(self.excluded_queries), 'text')} excluded"
        return f"{self.split}: {scored}; {excluded}: not a figure of the full split"

    @property
    def partial(self) -> str:
        """What was scored of a split that was not scored whole, such as ``12 of 1,004 videos``; empty where it was."""
        if self.videos < self.expected_videos or self.limit is not None:
            limited = "" if self.limit is None else f", the store limited to {self.limit:,}"
            return f"{self.videos:,} of {counted(self.expected_videos, 'video')}{limited}"
        if self.excluded_queries:
            return f"{self.texts:,} of {counted(self.texts + len(self.excluded_queries), 'text')}"
        return ""

    def score(self, name: Selection) -> float:
        """The one number by which epochs and trials are compared; higher is better."""
        t2v, v2t = self.ranks.t2v, self.ranks.v2t
        scores = {
            "recall_sum": t2v.recall_sum + v2t.recall_sum,
            "t2v_r1": t2v.recall(1),
            "v2t_r1": v2t.recall(1),
        }
        return scores[name]

    def record(self, *, intervals: bool = False) -> dict[str, Any]:
        """All figures as plain values, for a JSON file.

        Args:
            intervals: add bootstrap intervals, which take a moment.
        """
        columns = {
            name: {"kind": COLUMNS[name].kind, "chosen_on_validation": name in self.chosen}
            | self._directions(ranks, intervals=intervals)
            for name, ranks in self.normalised.items()
        }
        return self._directions(self.ranks, intervals=intervals) | {
            "normalised": columns,
            "refused": self.refused,
            "caveats": list(self.caveats),
            "split": self.split,
            "protocol": self.protocol,
            "coverage": self.coverage,
            "videos": self.videos,
            "texts": self.texts,
            "expected_videos": self.expected_videos,
            "excluded_videos": len(self.excluded_videos),
            "excluded_queries": len(self.excluded_queries),
        }

    def _directions(self, ranks: BothRanks, *, intervals: bool) -> dict[str, Any]:
        both = {"t2v": ranks.t2v, "v2t": ranks.v2t}
        if self.protocol == "multi":
            both["v2t_any_caption"] = ranks.v2t_any_caption
        return {
            direction: some.summary()
            | {"few_candidates": some.few_candidates}
            | ({"intervals": bootstrap_intervals(some)} if intervals else {})
            for direction, some in both.items()
        }


def evaluate(
    head: Head,
    features: FeatureSet,
    normalise: Sequence[str] = (),
    bank: FeatureSet | None = None,
    config: NormalisationConfig = PUBLISHED,
) -> Evaluation:
    """Rank every video for every text, and every text for every video.

    Args:
        head: any head, trained or not; it is left in evaluation mode.
        features: one split, on the head's device.
        normalise: names of ``normalisations.COLUMNS``, each of which gives ranks of its own.
        bank: the training split, for the inductive ones.
        config: settings of the normalisations.

    Raises:
        UsageError: the head cannot read these features, or a normalisation cannot be computed.
        DataError: no text describes any of the videos.
        TrainingError: a similarity is NaN or infinite.
    """
    if not features.num_texts:
        raise DataError(f"split {features.origin.split!r} has no text that describes one of its videos")
    head.eval()
    texts, videos = EncodedTexts(head, features), EncodedVideos(head, features)
    banks = None
    if bank is not None and any(column(name).kind == "inductive" for name in normalise):
        banks = banks_of(head, bank, texts, videos, config.bank_size)
    scores = HeadScores(head, texts, videos)
    return _evaluation(features, ranked(scores, features.text_video, normalise, banks, config))


def ranked(
    scores: Scores,
    text_video: Int[Tensor, " text"],
    normalise: Sequence[str] = (),
    banks: Banks | None = None,
    config: NormalisationConfig = PUBLISHED,
) -> Ranked:
    """Ranks by any scores, plain and normalised.

    Raises:
        UsageError: a normalisation is unknown, or needs a bank and there is none.
        DataError: there is no text, or one of no video.
        TrainingError: a similarity is NaN or infinite.
    """
    for name in normalise:
        column(name)
    ranks = rank_both(scores, text_video)
    reasons = {name: refusal(name, scores) for name in normalise}
    normalised = {
        name: normalised_ranks(name, scores, banks, text_video, config)
        for name, reason in reasons.items()
        if reason is None
    }
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    caveats = [caveat(name, scores, text_video) for name in normalised]
    return Ranked(ranks, normalised, refused, tuple(some for some in caveats if some is not None))


def chosen_temperatures(
    head: Head, validation: FeatureSet, normalise: Sequence[str], bank: FeatureSet | None
) -> tuple[str, ...]:
    """Of columns that differ in their temperature alone, and were both asked for, those that are better on the
    validation split: by the sum of R@1, R@5 and R@10 of both directions, the fixed temperature where they are equal.

    Raises:
        UsageError: an inductive one is asked for, and there is no bank.
    """
    pairs = [pair for pair in TEMPERATURES if set(pair) <= set(normalise)]
    if not pairs:
        return ()
    found = evaluate(head, validation, [name for pair in pairs for name in pair], bank).normalised
    scores = {name: some.t2v.recall_sum + some.v2t.recall_sum for name, some in found.items()}
    return tuple(max(pair, key=lambda name: scores[name]) for pair in pairs)


def evaluate_scores(scores: Scores, features: FeatureSet) -> Evaluation:
    """Rank by scores, such as those of ``HeadScores`` that are wanted for something else too."""
    return _evaluation(features, ranked(scores, features.text_video))


def _evaluation(features: FeatureSet, found: Ranked) -> Evaluation:
    return Evaluation(
        **vars(found),
        split=features.origin.split,
        protocol=features.origin.protocol,
        videos=features.num_videos,
        texts=features.num_texts,
        limit=features.origin.limit,
        expected_videos=features.origin.expected_videos
        or features.num_videos + len(features.excluded_videos),
        excluded_videos=dict(features.excluded_videos),
        excluded_queries=dict(features.excluded_queries),
    )
