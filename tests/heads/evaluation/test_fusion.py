"""Late fusion: several runs on different stores, or matrices, added up by the ids of their rows and columns."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tvr
from tvr.data.contracts.errors import DataError
from tvr.heads import seq_transformer
from tvr.heads.evaluation import fused_scores, scores
from tvr.heads.evaluation.evaluate_runs import EvaluationOptions, zero_shot
from tvr.heads.evaluation.fused_scores import FusedScores, Part, common_part
from tvr.heads.evaluation.fusion import Fusion, Member, best_weights, member_of, scored_fusion, weight_grid
from tvr.heads.evaluation.given_ids import MatrixIds, matrix_ids
from tvr.heads.evaluation.given_scores import GivenScores
from tvr.heads.evaluation.ranks import rank_both
from tvr.heads.evaluation.saved_scores import Basis
from tvr.heads.evaluation.scores import EncodedTexts, EncodedVideos, HeadScores
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.from_store import features_of
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.loop import train
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_features, generated_store
from ...fixtures.shell import tvr as typed

CPU = EvaluationOptions(device="cpu")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on each of two stores, which have other widths and share 12 of the videos of their test splits."""
    workspace = tmp_path_factory.mktemp("fused") / "tvr-workspace"
    made: dict[str, Path] = {}
    for name, dim, videos in (("a", 16, 40), ("b", 24, 36)):
        store = FeatureStore.open(generated_store(workspace / "features" / "toy" / name, dim, videos))
        sets = {split: features_of(store, split) for split in ("train", "val")}
        config = TrainingConfig(epochs=1, batch_size=16, device="cpu")
        made[name] = workspace / "runs" / "toy" / f"run-{name}"
        train("seq_transformer", seq_transformer.Config(layers=1), sets, config, made[name])
    return made


def part(name: str, matrix: Any, texts: Sequence[str], videos: Sequence[str]) -> Part:
    """A matrix with its ids."""
    ids = matrix_ids(texts, videos)
    return Part(name, GivenScores(np.asarray(matrix, np.float32), ids, name), ids, Basis(name, "toy"))


def of_head(name: str, features: FeatureSet) -> Part:
    """Zero-shot mean pooling."""
    head = zero_shot(features).eval()
    ids = MatrixIds(features.text_ids, features.video_ids, features.text_video)
    found = HeadScores(head, EncodedTexts(head, features), EncodedVideos(head, features))
    return Part(name, found, ids, Basis(name, "toy"), sentences=features.texts)


def whole(scores: FusedScores) -> np.ndarray:
    matrix = np.empty((scores.num_texts, scores.num_videos), np.float32)
    scores.write_to(matrix)
    return matrix


def test_rows_and_columns_are_matched_by_id() -> None:
    one = part("one", [[1, 2, 3], [4, 5, 6], [7, 8, 9]], ("a", "b#1", "c"), ("a", "b", "c"))
    two = part("two", [[10, 20], [30, 40]], ("b#1", "a"), ("b", "a"))
    common = common_part([one, two])
    assert (common.ids.texts, common.ids.videos) == (("a", "b#1"), ("a", "b"))
    assert common.ids.text_video.tolist() == [0, 1]
    fused = FusedScores([one, two], common.places, (0.5, 0.25))
    assert whole(fused).tolist() == [[0.5 + 10, 1 + 7.5], [2 + 5, 2.5 + 2.5]]
    assert fused.pairs(common.ids.text_video).tolist() == [10.5, 5.0]
    assert common.notes == ("left out, for not all have them: 1 video and 1 text of one (c)",)
    assert common.lost_videos == {"c": "not in two"}


@pytest.mark.parametrize("numbers_per_block", [1 << 25, 60])
def test_scores_of_heads_are_added_in_blocks(monkeypatch: pytest.MonkeyPatch, numbers_per_block: int) -> None:
    """Of stores of other widths, in another order of length, whole or cut."""
    for module in (scores, fused_scores):
        monkeypatch.setattr(module, "NUMBERS_PER_BLOCK", numbers_per_block)
    parts = [
        of_head(name, generated_features("test", dim=dim, seed=dim)) for name, dim in (("a", 16), ("b", 24))
    ]
    common = common_part(parts)
    fused = FusedScores(parts, common.places, (0.25, 0.75))
    plain = [np.empty((24, 24), np.float32) for _ in parts]
    for one, matrix in zip(parts, plain, strict=True):
        one.scores.write_to(matrix)
    expected = 0.25 * plain[0] + 0.75 * plain[1]
    np.testing.assert_allclose(whole(fused), expected, atol=1e-6)
    np.testing.assert_allclose(fused.pairs(common.ids.text_video), expected.diagonal(), atol=1e-6)
    assert float(fused.tie_tolerance(torch.zeros(1))) == pytest.approx(1e-6), "cosines that are equal stay so"


