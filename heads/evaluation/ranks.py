"""Ranks of the true matches, a tie counted by what its orders give on average, from blocks of the similarity matrix.

A block is the similarity of every text with some videos. Whole columns decide video-to-text ranks at once,
and text-to-video ranks are sums over blocks, so the text x video matrix never has to be held.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from ...data.contracts.errors import DataError, TrainingError, counted

RECALLS = (1, 5, 10, 50, 100)
FEW = "*"
"""Behind a recall that has fewer than 2K candidates, or a sum with such a one."""
FEW_REMARK = f"{FEW} among fewer than 2K candidates, where chance alone gives R@K more than 50"


def is_among_few(k: int, candidates: int) -> bool:
    """Whether chance alone brings R@K above 50, as it does among fewer than 2K candidates."""
    return candidates < 2 * k


@dataclass(frozen=True, slots=True)
class ScoreBlock:
    """Similarities of every text with some of the videos."""

    videos: Int[Tensor, " block"]
    """Which videos these are."""
    scores: Num[Tensor, "text block"]
    """Numbers of any type. Writable; whoever writes to it puts back what was there."""


class Scores(ABC):
    """Similarities of ``num_texts`` texts with ``num_videos`` videos, however they are had."""

    num_texts: int
    num_videos: int

    @abstractmethod
    def blocks(self) -> Iterator[ScoreBlock]:
        """Every video once, in any order."""

    @abstractmethod
    def pairs(self, videos: Int[Tensor, " text"]) -> Num[Tensor, " text"]:
        """The score of each text with one video."""

    @abstractmethod
    def tie_tolerance(self, truth: Num[Tensor, "*query"]) -> Num[Tensor, "*query"]:
        """Scores no further than this from the true match's count as equal to it; whole numbers for whole ones."""

    def tie_tolerance_of_texts(self, truth: Num[Tensor, "text 1"]) -> Num[Tensor, "text 1"]:
        """The same where every text is a query, in their order."""
        return self.tie_tolerance(truth)

    def tie_tolerance_of_videos(
        self, truth: Num[Tensor, " block"], videos: Int[Tensor, " block"]
    ) -> Num[Tensor, " block"]:
        """The same where these videos are queries."""
        return self.tie_tolerance(truth)

    def write_to(self, matrix: Float[np.ndarray, "text video"]) -> None:
        """Put every score in its place, block by block; the matrix may be a mapped file."""
        for block in self.blocks():
            matrix[:, block.videos.cpu().numpy()] = block.scores.float().cpu().numpy()


class ColumnScores(Scores):
    """Scores of which those with any videos can be had, in any order."""

    @abstractmethod
    def columns(self, videos: Int[Tensor, " block"]) -> Num[Tensor, "text block"]:
        """Every text with these videos; a copy, which may be written to."""


@dataclass(frozen=True)
class Ranks:
    """Where the true match of each query came among the candidates of one direction."""

    ahead: Int[np.ndarray, " query"]
    """Candidates that score higher than the true match."""
    tied: Int[np.ndarray, " query"]
    """Other candidates that score the same as the true match."""
    own: Int[np.ndarray, " query"]
    """True matches that score the same as the best of them: more than 1 where several captions count as one."""
    candidates: int
    """How many there are to choose from."""
    query_video: Int[np.ndarray, " query"]
    """The video a query belongs to; queries of one video are not independent of each other."""

    @property
    def ranks(self) -> Float[np.ndarray, " query"]:
        """1 is best; a tie counts by the mean of the places it takes up."""
        return 1 + self.ahead + self.tied / 2

    @property
    def num_queries(self) -> int:
        """How many queries were scored."""
        return len(self.ahead)

    @property
    def tied_queries(self) -> int:
        """Queries whose true match scores exactly as another candidate does."""
        return int((self.tied > 0).sum())

    def hits(self, k: int) -> Float[np.ndarray, " query"]:
        """The chance that a true match of each query is among the first ``k``, were those that tie put in random order.

        Of ``tied`` others and one true match it is ``(k - ahead) / (tied + 1)``, between 0 and 1. Of several true
        matches the best placed counts: none of them is among j places with chance C(tied, j) / C(tied + own, j).
        """
        places = np.clip(k - self.ahead, 0, self.tied + 1)
        chance = places / (self.tied + 1)
        for query in np.flatnonzero((self.own > 1) & (places > 0) & (self.tied > 0)):
            others, own, free = int(self.tied[query]), int(self.own[query]), int(places[query])
            chance[query] = 1 - comb(others, free) / comb(others + own, free)
        return chance

    def recall(self, k: int) -> float:
        """Percentage of the queries whose true match is among the first ``k``: the expectation over the orders that a
        tie admits."""
        return 100 * float(self.hits(k).mean())

    @property
    def few_candidates(self) -> list[str]:
        """The names of those R@K that have fewer than 2K candidates: chance alone gives them more than 50."""
        return [f"R@{k}" for k in RECALLS if is_among_few(k, self.candidates)]

    @property
    def median_rank(self) -> float:
        """MdR."""
        return float(np.median(self.ranks))

    @property
    def mean_rank(self) -> float:
        """MnR."""
        return float(self.ranks.mean())

    @property
    def recall_sum(self) -> float:
        """R@1 + R@5 + R@10."""
        return self.recall(1) + self.recall(5) + self.recall(10)

    def summary(self) -> dict[str, float | int]:
        """Every figure by the name the field gives it, and what it was counted over."""
        figures: dict[str, float | int] = {f"R@{k}": self.recall(k) for k in RECALLS}
        figures |= {"MdR": self.median_rank, "MnR": self.mean_rank, "recall_sum": self.recall_sum}
        counts = {
            "queries": self.num_queries,
            "candidates": self.candidates,
            "tied_queries": self.tied_queries,
        }
        return figures | counts


