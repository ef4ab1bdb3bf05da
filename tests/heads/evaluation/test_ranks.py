from itertools import permutations
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from tvr.data.contracts.errors import DataError, TrainingError
from tvr.heads.evaluation.ranks import Ranks, ScoreBlock, rank_both

from ...fixtures.matrix_scores import MatrixScores


def diagonal(matrix: Tensor) -> Tensor:
    return torch.arange(len(matrix))


def rank_of(scores: list[float], true: int) -> float:
    """By plain loops: the mean of the places that the true candidate's score takes up."""
    ahead = sum(score > scores[true] for score in scores)
    equal = sum(score == scores[true] for score in scores)
    return 1 + ahead + (equal - 1) / 2


def few_levels(texts: int, videos: int, seed: int) -> Tensor:
    """Scores of four values only, so that almost every query ties."""
    return torch.randint(0, 4, (texts, videos), generator=torch.Generator().manual_seed(seed)).float()


class InBlocks(MatrixScores):
    """A matrix that is only ever shown a few columns at a time, in no particular order."""

    def blocks(self):
        order = torch.randperm(self.num_videos, generator=torch.Generator().manual_seed(0))
        for some in order.split(3):
            yield ScoreBlock(some, self.matrix[:, some])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 999))
def test_single_ranks_equal_loops(size: int, seed: int) -> None:
    matrix = few_levels(size, size, seed)
    ranks = rank_both(MatrixScores(matrix), diagonal(matrix))
    assert ranks.t2v.ranks.tolist() == [rank_of(matrix[i].tolist(), i) for i in range(size)]
    assert ranks.v2t.ranks.tolist() == [rank_of(matrix[:, i].tolist(), i) for i in range(size)]
    assert ranks.v2t_any_caption.ranks.tolist() == ranks.v2t.ranks.tolist()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 999))
def test_multi_ranks_equal_loops(owners: list[int], seed: int) -> None:
    text_video = torch.tensor(owners)
    matrix = few_levels(len(owners), 5, seed)
    ranks = rank_both(InBlocks(matrix), text_video)
    assert ranks.t2v.ranks.tolist() == [
        rank_of(row.tolist(), o) for row, o in zip(matrix, owners, strict=True)
    ]
    described = sorted(set(owners))
    grouped, best_placed = [], []
    for video in described:
        column = matrix[:, video].tolist()
        best = [max(s for s, o in zip(column, owners, strict=True) if o == other) for other in described]
        grouped.append(rank_of(best, described.index(video)))
        own = max(s for s, o in zip(column, owners, strict=True) if o == video)
        others = [s for s, o in zip(column, owners, strict=True) if o != video]
        best_placed.append(rank_of([own, *others], 0))
    assert ranks.v2t.ranks.tolist() == grouped
    assert ranks.v2t_any_caption.ranks.tolist() == best_placed
    assert ranks.v2t.candidates == len(described)
    assert ranks.v2t_any_caption.candidates == len(owners)


def test_blocks_change_nothing() -> None:
    matrix = few_levels(40, 40, 3)
    whole = rank_both(MatrixScores(matrix), diagonal(matrix))
    cut = rank_both(InBlocks(matrix), diagonal(matrix))
    assert whole.t2v.ranks.tolist() == cut.t2v.ranks.tolist()
    assert whole.v2t.ranks.tolist() == cut.v2t.ranks.tolist()
    assert whole.t2v.tied_queries == cut.t2v.tied_queries > 0


def test_a_head_without_an_opinion_is_at_chance() -> None:
    ranks = rank_both(MatrixScores(torch.zeros(100, 100)), torch.arange(100)).t2v
    assert [ranks.recall(k) for k in (1, 5, 10, 50, 100)] == pytest.approx([1, 5, 10, 50, 100])
    assert ranks.mean_rank == ranks.median_rank == 50.5
    assert ranks.tied_queries == 100