def test_parts_without_anything_in_common_fail() -> None:
    one = part("one", np.eye(2), ("a", "b"), ("a", "b"))
    for texts, videos, said in (
        (("c", "d"), ("c", "d"), "one and two have no text and video in common"),
        ({"a": "b", "b": "a"}, ("a", "b"), "text 'a' describes 'a' in one and 'b' in two"),
    ):
        ids = matrix_ids(texts, videos)
        two = Part("two", GivenScores(np.eye(2), ids, "two"), ids, Basis("two", "toy"))
        with pytest.raises(DataError) as refused:
            common_part([one, two])
        assert said in str(refused.value)
    features = generated_features()
    head = of_head("a", features)
    other = Part("b", head.scores, head.ids, head.basis, sentences=tuple(f"other {i}" for i in range(24)))
    with pytest.raises(DataError, match="'caption 0' in a and 'other 0' in b"):
        common_part([head, other])


def test_weights_are_shared_in_equal_steps() -> None:
    assert [one[0] for one in weight_grid(2)] == [step / 20 for step in range(21)]
    for parts in (2, 3, 4, 6):
        grid = weight_grid(parts)
        assert len(set(grid)) == len(grid) <= 250
        assert all(len(one) == parts and sum(one) == pytest.approx(1) and min(one) >= 0 for one in grid)
        assert {one.index(1.0) for one in grid if 1.0 in one} == set(range(parts))


def test_the_best_weights_are_the_most_even_of_the_best() -> None:
    """Each of two is right where the other is wrong."""
    right, ids = np.eye(4), ("a", "b", "c", "d")
    one = part("one", right * [1, 1, 0, 0], ids, ids)
    two = part("two", right * [0, 0, 1, 1], ids, ids)
    common = common_part([one, two])
    weights, score = best_weights([one, two], common)
    assert (weights, score) == ((0.5, 0.5), 600.0)
    alone = rank_both(FusedScores([one], common.places[:1], (1.0,)), common.ids.text_video)
    assert alone.t2v.recall(1) < 100


def test_runs_on_different_stores_are_fused(runs: dict[str, Path]) -> None:
    fusion = scored_fusion([Member(runs["a"]), Member(runs["b"])], replace(CPU, normalise=("sinkhorn",)))
    assert [one.run for one in fusion.scored] == [runs["a"], runs["b"], None]
    together = fusion.scored[-1]
    assert sum(together.weights.values()) == pytest.approx(1)
    assert together.notes[0].startswith("weights found on the validation split: run-a:")
    assert together.notes[1].startswith(
        "left out, for not all have them: 8 videos and 16 texts of run-a (video00072"
    )
    for one in fusion.scored:
        assert (one.evaluation.videos, one.evaluation.texts, one.evaluation.expected_videos) == (12, 24, 26)
        assert "14 videos and 28 texts excluded: not a figure of the full split" in one.evaluation.coverage
        assert list(one.evaluation.normalised) == ["sinkhorn"]
    assert together.evaluation.excluded_videos["video00054"] == "not in run-a"
    assert together.facts["store"].count(" + ") == 1


