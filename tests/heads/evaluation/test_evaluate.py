import dataclasses
import json

import pytest
import torch
from tvr.data.contracts.errors import DataError, TrainingError, UsageError
from tvr.heads import mean_pool, wti
from tvr.heads.base import Head
from tvr.heads.evaluation import scores
from tvr.heads.evaluation.evaluate import evaluate, evaluate_scores
from tvr.heads.evaluation.hubness import dual_softmax
from tvr.heads.evaluation.normalisations import NormalisationConfig, banks_of
from tvr.heads.evaluation.ranks import rank_both
from tvr.heads.features.feature_set import FeatureSet, Origin

from ...fixtures.generated import generated_features, generated_rows, without_frames
from ...fixtures.matrix_scores import MatrixScores


def wti_head(features: FeatureSet) -> Head:
    torch.manual_seed(0)
    return wti.Head(wti.Config(layers=1, init="random"), features.shape()).eval()


def by_loops(head: Head, features: FeatureSet) -> torch.Tensor:
    """Every pair on its own, with no padding."""
    shape = head.shape
    matrix = torch.empty(features.num_texts, features.num_videos)
    with torch.no_grad():
        for i in range(features.num_texts):
            text = head.encode_text(features.text_batch(torch.tensor([i]), shape.num_words))
            for j in range(features.num_videos):
                video = head.encode_video(features.video_batch(torch.tensor([j]), shape.num_frames))
                matrix[i, j] = head.similarity(text, video)
    return matrix


@pytest.mark.parametrize("captions", [1, 3])
def test_evaluation_equals_pair_by_pair(captions: int) -> None:
    features = generated_features("test", videos=12, captions=captions, noise=2.0)
    head = wti_head(features)
    found = evaluate(head, features).ranks
    expected = rank_both(MatrixScores(by_loops(head, features)), features.text_video)
    for direction in ("t2v", "v2t", "v2t_any_caption"):
        assert getattr(found, direction).ranks.tolist() == getattr(expected, direction).ranks.tolist()