@pytest.mark.parametrize(("group", "r1", "r5"), [(2, 50, 100), (3, 100 / 3, 100), (6, 100 / 6, 500 / 6)])
def test_groups_that_score_alike_are_told_apart_by_chance(group: int, r1: float, r5: float) -> None:
    matrix = torch.block_diag(*[torch.ones(group, group)] * 10)
    for ranks in (
        rank_both(MatrixScores(matrix), diagonal(matrix)).t2v,
        rank_both(MatrixScores(matrix), diagonal(matrix)).v2t,
    ):
        assert (ranks.recall(1), ranks.recall(5)) == pytest.approx((r1, r5))


def by_every_order(scores: list[float], true: set[int], k: int) -> float:
    """How often one of the true candidates is among the first k, over every order that the scores admit."""
    found = []
    for order in permutations(range(len(scores))):
        placed = sorted(order, key=lambda i: -scores[i])  # stable: ties stay as they were shuffled
        found.append(bool(true & set(placed[:k])))
    return 100 * fmean(found)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=6), st.integers(0, 999))
def test_recall_is_what_every_order_of_the_tied_gives_on_average(owners: list[int], seed: int) -> None:
    text_video = torch.tensor(owners)
    matrix = few_levels(len(owners), 3, seed)
    ranks = rank_both(InBlocks(matrix), text_video)
    described = sorted(set(owners))
    for k in (1, 5):
        t2v = [by_every_order(row.tolist(), {o}, k) for row, o in zip(matrix, owners, strict=True)]
        assert ranks.t2v.recall(k) == pytest.approx(fmean(t2v))
        best, any_caption = [], []
        for video in described:
            column = matrix[:, video].tolist()
            grouped = [
                max(s for s, o in zip(column, owners, strict=True) if o == other) for other in described
            ]
            best.append(by_every_order(grouped, {described.index(video)}, k))
            own = {text for text, owner in enumerate(owners) if owner == video}
            any_caption.append(by_every_order(column, own, k))
        assert ranks.v2t.recall(k) == pytest.approx(fmean(best))
        assert ranks.v2t_any_caption.recall(k) == pytest.approx(fmean(any_caption))


@pytest.mark.parametrize(
    "kind", [torch.int8, torch.uint64, torch.int64, torch.float16, torch.bfloat16, torch.float64]
)
def test_matrices_of_every_number_type(kind: torch.dtype) -> None:
    matrix = few_levels(9, 9, 5)
    wanted = rank_both(MatrixScores(matrix), diagonal(matrix))
    found = rank_both(MatrixScores(matrix.to(kind)), diagonal(matrix))
    for ours, theirs in ((found.t2v, wanted.t2v), (found.v2t, wanted.v2t)):
        assert ours.ranks.tolist() == theirs.ranks.tolist()


@pytest.mark.parametrize("least", [-(2**63) + 1, -1, 2**53, 2**63 - 3])
@pytest.mark.parametrize("owners", [[0, 1], [0, 0, 1]])
def test_whole_numbers_that_no_double_tells_apart(least: int, owners: list[int]) -> None:
    matrix = torch.tensor([[least + (video == own) for video in range(2)] for own in owners])
    found = rank_both(MatrixScores(matrix), torch.tensor(owners))
    for some in (found.t2v, found.v2t, found.v2t_any_caption):
        assert some.recall(1) == 100


@pytest.mark.parametrize("broken", [np.array([[1, -(2**63)]]), np.array([[0, 2**63]], np.uint64)])
def test_whole_numbers_fail_beyond_64_bits(broken: np.ndarray) -> None:
    with pytest.raises(DataError, match="greater than -2"):
        rank_both(MatrixScores(broken), torch.tensor([0]))