def test_a_run_alone_has_the_figures_that_it_has_without_fusion(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """Beside a second one of the same store that counts for nothing, and so has their sum."""
    again = shutil.copytree(runs["a"], runs["a"].parent / "again")
    sum_of = scored_fusion([Member(runs["a"], 1.0), Member(again, 0.0)], CPU)
    known = tvr.evaluate(runs["a"], device="cpu")
    for one in sum_of.scored:
        assert one.evaluation.ranks.t2v.ranks.tolist() == known[-1].evaluation.ranks.t2v.ranks.tolist()
        assert one.evaluation.ranks.v2t.tied.tolist() == known[-1].evaluation.ranks.v2t.tied.tolist()


def test_a_sum_as_typed_is_kept_and_read_back(runs: dict[str, Path], tmp_path: Path) -> None:
    at = runs["a"].parents[3]
    line = ["eval", "--fuse", "run-a:3", "run-b:1"]
    answer = typed(*line, "--json", "--save-similarity", tmp_path / "sum.npy", cwd=at)
    assert answer.code == 0, answer.err
    *_, together = json.loads(answer.out)["runs"]
    assert together["weights"] == {"run-a": 0.75, "run-b": 0.25}
    assert "left out, for not all have them" in answer.err
    read = tvr.evaluate(matrix=tmp_path / "sum.npy")
    assert read.record()[0]["t2v"] == together["t2v"]
    in_python = tvr.evaluate("run-a", runs["b"], fuse=[3, 1], workspace=at / "tvr-workspace", device="cpu")
    assert in_python.t2v.recall(5) == together["t2v"]["R@5"]
    shown = typed(*line, cwd=at)
    assert "0.75 run-a + 0.25 run-b" in shown.out
    assert "a weighted sum of scores as they are, none rescaled" in shown.out
    assert "zero-shot" not in shown.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run-a"], "--fuse takes two or more runs or matrices, got 1"),
        (["run-a", "run-a"], "takes each run or matrix once"),
        (["run-a:0.5", "run-b"], "a weight for each (a:0.7 b:0.3), or for none"),
        (["run-a:-1", "run-b:2"], "are 0 or more and not all 0, got -1.0, 2.0"),
        (["run-a:nan", "run-b:2"], "are 0 or more and not all 0"),
        (["run-a", "scores.npy"], "of scores.npy there are no scores of a validation split"),
        (["run-a", "run-c"], "unknown run 'run-c'"),
        (
            ["run-a", "run-b", "--normalise", "qb_norm"],
            "takes training queries, and a sum of scores has none",
        ),
        (["run-a", "run-b", "--report"], "no --zero-shot and no --report"),
    ],
)
def test_a_sum_as_typed_fails(runs: dict[str, Path], words: list[str], said: str) -> None:
    answer = typed("eval", "--fuse", *words, cwd=runs["a"].parents[3])
    assert answer.code == 2, answer.err
    assert said in " ".join(answer.err.split())


def test_a_weight_stands_behind_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:0.5").mkdir()
    assert member_of("run:0.5") == Member(Path("run"), 0.5)
    assert member_of("odd:0.5") == Member(Path("odd:0.5"))
    assert member_of("run:best") == Member(Path("run:best"))


def test_matrices_without_ids_are_of_one_size(tmp_path: Path) -> None:
    def fused(*names: str) -> Fusion:
        return scored_fusion([Member(tmp_path / name, 1.0) for name in names], CPU)

    for name, size in (("a", 3), ("b", 3), ("c", 2)):
        np.save(tmp_path / f"{name}.npy", np.eye(size))
    assert fused("a.npy", "b.npy").scored[-1].evaluation.ranks.t2v.recall(1) == 100
    with pytest.raises(DataError, match="Only matrices of one size can do without"):
        fused("a.npy", "c.npy")


def test_the_figure_of_cap4video_comes_out(shared: Path) -> None:
    """Its two matrices of MSR-VTT 1k-A, added as its code adds them."""
    folder = shared / "data" / "similarity"
    video, titles = folder / "msrvtt_video_matrix.npy", folder / "msrvtt_titles_matrix.npy"
    answer = typed("eval", "--fuse", f"{video}:0.73", f"{titles}:0.27", "--json", cwd=folder)
    assert answer.code == 0, answer.err
    together = json.loads(answer.out)["runs"][-1]
    found = [together["t2v"][name] for name in ("R@1", "R@5", "R@10", "MnR")]
    assert found == pytest.approx([49.1, 74.8, 83.0, 12.5], abs=0.051)
    back = [together["v2t"][name] for name in ("R@1", "R@5", "R@10", "MnR")]
    assert back == pytest.approx([47.0, 74.6, 83.4, 8.8], abs=0.21), (
        "nine captions tie, which its code counts as hits"
    )
    assert together["weights"] == {video.name: 0.73, titles.name: 0.27}
