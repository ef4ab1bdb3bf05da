from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from tvr.data.contracts.errors import UsageError
from tvr.heads.evaluation.hubness import (
    Direction,
    best_candidates,
    dual_softmax,
    querybank,
    sinkhorn,
    standard_deviation,
)
from tvr.heads.evaluation.normalisations import PUBLISHED, caveat, normalised_ranks
from tvr.heads.evaluation.ranks import ScoreBlock, Scores, rank_both

from ...fixtures.matrix_scores import MatrixScores

TOY = torch.tensor([[0.30, 0.31], [0.10, 0.30]], dtype=torch.float64)
TOY_BANK = torch.tensor([[0.20, 0.35], [0.1, 0.3], [0.25, 0.2]], dtype=torch.float64)


class InBlocks(MatrixScores):
    def blocks(self):
        for some in torch.randperm(self.num_videos, generator=torch.Generator().manual_seed(1)).split(3):
            yield ScoreBlock(some, self.matrix[:, some])


def whole(scores: Scores) -> Tensor:
    """The adjusted matrix."""
    matrix = torch.empty(scores.num_texts, scores.num_videos, dtype=torch.float64)
    for block in scores.blocks():
        matrix[:, block.videos] = block.scores.double()
    return matrix


def random_matrix(rows: int, columns: int, seed: int) -> Tensor:
    return (
        torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.5
        - 0.1
    )


def test_toy_dual_softmax() -> None:
    t2v = whole(dual_softmax(MatrixScores(TOY), "t2v"))
    torch.testing.assert_close(
        t2v, torch.tensor([[0.3, 0.226628], [0.0, 0.080682]]).double(), atol=1e-6, rtol=0
    )
    v2t = whole(dual_softmax(MatrixScores(TOY), "v2t"))
    torch.testing.assert_close(
        v2t, torch.tensor([[0.080682, 0.226628], [0.0, 0.3]]).double(), atol=1e-6, rtol=0
    )


def test_toy_querybank() -> None:
    expected = torch.tensor([[1.91743, 0.31695], [0.03512, 0.25950]]).double()
    found = whole(querybank(MatrixScores(TOY), MatrixScores(TOY_BANK), "t2v"))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_toy_sinkhorn() -> None:
    expected = torch.tensor([[32.0176, 29.8932], [12.0176, 28.8932]]).double()
    found = whole(sinkhorn(MatrixScores(TOY), "t2v"))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.oracle("metrics")
def test_released_normalisations(oracle_file: Path) -> None:
    stored = np.load(oracle_file)
    similarity, bank = MatrixScores(stored["similarity"]), MatrixScores(stored["qb_bank"])
    before = stored["similarity"].copy()
    dsl = whole(dual_softmax(similarity, "t2v"))
    torch.testing.assert_close(dsl, torch.from_numpy(stored["dsl_t2v"]), atol=1e-7, rtol=1e-5)
    normalised = whole(querybank(similarity, bank, "t2v", float(stored["qb_beta"]), int(stored["qb_k"])))
    torch.testing.assert_close(normalised, torch.from_numpy(stored["qb_normalised"]), atol=1e-7, rtol=1e-5)
    np.testing.assert_array_equal(stored["similarity"], before)


@pytest.mark.oracle("sinkhorn")
@pytest.mark.parametrize("key", ["tau001", "taurule"])
def test_released_sinkhorn(oracle_file: Path, key: str) -> None:
    stored = np.load(oracle_file)
    matrix = MatrixScores(stored["similarity"])
    rounds = int(stored["iterations"])
    temperature = float(stored["tau001"]) if key == "tau001" else None

    def adjusted(direction: Direction, bank: MatrixScores | None = None) -> Tensor:
        found = sinkhorn(matrix, direction, bank, temperature, rounds)
        # The release leaves scores on the scale of cosines, and hubness is defined up to a constant.
        return (whole(found) - whole(found).mean()) / found.steepness

    bank = MatrixScores(stored["bank_text_video"])
    for found, wanted in (
        (adjusted("t2v"), stored[f"{key}.t2v"]),
        (adjusted("v2t"), stored[f"{key}.v2t"]),
        (adjusted("t2v", bank), stored[f"{key}.bank.t2v"]),
    ):
        torch.testing.assert_close(found, torch.from_numpy(wanted - wanted.mean()), atol=1e-12, rtol=0)
    normalised = whole(querybank(matrix, bank, "t2v", 1 / float(stored["tau001"]), 1))
    torch.testing.assert_close(
        normalised, torch.from_numpy(stored["qb_norm_tau001_k1"]), atol=1e-9, rtol=1e-6
    )