@pytest.mark.parametrize("captions", [1, 3])
def test_bounded_memory_changes_nothing(captions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features = generated_features("test", videos=40, captions=captions, noise=2.0)
    head = wti_head(features)
    whole = evaluate(head, features).record()
    monkeypatch.setattr(scores, "NUMBERS_PER_BLOCK", 7 * features.num_texts)
    monkeypatch.setattr(scores, "ITEMS_PER_BATCH", 5)
    assert evaluate(head, features).record() == whole


def test_no_block_is_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    features = generated_features("test", videos=40)
    monkeypatch.setattr(scores, "NUMBERS_PER_BLOCK", 280)
    head = wti_head(features)
    texts, videos = scores.EncodedTexts(head, features), scores.EncodedVideos(head, features)
    blocks = list(scores.HeadScores(head, texts, videos).blocks())
    assert max(block.scores.numel() for block in blocks) <= 280
    assert sorted(torch.cat([block.videos for block in blocks]).tolist()) == list(range(40))


def test_equal_items_tie() -> None:
    videos, texts = generated_rows(videos=6, frames=(2, 2), words=(3, 3))
    videos.frames[2:4] = videos.frames[0:2]  # video 1 shows what video 0 shows
    ranks = evaluate(
        mean_pool.Head(mean_pool.Config(), FeatureSet(videos, texts).shape()), FeatureSet(videos, texts)
    ).ranks
    assert ranks.t2v.tied.tolist()[:2] == [1, 1]
    assert ranks.t2v.tied_queries == 2


def test_what_was_left_out_is_said() -> None:
    videos, texts = generated_rows(videos=6, captions=2, frames=(2, 2))
    videos = without_frames(videos, 2)
    origin = Origin("test", "multi", expected_videos=8, reasons={"video00002": "failed: no video stream"})
    features = FeatureSet(videos, texts, origin)
    evaluation = evaluate(mean_pool.Head(mean_pool.Config(), features.shape()), features)
    record = json.loads(json.dumps(evaluation.record()))
    assert (record["videos"], record["texts"], record["expected_videos"]) == (5, 10, 8)
    assert record["t2v"]["queries"] == 10
    assert record["t2v"]["candidates"] == record["v2t"]["queries"] == 5
    assert "5 of 8 videos and 10 texts scored; 3 videos and 2 texts excluded" in record["coverage"]
    assert evaluation.excluded_videos == {"video00002": "failed: no video stream"}
    assert set(evaluation.excluded_queries) == {"text00004", "text00005"}
    assert "v2t_any_caption" in record


def test_evaluate_fails_on_a_diverged_head() -> None:
    features = generated_features(videos=5)
    head = wti_head(features)
    with torch.no_grad():
        next(head.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="diverged"):
        evaluate(head, features)


def test_evaluate_fails_on_other_features() -> None:
    features = generated_features(videos=5)
    with pytest.raises(UsageError, match="width 8, these have 16"):
        evaluate(wti_head(generated_features(videos=5, dim=8)), features)
    sentences = generated_features(videos=5, words=(1, 1))
    with pytest.raises(UsageError, match="mean_pool"):
        evaluate(wti_head(sentences), sentences)
    evaluate(mean_pool.Head(mean_pool.Config(), sentences.shape()), sentences)


def test_evaluate_fails_without_texts() -> None:
    videos, texts = generated_rows(videos=3)
    texts = dataclasses.replace(texts, video_ids=("elsewhere",) * 3)
    features = FeatureSet(videos, texts)
    with pytest.raises(DataError, match="no text"):
        evaluate(mean_pool.Head(mean_pool.Config(), features.shape()), features)


def test_normalised_columns_stand_beside_the_plain_one() -> None:
    features = generated_features("test", videos=25, captions=2, noise=3.0)
    bank = generated_features("train", videos=30, captions=2, noise=3.0, seed=7)
    head = wti_head(features)
    names = ("qb_norm", "sinkhorn_bank", "dsl", "sinkhorn")
    evaluation = evaluate(head, features, names, bank)
    assert evaluation.ranks.t2v.ranks.tolist() == evaluate(head, features).ranks.t2v.ranks.tolist()
    record = evaluation.record(intervals=True)
    assert [record["normalised"][name]["kind"] for name in names] == ["inductive"] * 2 + ["transductive"] * 2
    assert record["normalised"]["dsl"]["v2t_any_caption"]["intervals"]["R@5"][0] <= 100
    matrix = MatrixScores(by_loops(head, features))
    expected = rank_both(dual_softmax(matrix, "v2t"), features.text_video).v2t
    assert evaluation.normalised["dsl"].v2t.ranks.tolist() == expected.ranks.tolist()


def test_a_bank_is_sampled_where_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    features, bank = generated_features("test", videos=9), generated_features(videos=50)
    head = wti_head(features)
    texts, videos = scores.EncodedTexts(head, features), scores.EncodedVideos(head, features)
    banks = banks_of(head, bank, texts, videos, 20)
    assert (banks.t2v.num_texts, banks.t2v.num_videos) == (20, 9)
    assert (banks.v2t.num_texts, banks.v2t.num_videos) == (9, 20)


def test_a_matrix_of_another_program_is_ranked() -> None:
    features = generated_features("test", videos=12)
    head = wti_head(features)
    matrix = by_loops(head, features)
    ranks = evaluate_scores(MatrixScores(matrix), features).ranks
    assert ranks.t2v.ranks.tolist() == evaluate(head, features).ranks.t2v.ranks.tolist()


def test_normalisation_fails_by_name_or_without_a_bank() -> None:
    features = generated_features("test", videos=5)
    head = wti_head(features)
    with pytest.raises(UsageError, match=r"unknown normalisation 'dls'. Did you mean 'dsl'"):
        evaluate(head, features, ["dls"])
    with pytest.raises(UsageError, match="'qb_norm' needs a bank"):
        evaluate(head, features, ["qb_norm"])
    with pytest.raises(UsageError, match="dsl_scale must be greater than 0"):
        NormalisationConfig(dsl_scale=0.0)
