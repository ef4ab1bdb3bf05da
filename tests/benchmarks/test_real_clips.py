"""The benchmark on real clips counts what it says it counts. ``tests/test_real_clips.py`` extracts the clips."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import typer
from tvr.data.base import load_dataset
from tvr.heads.evaluation.bootstrap import bootstrap_intervals
from tvr.heads.evaluation.ranks import Ranks
from tvr.heads.evaluation.scores import similarity_matrix
from tvr.heads.features.feature_set import FeatureSet
from typer.testing import CliRunner

from benchmarks.generated import features
from benchmarks.real_clips.__main__ import main
from benchmarks.real_clips.clips import FOLDERS, linked
from benchmarks.real_clips.encoding import VARIANTS, Variant, compared
from benchmarks.real_clips.plain_queries import QUERIES, chance_among, place
from benchmarks.real_clips.retrieval import (
    BEST,
    chance,
    difference,
    direction,
    each_clip_once,
    evaluations,
    interval_of_mean,
    ranks_by_caption,
    says_a_class,
    untrained_heads,
)


@pytest.fixture(scope="module")
def some() -> FeatureSet:
    return features(20, 2, dim=16, frames=5, words=4)


def ranks_of(places: list[int], clips: list[int], candidates: int = 50) -> Ranks:
    ahead = np.array(places) - 1
    return Ranks(ahead, np.zeros_like(ahead), np.ones_like(ahead), candidates, np.array(clips))


def test_the_best_frame_is_the_highest_cosine(some: FeatureSet) -> None:
    found = similarity_matrix(untrained_heads(some.shape(5))[BEST], some).numpy()
    frames = np.asarray(some.frames.values, np.float64).reshape(20, 5, 16)
    texts = np.asarray(some.words.values, np.float64).reshape(40, 4, 16)[:, 3]
    frames, texts = (rows / np.linalg.norm(rows, axis=-1, keepdims=True) for rows in (frames, texts))
    assert np.allclose(found, np.einsum("td,vfd->tvf", texts, frames).max(axis=2), atol=1e-5)


def test_heads_that_have_nothing_to_train_are_scored_plain_and_normalised(some: FeatureSet) -> None:
    found = evaluations(some, 5, ("sinkhorn",))
    assert set(found) == {"mean_pool", "mug", "query_scoring", BEST}
    assert all(set(one.normalised) == {"sinkhorn"} for one in found.values())
    by_caption = ranks_by_caption(found, some)
    assert tuple(by_caption) == some.text_ids
    assert by_caption[some.text_ids[7]]["mug"] == found["mug"].ranks.t2v.ranks[7]


def test_chance_is_that_of_a_random_order() -> None:
    assert chance(84) == pytest.approx({"R@1": 100 / 84, "R@5": 500 / 84, "R@10": 1000 / 84, "MdR": 42.5})
    assert chance(4)["R@10"] == 100


def test_every_figure_has_its_interval_and_chance() -> None:
    figures = direction(ranks_of([1, 1, 7, 30], [0, 0, 1, 2]))
    assert figures["R@1"]["value"] == 50
    assert figures["R@10"]["chance"] == 20
    assert figures["MdR"]["value"] == 4
    assert figures["R@1"]["interval"] == [0, 100]


def test_intervals_are_those_of_the_evaluation() -> None:
    dice = np.random.default_rng(0)
    ranks = ranks_of(list(dice.integers(1, 20, 60)), list(dice.integers(0, 25, 60)))
    assert interval_of_mean(100 * ranks.hits(5), ranks.query_video) == pytest.approx(
        bootstrap_intervals(ranks)["R@5"]
    )


def test_a_difference_is_shown_where_the_same_captions_gain() -> None:
    before, clips = [1] * 20 + [2] * 20, list(range(40))
    found = difference(ranks_of([1] * 35 + [2] * 5, clips), ranks_of(before, clips))
    assert found["R@1"]["difference"] == 37.5
    assert found["R@1"]["shown"]
    assert found["R@10"] == {"difference": 0.0, "interval": [0.0, 0.0], "shown": False}


def test_a_difference_is_not_shown_where_one_clip_has_all_captions_that_gain() -> None:
    """Twenty captions of one clip are one observation, not twenty."""
    clips = [0] * 20 + list(range(1, 21))
    found = difference(ranks_of([1] * 40, clips), ranks_of([2] * 20 + [1] * 20, clips))
    assert found["R@1"]["difference"] == 50
    assert not found["R@1"]["shown"]


def test_a_clip_counts_once_however_many_captions_it_has() -> None:
    assert each_clip_once(ranks_of([1, 1, 1, 7], [0, 0, 0, 1])) == {"R@1": 50, "R@5": 50, "R@10": 100}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A golden RETRIEVER sleeps.", True),
        ("two retrievers", True),
        ("a retrieverless room", False),
        ("golden light", False),
    ],
)
def test_a_caption_says_a_class_by_its_last_word(text: str, says: bool) -> None:
    assert says_a_class(text, ["golden retriever", "pot"]) == says


def test_the_place_of_a_query_is_that_of_its_first_right_clip() -> None:
    assert place(["a", "b", "c"], {"c", "b"}) == 2


def test_the_place_of_a_query_fails_for_a_clip_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no clip is called d"):
        place(["a", "b", "c"], {"b", "d"})


def test_chance_of_a_query_counts_every_order() -> None:
    orders = [set(first) for first in combinations(range(7), 3)]
    assert chance_among(3, 2, 7) == pytest.approx(sum(bool(some & {0, 1}) for some in orders) / len(orders))
    assert chance_among(10, 1, 7) == 1


def test_queries_are_other_ones_than_those_that_are_known_to_work() -> None:
    known = (Path(__file__).parents[1] / "test_real_clips.py").read_text(encoding="utf-8")
    asked = [query for queries in QUERIES.values() for query in queries]
    assert len(set(asked)) == 30
    assert not [query for query in asked if f'"{query}"' in known]


def test_encoders_are_compared_pair_by_pair() -> None:
    slow = Variant("words", "fp32", compiled=False)
    seconds = {variant: [2.0, 6.0, 2.0] if variant == slow else [1.0, 3.0, 5.0] for variant in VARIANTS}
    memory = {variant: {"peak_gib": 0.5 if variant.model == "words" else 2.0} for variant in VARIANTS}
    found = compared(seconds, memory)
    assert found["fp32, plain"] == {"speed": 0.5, "peak_gib": 0.25}
    assert found["bf16, compiled"] == {"speed": 1.0, "peak_gib": 0.25}
    assert len(found) == 4


def test_both_folders_are_one_archive(tmp_path: Path) -> None:
    for name in FOLDERS:
        (tmp_path / name / "videos").mkdir(parents=True)
        (tmp_path / name / "videos" / "clip.mp4").touch()
        row = {"video": "videos/clip.mp4", "captions": ["one", "other"], "licence": "any"}
        (tmp_path / name / "captions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    linked(tmp_path, tmp_path / "workspace")
    again = linked(tmp_path, tmp_path / "workspace")  # all of it is there already
    dataset = load_dataset("folder", again, {})
    assert list(dataset.videos) == [f"{name}/videos/clip" for name in FOLDERS]
    assert all(isinstance(video.path, Path) and video.path.is_file() for video in dataset.videos.values())
    assert len(dataset.captions) == 4
    assert set(dataset.splits) == {"test"}


def test_the_command_fails_for_an_unknown_precision(tmp_path: Path) -> None:
    command = typer.Typer()
    command.command()(main)
    said = CliRunner().invoke(command, ["--workspace", str(tmp_path / "w"), "--precision", "int8"])
    assert said.exit_code == 1
    assert "--precision must be one of auto, fp32, bf16, fp16" in str(said.exception)
    assert not (tmp_path / "w").exists()