def test_the_temperature_of_the_rule_follows_the_scale() -> None:
    matrix = random_matrix(30, 20, 4)
    assert standard_deviation(InBlocks(matrix)) == pytest.approx(matrix.numpy().std())
    plain, tripled = (sinkhorn(MatrixScores(by * matrix), "t2v", None, None) for by in (1, 3))
    torch.testing.assert_close(whole(plain), whole(tripled))
    assert plain.steepness == pytest.approx(4 / matrix.numpy().std())
    assert whole(sinkhorn(MatrixScores(torch.ones(3, 4)), "t2v", None, None)).isfinite().all()


@pytest.mark.parametrize("shift", [-2.0, -0.4, 0.3, 5.0])
@pytest.mark.parametrize("direction", ["t2v", "v2t"])
def test_a_shift_of_all_scores_changes_no_ranking(direction: Direction, shift: float) -> None:
    matrix = random_matrix(30, 30, 5)
    bank = random_matrix(40, 30, 6) if direction == "t2v" else random_matrix(30, 40, 6)
    pairs = torch.arange(30)
    for adjust in (
        lambda m, b: sinkhorn(m, direction),
        lambda m, b: sinkhorn(m, direction, b),
        lambda m, b: sinkhorn(m, direction, b, None),
        lambda m, b: querybank(m, b, direction),
    ):
        ours, shifted = (
            rank_both(adjust(MatrixScores(matrix + by), MatrixScores(bank + by)), pairs)
            for by in (0.0, shift)
        )
        name = "t2v" if direction == "t2v" else "v2t"
        assert getattr(ours, name).ranks.tolist() == getattr(shifted, name).ranks.tolist()


def test_dsl_is_refused_where_a_query_scores_nothing_above_zero(shared: Path) -> None:
    matrix = np.load(shared / "data" / "similarity" / "msrvtt_video_matrix.npy")
    pairs = torch.arange(len(matrix))
    plain = normalised_ranks("dsl", MatrixScores(matrix), None, pairs, PUBLISHED)
    assert plain.t2v.recall(1) > 50
    assert caveat("dsl", MatrixScores(matrix), pairs) is None
    with pytest.raises(UsageError, match=r"1,000 of the texts score no more than 0 with all videos"):
        normalised_ranks("dsl", MatrixScores(matrix - np.float32(0.4)), None, pairs, PUBLISHED)
    told = caveat("dsl", MatrixScores(matrix - np.float32(0.15)), pairs)
    assert told is not None and "right pairs score below 0" in told


def test_a_query_that_stays_as_it_is_ties_by_the_plain_margin() -> None:
    """Where QB-Norm leaves a query alone, what ties in plain scores ties, and nothing else."""

    class Rounded(MatrixScores):
        def tie_tolerance(self, truth: Tensor) -> Tensor:
            return torch.full_like(truth, 1e-3)

    # The bank's hub is candidate 2, which nobody asks for: every query stays as it is.
    matrix = torch.tensor([[0.5, 0.5009, 0.1], [0.4, 0.402, 0.1], [0.1, 0.2, 0.3]], dtype=torch.float64)
    bank = torch.tensor([[0.0, 0.0, 0.9]], dtype=torch.float64)
    asked = matrix[:2]
    ranks = rank_both(querybank(Rounded(asked), Rounded(bank), "t2v"), torch.tensor([0, 0])).t2v
    assert (ranks.tied.tolist(), ranks.ahead.tolist()) == ([1, 0], [0, 1])
    by_video = rank_both(
        querybank(Rounded(asked.T), Rounded(bank.T), "v2t"), torch.tensor([0, 1, 1])
    ).v2t_any_caption
    assert (by_video.tied.tolist(), by_video.ahead.tolist()) == ([1, 0], [0, 0])


