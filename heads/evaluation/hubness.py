"""Scores adjusted for hubs: candidates that are close to every query and so push true matches down.

Two kinds, never to be compared with each other or with plain scores as if they were the same:

* inductive: what is known beforehand, a bank of *training* queries, tells which candidates are hubs;
* transductive: *all test queries* are looked at before the first is answered.

Both directions are adjusted for their own candidates. (Released code re-uses the text-to-video adjustment,
transposed, for video-to-text, where it cannot change a ranking.)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .ranks import ScoreBlock, Scores

Direction = Literal["t2v", "v2t"]


@dataclass(frozen=True)
class SideTerms:
    """What is known of each text and of each video; the queries' side is neutral."""

    text: Float[Tensor, " text"]
    video: Float[Tensor, " video"]


class Adjusted(Scores):
    """Scores that are functions of a plain score and of what is known of its text and its video."""

    def __init__(
        self, scores: Scores, sides: SideTerms, adjust: Callable[..., Tensor], steepness: float
    ) -> None:
        self.scores = scores
        self.num_texts, self.num_videos = scores.num_texts, scores.num_videos
        self.sides = sides
        self.adjust = adjust
        self.steepness = steepness

    def blocks(self) -> Iterator[ScoreBlock]:
        """Every video once, in any order."""
        for block in self.scores.blocks():
            of_text, of_video = self.sides.text[:, None], self.sides.video[block.videos]
            yield ScoreBlock(block.videos, self.adjust(block.scores, of_text, of_video))

    def pairs(self, videos: Int[Tensor, " text"]) -> Float[Tensor, " text"]:
        """The score of each text with one video."""
        of_video = self.sides.video[videos.to(self.sides.video.device)]
        return self.adjust(self.scores.pairs(videos), self.sides.text, of_video)

    def tie_tolerance(self, truth: Float[Tensor, "*query"]) -> Float[Tensor, "*query"]:
        """The margin of the plain scores, as the adjustment stretches it."""
        return self.scores.tie_tolerance(truth) * self.steepness


class RelativelyAdjusted(Adjusted):
    """Adjusted scores that are exponential in the plain one: their margin grows with them."""

    def tie_tolerance(self, truth: Float[Tensor, "*query"]) -> Float[Tensor, "*query"]:
        """The margin of the plain scores, as the adjustment stretches it."""
        return super().tie_tolerance(truth) * truth.abs()


class AdjustedWhereAsked(RelativelyAdjusted):
    """The same for some queries alone, whose side is a number; where it is NaN the plain score, and margin, stay."""

    def tie_tolerance_of_texts(self, truth: Float[Tensor, "text 1"]) -> Float[Tensor, "text 1"]:
        """The margin of the plain scores, stretched where the text's scores were adjusted."""
        plain = self.scores.tie_tolerance_of_texts(truth)
        return torch.where(self.sides.text[:, None].isnan(), plain, self.tie_tolerance(truth))

    def tie_tolerance_of_videos(
        self, truth: Float[Tensor, " block"], videos: Int[Tensor, " block"]
    ) -> Float[Tensor, " block"]:
        """The margin of the plain scores, stretched where the video's scores were adjusted."""
        plain = self.scores.tie_tolerance_of_videos(truth, videos)
        return torch.where(self.sides.video[videos].isnan(), plain, self.tie_tolerance(truth))


def dual_softmax(scores: Scores, direction: Direction, scale: float = 100.0) -> Scores:
    """DSL: each score times the share that its query has in the candidate's softmax over *all queries*.

    Transductive. It means nothing where a query's scores are negative (``queries_below_zero``): a smaller share then
    makes a larger product. Source: CAMoE (arXiv 2109.04290) section 3.4, at test time as in TS2-Net.
    """

    def adjust(score: Tensor, of_text: Tensor, of_video: Tensor) -> Tensor:
        return score * torch.exp(scale * score - of_text - of_video)

    return RelativelyAdjusted(scores, _candidates(scores, direction, scale), adjust, scale)


def queries_below_zero(scores: Scores, direction: Direction) -> int:
    """How many queries have no candidate with a score above 0."""
    best: Tensor | None = None
    below = 0
    for block in scores.blocks():
        if direction == "v2t":
            below += int((block.scores.amax(dim=0) <= 0).sum())
            continue
        some = block.scores.amax(dim=1)
        best = some if best is None else torch.maximum(best, some)
    return below if best is None else int((best <= 0).sum())


def querybank(
    scores: Scores, bank: Scores, direction: Direction, scale: float = 20.0, nearest: int = 1
) -> Scores:
    """QB-Norm with the dynamic inverted softmax: a query whose best candidate is a hub of the bank is normalised.

    Inductive where the bank holds training queries: training texts with the test videos for ``t2v``, test texts
    with the training videos for ``v2t``.

    Args:
        scores: of the test queries.
        bank: of the bank's queries with the same candidates.
        direction: which side asks.
        scale: inverse temperature, on cosines.
        nearest: how many candidates of each bank query count as hubs.

    Source: Bogolin et al. (CVPR 2022, arXiv 2112.12777) equations 4-6.
    """
    best = best_candidates(bank, direction, nearest).flatten()
    candidates = scores.num_videos if direction == "t2v" else scores.num_texts
    is_hub = torch.zeros(candidates, dtype=torch.bool, device=best.device)
    is_hub[best] = True
    asks_hub = is_hub[best_candidates(scores, direction, 1).flatten()]
    return AdjustedWhereAsked(
        scores, _bank_sides(bank, direction, scale, asks_hub), _where_asked(scale), scale
    )