@dataclass(frozen=True)
class BothRanks:
    """Ranks in both directions."""

    t2v: Ranks
    """Every text is a query."""
    v2t: Ranks
    """Every video that has a text is a query. With several captions a video, candidates are the *videos' best
    captions* (CLIP4Clip's convention)."""
    v2t_any_caption: Ranks
    """The same queries against *all* captions, the best placed own caption counting (the convention of
    Collaborative Experts and VSE). Equals ``v2t`` where every video has one caption."""


def rank_both(scores: Scores, text_video: Int[Tensor, " text"]) -> BothRanks:
    """Ranks of the true matches in both directions.

    Args:
        scores: similarities.
        text_video: the video each text describes.

    Raises:
        DataError: there is no text, or a text whose video is not among the candidates, or a whole number that int64
            does not hold.
        TrainingError: a similarity is NaN or infinite: such a query has no rank.

    Source: ``g = S[q, true]; rank = 1 + #(S[q] > g) + (#(S[q] == g) - 1) / 2``.
    """
    _check(scores, text_video)
    counts = _Counts(scores, text_video)
    for block in scores.blocks():
        block = ScoreBlock(block.videos, _comparable(block.scores))
        _refuse_non_finite(block)
        counts.add(block)
    return counts.ranks()


def _check(scores: Scores, text_video: Int[Tensor, " text"]) -> None:
    if len(text_video) != scores.num_texts:
        raise DataError(
            f"{counted(scores.num_texts, 'text')} scored, but {len(text_video):,} said to describe a video"
        )
    if not len(text_video):
        raise DataError("there is no text to rank")
    if int(text_video.min()) < 0 or int(text_video.max()) >= scores.num_videos:
        raise DataError(
            f"every text must describe one of {counted(scores.num_videos, 'video')} (0 to {scores.num_videos - 1})"
        )


def _comparable(scores: Num[Tensor, "*score"]) -> Num[Tensor, "*score"]:
    """Floats as they are, whole numbers as int64: doubles tell no neighbours apart beyond 2**53.

    Raises:
        DataError: a whole number is none of int64, or the least one, below which nothing is left for ``_nothing``.
    """
    if scores.is_floating_point():
        return scores
    whole = scores.long()
    beyond = whole < 0 if scores.dtype == torch.uint64 else whole == _nothing(whole)
    if bool(beyond.any()):
        raise DataError("whole similarities must be greater than -2**63 and less than 2**63: give floats")
    return whole


def _nothing(scores: Num[Tensor, "*score"]) -> float | int:
    """What stands where no score is: lower than every score."""
    return float("-inf") if scores.is_floating_point() else torch.iinfo(torch.int64).min


def _refuse_non_finite(block: ScoreBlock) -> None:
    # One sum instead of a mask: NaN and infinities stay in it.
    if not block.scores.is_floating_point() or bool(block.scores.sum().isfinite()):
        return
    broken = int((~block.scores.isfinite()).sum())
    if broken:
        raise TrainingError(
            f"{broken} of {block.scores.numel()} similarities are NaN or infinite: their queries have no "
            "rank. The head diverged: train it with a smaller lr, or check the features with `tvr verify`."
        )