@pytest.mark.parametrize("name", ["dsl", "qb", "sinkhorn", "sinkhorn bank"])
def test_video_to_text_is_text_to_video_of_the_transposed(name: str) -> None:
    """The published v2t adjustments change no ranking; ours are those of t2v with the sides exchanged."""
    matrix, texts, videos = random_matrix(9, 7, 0), random_matrix(20, 7, 1), random_matrix(9, 15, 2)
    cases = {
        "dsl": lambda m, b, d: dual_softmax(m, d, 30.0),
        "qb": lambda m, b, d: querybank(m, b, d, 20.0, 2),
        "sinkhorn": lambda m, b, d: sinkhorn(m, d, temperature=0.05),
        "sinkhorn bank": lambda m, b, d: sinkhorn(m, d, b, temperature=0.05),
    }
    v2t = whole(cases[name](InBlocks(matrix), InBlocks(videos), "v2t"))
    exchanged = whole(cases[name](InBlocks(matrix.T), InBlocks(videos.T), "t2v"))
    torch.testing.assert_close(v2t, exchanged.T)
    t2v = whole(cases[name](InBlocks(matrix), InBlocks(texts), "t2v"))
    torch.testing.assert_close(t2v, whole(cases[name](MatrixScores(matrix), MatrixScores(texts), "t2v")))
    assert not torch.equal(v2t.argsort(0), matrix.argsort(0))


def test_sinkhorn_balances() -> None:
    matrix = random_matrix(12, 12, 3)
    balanced = whole(sinkhorn(MatrixScores(matrix), "t2v", temperature=0.1, iterations=200)).softmax(dim=1)
    torch.testing.assert_close(balanced.sum(0), torch.ones(12).double(), atol=1e-6, rtol=0)


def test_adjusted_pairs_are_those_of_the_blocks() -> None:
    matrix, bank = random_matrix(6, 5, 4), random_matrix(8, 5, 5)
    videos = torch.tensor([0, 4, 2, 2, 1, 3])
    for scores in (
        dual_softmax(InBlocks(matrix), "t2v"),
        dual_softmax(InBlocks(matrix), "v2t"),
        querybank(InBlocks(matrix), InBlocks(bank), "t2v"),
        sinkhorn(InBlocks(matrix), "v2t"),
    ):
        torch.testing.assert_close(scores.pairs(videos), whole(scores)[torch.arange(6), videos])


def test_best_candidates() -> None:
    matrix = random_matrix(6, 8, 6)
    assert best_candidates(InBlocks(matrix), "t2v", 3).tolist() == matrix.topk(3, dim=1).indices.tolist()
    assert best_candidates(InBlocks(matrix), "v2t", 2).tolist() == matrix.topk(2, dim=0).indices.T.tolist()


def test_normalisation_helps_where_there_is_a_hub(shared: Path) -> None:
    matrix = np.load(shared / "data" / "similarity" / "msrvtt_video_matrix.npy")
    pairs = torch.arange(1000)
    plain = rank_both(MatrixScores(matrix), pairs)
    for adjusted in (dual_softmax, sinkhorn):
        t2v = rank_both(adjusted(MatrixScores(matrix), "t2v"), pairs).t2v
        v2t = rank_both(adjusted(MatrixScores(matrix), "v2t"), pairs).v2t
        assert t2v.recall(1) > plain.t2v.recall(1) + 2
        assert v2t.recall(1) > plain.v2t.recall(1) + 2