def sinkhorn(
    scores: Scores,
    direction: Direction,
    bank: Scores | None = None,
    temperature: float | None = 0.01,
    iterations: int = 4,
) -> Adjusted:
    """A bias for each candidate under which queries and candidates share their mass evenly.

    Args:
        scores: of the test queries.
        direction: which side asks.
        bank: scores of training queries with the same candidates: inductive. None: the test queries themselves,
            transductive.
        temperature: of the similarity kernel, on cosines. None: a quarter of the standard deviation of the scores
            that are balanced, so that scores of another scale are ranked alike.
        iterations: of the balancing.

    Source: Sinkhorn and Knopp 1967, in the log domain; used for retrieval by arXiv 2311.08143 and UCoFiA.
    """
    queries = scores if bank is None else bank
    if temperature is None:
        # Where all scores are equal any temperature will do.
        temperature = standard_deviation(queries) / 4 or 1.0
    candidate, asking = (_per_video, _per_text) if direction == "t2v" else (_per_text, _per_video)
    bias: Tensor | None = None
    for _ in range(iterations):
        bias = -candidate(queries, 1 / temperature, -asking(queries, 1 / temperature, bias))
    assert bias is not None, "iterations must be at least 1"

    def adjust(score: Tensor, of_text: Tensor, of_video: Tensor) -> Tensor:
        return score / temperature + of_text + of_video

    neutral = bias.new_zeros(scores.num_texts if direction == "t2v" else scores.num_videos)
    sides = SideTerms(neutral, bias) if direction == "t2v" else SideTerms(bias, neutral)
    return Adjusted(scores, sides, adjust, 1 / temperature)


def standard_deviation(scores: Scores) -> float:
    """Of all scores, as numpy's ``std`` has it."""
    count, mean, squares = 0, 0.0, 0.0
    for block in scores.blocks():
        some = block.scores.double()
        gap = float(some.mean()) - mean
        total = count + some.numel()
        squares += float(some.var(correction=0)) * some.numel() + gap**2 * count * some.numel() / total
        mean, count = mean + gap * some.numel() / total, total
    return (squares / count) ** 0.5


def best_candidates(scores: Scores, direction: Direction, count: int) -> Int[Tensor, "query best"]:
    """The best candidates of each query."""
    if direction == "v2t":
        return _best_texts(scores, count)
    found: tuple[Tensor, Tensor] | None = None
    for block in scores.blocks():
        values, places = block.scores.topk(min(count, len(block.videos)), dim=1)
        indices = block.videos[places]
        if found is not None:
            values, indices = torch.cat([found[0], values], 1), torch.cat([found[1], indices], 1)
            values, places = values.topk(min(count, values.shape[1]), dim=1)
            indices = indices.gather(1, places)
        found = values, indices
    assert found is not None, "there is no candidate"
    return found[1]


def _best_texts(scores: Scores, count: int) -> Int[Tensor, "video best"]:
    parts = [
        (s.videos, s.scores.topk(min(count, scores.num_texts), dim=0).indices.T) for s in scores.blocks()
    ]
    best = torch.cat([indices for _, indices in parts])
    ordered = torch.empty_like(best)
    ordered[torch.cat([videos for videos, _ in parts])] = best
    return ordered


def _candidates(scores: Scores, direction: Direction, scale: float) -> SideTerms:
    """The log of each candidate's softmax denominator over the queries."""
    if direction == "t2v":
        of_video = _per_video(scores, scale)
        return SideTerms(of_video.new_zeros(scores.num_texts), of_video)
    of_text = _per_text(scores, scale)
    return SideTerms(of_text, of_text.new_zeros(scores.num_videos))


def _bank_sides(
    bank: Scores, direction: Direction, scale: float, asks_hub: Bool[Tensor, " query"]
) -> SideTerms:
    """As ``_candidates`` over the bank's queries; the side that asks is NaN where a query stays as it is."""
    candidates = _per_video(bank, scale) if direction == "t2v" else _per_text(bank, scale)
    asking = torch.zeros(len(asks_hub), dtype=candidates.dtype, device=candidates.device)
    asking[~asks_hub] = float("nan")
    return SideTerms(asking, candidates) if direction == "t2v" else SideTerms(candidates, asking)


def _where_asked(scale: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def adjust(score: Tensor, of_text: Tensor, of_video: Tensor) -> Tensor:
        normalised = torch.exp(scale * score - of_text - of_video)
        return torch.where(normalised.isnan(), score, normalised)

    return adjust


def _per_video(
    scores: Scores, scale: float, of_text: Float[Tensor, " text"] | None = None
) -> Float[Tensor, " video"]:
    """Log of the sum over texts of exp(scale * score + what the text adds)."""
    parts: list[Tensor] = []
    order: list[Tensor] = []
    for block in scores.blocks():
        terms = block.scores * scale
        parts.append(torch.logsumexp(terms if of_text is None else terms + of_text[:, None], dim=0))
        order.append(block.videos)
    sums = torch.cat(parts)
    ordered = torch.empty_like(sums)
    ordered[torch.cat(order)] = sums
    return ordered


def _per_text(
    scores: Scores, scale: float, of_video: Float[Tensor, " video"] | None = None
) -> Float[Tensor, " text"]:
    """Log of the sum over videos of exp(scale * score + what the video adds)."""
    total: Tensor | None = None
    for block in scores.blocks():
        terms = block.scores * scale
        part = torch.logsumexp(terms if of_video is None else terms + of_video[block.videos], dim=1)
        total = part if total is None else torch.logaddexp(total, part)
    assert total is not None, "there is no video"
    return total