class _Counts:
    """What has been counted after some of the blocks."""

    def __init__(self, scores: Scores, text_video: Int[Tensor, " text"]) -> None:
        truth = _comparable(scores.pairs(text_video))
        self.scores = scores
        self.device = truth.device
        self.text_video = text_video.to(self.device)
        self.truth = truth[:, None]
        self.several = bool((torch.bincount(text_video) > 1).any())
        self.num_videos = scores.num_videos
        self.t2v_ahead = torch.zeros(len(text_video), dtype=torch.long, device=self.device)
        self.t2v_tied = torch.zeros_like(self.t2v_ahead)
        self.by_video = torch.zeros(5, scores.num_videos, dtype=torch.long, device=self.device)
        self.column_of = torch.full((scores.num_videos,), -1, device=self.device)

    def add(self, block: ScoreBlock) -> None:
        """Count one block in every direction."""
        self.column_of.fill_(-1)
        self.column_of[block.videos] = torch.arange(len(block.videos), device=self.device)
        columns = self.column_of[self.text_video]
        own_texts = (columns >= 0).nonzero().squeeze(1)
        own = (own_texts, columns[own_texts])
        own_scores = block.scores[own]
        others = block.scores
        others[own] = _nothing(others)  # in place, because a copy of a block costs as much as ranking it
        ahead, tied = _compared(others, self.truth, self.scores.tie_tolerance_of_texts(self.truth), over=1)
        self.t2v_ahead += ahead
        self.t2v_tied += tied
        best_own = torch.full_like(others[0], _nothing(others))
        best_own.scatter_reduce_(0, own[1], own_scores, "amax")
        tie_tolerance = self.scores.tie_tolerance_of_videos(best_own, block.videos)
        self._add_columns(block.videos, others, best_own, tie_tolerance)
        best = own_scores >= (best_own - tie_tolerance)[own[1]]
        self.by_video[4].index_add_(0, block.videos[own[1]], best.long())
        others[own] = own_scores

    def _add_columns(
        self,
        videos: Int[Tensor, " block"],
        others: Num[Tensor, "text block"],
        best_own: Num[Tensor, " block"],
        tie_tolerance: Num[Tensor, " block"],
    ) -> None:
        any_caption = _compared(others, best_own, tie_tolerance, over=0)
        grouped = any_caption
        if self.several:
            best = others.new_full((self.num_videos, len(videos)), _nothing(others))
            best.scatter_reduce_(0, self.text_video[:, None].expand_as(others), others, "amax")
            grouped = _compared(best, best_own, tie_tolerance, over=0)
        self.by_video[:4, videos] = torch.stack([*grouped, *any_caption])

    def ranks(self) -> BothRanks:
        """The ranks once every block is counted."""
        text_video = self.text_video.cpu().numpy()
        described = np.unique(text_video)
        ahead, tied, any_ahead, any_tied, own = self.by_video.cpu().numpy()[:, described]
        t2v_ahead, t2v_tied = self.t2v_ahead.cpu().numpy(), self.t2v_tied.cpu().numpy()
        one = np.ones_like
        return BothRanks(
            t2v=Ranks(t2v_ahead, t2v_tied, one(t2v_ahead), self.num_videos, text_video),
            v2t=Ranks(ahead, tied, one(ahead), len(described), described),
            v2t_any_caption=Ranks(any_ahead, any_tied, own, len(text_video), described),
        )


def _compared(
    others: Num[Tensor, "row column"], truth: Tensor, tie_tolerance: Tensor, over: int
) -> tuple[Int[Tensor, " rest"], Int[Tensor, " rest"]]:
    """How many of the others are ahead of the truth and how many tie with it, counted over one axis."""
    ahead = _count(others > truth + tie_tolerance, over)
    return ahead, _count(others >= truth - tie_tolerance, over) - ahead


def _count(mask: Bool[Tensor, "row column"], over: int) -> Int[Tensor, " rest"]:
    """How often it is true along one axis."""
    if mask.device.type == "cpu":  # numpy counts ten times as fast there as torch
        return torch.from_numpy(np.count_nonzero(mask.numpy(), axis=over))
    return torch.count_nonzero(mask, dim=over)