def test_shared_captions_of_msrvtt() -> None:
    """A perfect model on 1,000 pairs of which nine share four captions: the published code divides by 1,012."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand(1000, 1000, generator=generator) * 0.5 + torch.eye(1000)
    for group in ([0, 1, 2], [3, 4], [5, 6], [7, 8]):
        matrix[group] = matrix[group[0]].clone()
    ranks = rank_both(MatrixScores(matrix), diagonal(matrix)).v2t
    assert ranks.num_queries == 1000
    assert ranks.recall(1) == pytest.approx(
        (991 + 1 / 3 + 3 / 2) / 10
    )  # four shared ones are right by chance


@pytest.mark.oracle("metrics")
def test_released_metrics(oracle_file: Path) -> None:
    stored = np.load(oracle_file)
    names = ("R@1", "R@5", "R@10", "MdR", "MnR")
    assert list(stored["metric_names"]) == list(names)
    ranks = rank_both(MatrixScores(stored["similarity"]), torch.arange(len(stored["similarity"])))
    owners = torch.from_numpy(
        np.repeat(np.arange(len(stored["captions_per_video"])), stored["captions_per_video"])
    )
    several = rank_both(MatrixScores(stored["multi_similarity"]), owners)
    for ours, key in (
        (ranks.t2v, "t2v"),
        (ranks.v2t, "v2t"),
        (several.t2v, "multi_t2v"),
        (several.v2t, "multi_v2t"),
    ):
        figures = ours.summary()
        assert [figures[name] for name in names] == pytest.approx(stored[key].tolist(), abs=1e-4), key


def test_real_matrices(shared: Path) -> None:
    """Known figures count strictly higher scores; ours count half of each tie more."""
    video = np.load(shared / "data" / "similarity" / "msrvtt_video_matrix.npy")
    titles = np.load(shared / "data" / "similarity" / "msrvtt_titles_matrix.npy")

    def strict(ranks: Ranks) -> list[float]:
        ahead = ranks.ahead
        return [round(100 * float((ahead < k).mean()), 1) for k in (1, 5, 10)] + [
            float(np.median(ahead)) + 1,
            round(float(ahead.mean()) + 1, 1),
        ]

    pairs = torch.arange(1000)
    both = rank_both(MatrixScores(video), pairs)
    assert strict(both.t2v) == [48.0, 73.0, 82.9, 2, 13.1]
    assert strict(both.v2t) == [46.0, 74.1, 82.8, 2, 8.7]
    assert strict(rank_both(MatrixScores(titles), pairs).t2v)[:3] == [29.7, 55.8, 66.6]
    mixed = rank_both(MatrixScores(0.73 * video + 0.27 * titles), pairs)
    assert strict(mixed.t2v)[:3] == [49.1, 74.8, 83.0]
    assert strict(mixed.v2t)[:3] == [47.0, 74.6, 83.4]
    assert (strict(mixed.t2v)[4], strict(mixed.v2t)[4]) == (12.5, 8.8)
    tied = both.v2t
    assert tied.tied_queries == int(((video == np.diag(video)).sum(0) > 1).sum()) > 0
    assert tied.mean_rank == pytest.approx(1 + tied.ahead.mean() + tied.tied.mean() / 2)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_ranks_fails_on_scores_that_are_no_numbers(broken: float) -> None:
    matrix = torch.rand(5, 5)
    matrix[3, 1] = broken
    with pytest.raises(TrainingError, match="1 of 25 similarities"):
        rank_both(MatrixScores(matrix), diagonal(matrix))


def test_ranks_fails_without_a_true_match() -> None:
    matrix = torch.rand(3, 5)
    with pytest.raises(DataError, match="one of 5 videos"):
        rank_both(MatrixScores(matrix), torch.tensor([0, 1, 5]))
    with pytest.raises(DataError, match="3 texts scored, but 2"):
        rank_both(MatrixScores(matrix), torch.tensor([0, 1]))
    with pytest.raises(DataError, match="no text"):
        rank_both(MatrixScores(matrix[:0]), torch.tensor([], dtype=torch.long))
