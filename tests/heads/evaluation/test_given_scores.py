"""Matrices from elsewhere: which row is which text, and what is refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvr
from tvr.data.contracts.errors import DataError, UsageError
from tvr.heads.evaluation import given_scores
from tvr.heads.evaluation.given_ids import diagonal_ids, matrix_ids
from tvr.heads.evaluation.given_scores import GivenScores, given_matrix, scored_matrix
from tvr.heads.evaluation.normalisations import chosen_columns
from tvr.heads.evaluation.ranks import rank_both

from ...fixtures.matrix_scores import MatrixScores

TEXTS, VIDEOS = ("b#0", "a#0", "b#1"), ("a", "b", "c")
SCORES = np.array([[0.1, 0.9, 0.2], [0.3, 0.3, 0.1], [0.8, 0.4, 0.1]], np.float32)


def written(folder: Path, name: str, ids: tuple[str, ...], owners: tuple[str, ...] = ()) -> Path:
    """Ids in a file of the kind that its name says."""
    file = folder / name
    rows = [*zip(ids, owners or ids, strict=True)]
    if file.suffix == ".npy":
        np.save(file, np.array(ids, dtype=np.bytes_ if "bytes" in name else str))
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps({"qid": t, "extra": [], "vid": v}) + "\n" for t, v in rows))
    elif file.suffix in (".csv", ".tsv"):
        between = "\t" if file.suffix == ".tsv" else ","
        lines = [("Video", "Text"), *((video, text) for text, video in rows)]
        file.write_text("".join(f"{between.join(line)}\n" for line in lines))
    else:
        file.write_text(json.dumps(ids) if file.suffix == ".json" else "\n".join(ids) + "\n")
    return file


@pytest.mark.parametrize("kind", ["txt", "json", "npy", "bytes.npy"])
def test_ids_say_which_text_is_of_which_video(tmp_path: Path, kind: str) -> None:
    ids = matrix_ids(written(tmp_path, f"t.{kind}", TEXTS), written(tmp_path, f"v.{kind}", VIDEOS))
    assert (ids.texts, ids.videos, ids.text_video.tolist()) == (TEXTS, VIDEOS, [1, 0, 1])
    assert ids.captions


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_table_says_so_too(tmp_path: Path, kind: str) -> None:
    texts = written(tmp_path, f"t.{kind}", ("7", "8", "9"), ("b", "a", "c"))
    assert matrix_ids(texts, VIDEOS).text_video.tolist() == [1, 0, 2]


def test_a_matrix_is_ranked_as_a_head_is(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    given = given_matrix(tmp_path / "s.npy", TEXTS, VIDEOS)
    assert isinstance(given.scores, GivenScores) and isinstance(given.scores.matrix, np.memmap)
    scored = scored_matrix(given, chosen_columns(["all"], banks=False))
    ranks = scored.evaluation.ranks
    assert ranks.t2v.ranks.tolist() == [1.0, 1.5, 2.0]
    assert ranks.v2t.num_queries == 2, "a video without a text is a candidate, and no query"
    assert scored.evaluation.protocol == "multi"
    assert list(scored.evaluation.normalised) == ["dsl", "sinkhorn", "sinkhorn_std"]
    assert scored.basis.startswith("matrix: 3 of 3 videos and 3 texts scored; scores: ")
    assert not scored.is_untrained


@pytest.mark.parametrize("dtype", ["float16", ">f4", "float64", "int8", "uint32"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_of_a_file_are_the_matrix(
    tmp_path: Path, dtype: str, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given_scores, "MIN_COLUMNS", 3)
    monkeypatch.setattr(given_scores, "NUMBERS_PER_BLOCK", 1)
    matrix = np.random.default_rng(1).integers(0, 9, (8, 8)).astype(dtype, order=order)
    np.save(tmp_path / "s.npy", matrix)
    given = given_matrix(tmp_path / "s.npy")
    assert [block.videos.tolist() for block in given.scores.blocks()] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    plain = rank_both(MatrixScores(matrix.astype(np.float64)), given.ids.text_video)
    found = rank_both(given.scores, given.ids.text_video)
    for one, other in ((found.t2v, plain.t2v), (found.v2t, plain.v2t)):
        assert one.ranks.tolist() == other.ranks.tolist()
        assert one.tied.tolist() == other.tied.tolist()


def test_scores_of_another_scale_are_told_where_settings_are_for_cosines() -> None:
    given = given_matrix(SCORES * 100)
    notes = scored_matrix(given, ["dsl", "sinkhorn_std"]).notes
    assert "dsl: settings are for cosines, and these scores reach 90" in notes[-1]
    assert scored_matrix(given, ["sinkhorn_std"]).notes == given.notes


def test_normalisations_with_training_queries_fail() -> None:
    with pytest.raises(UsageError, match="--normalise qb_norm takes training queries, and a matrix has none"):
        scored_matrix(given_matrix(SCORES), ["qb_norm", "dsl"])


@pytest.mark.parametrize(
    ("texts", "videos", "error", "said"),
    [
        (("b#0", "a", "d#3"), VIDEOS, DataError, "1 text of those that were given (d#3) belong to none"),
        (TEXTS, ("a", "b", "a"), DataError, "video 'a' stands there twice"),
        (("a", "b", "b"), VIDEOS, DataError, "text 'b' stands there twice"),
        (TEXTS[:2], VIDEOS, DataError, "3 rows and 3 columns, its ids are of 2 texts and 3 videos"),
        (TEXTS, None, UsageError, "--texts and --videos belong together"),
        (Path("t.parquet"), VIDEOS, UsageError, "ids are read from .txt, .json, .npy, .csv, .tsv, .jsonl"),
        (TEXTS, Path("v.csv"), UsageError, "ids are read from .npy, .json, .txt, got 'v.csv'"),
        (Path("nowhere.txt"), VIDEOS, DataError, "nowhere.txt: cannot be read"),
    ],
)
def test_ids_fail(texts: Any, videos: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as refused:
        given_matrix(SCORES, texts, videos)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "caption,start\na,1\n", "t.csv: line 1: needs a column text_id"),
        ("t.csv", "text,video\na#0,a,3\n", "t.csv: line 2: has 3 fields where the header has 2"),
        ("t.jsonl", '{"qid": 1}\n', "t.jsonl: line 1: needs a column text_id"),
        ("t.json", '{"a": 1}', "must hold a JSON list of ids"),
        ("t.txt", "\n", "holds no id"),
        ("t.npy", pickle.dumps(["a"]).decode("latin-1"), "holds no ids"),
    ],
)
def test_files_of_ids_fail(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError) as refused:
        matrix_ids(tmp_path / name, VIDEOS)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("matrix", "error", "said"),
    [
        (SCORES[:2], UsageError, "2 rows and 3 columns and no ids"),
        (SCORES[0], DataError, "must hold a matrix, texts x videos, got the shape (3,)"),
        (SCORES > 0, DataError, "must hold floats of at most 64 bits"),
        (SCORES.astype(np.complex64), DataError, "got complex64"),
        (np.array([["a"]], dtype=object), DataError, "pickled objects and .npz are not read"),
        (b"PK\x03\x04", DataError, "is no matrix that can be mapped"),
        (b"", DataError, "is no matrix that can be mapped"),
    ],
)
def test_a_matrix_fails(tmp_path: Path, matrix: Any, error: type[Exception], said: str) -> None:
    file = tmp_path / "s.npy"
    if isinstance(matrix, bytes):
        file.write_bytes(matrix)
    else:
        np.save(file, matrix)
    with pytest.raises(error) as refused:
        given_matrix(file)
    assert said in str(refused.value)
    with pytest.raises(UsageError, match="there is no such file"):
        given_matrix(tmp_path / "other.npy")


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_fails(broken: float) -> None:
    scores = SCORES.copy()
    scores[2, 1] = broken
    with pytest.raises(DataError, match=rf"text 'b#1' with video 'b' is {broken} \(row 2, column 1"):
        scored_matrix(given_matrix(scores, TEXTS, VIDEOS))


def test_a_file_that_is_cut_off_fails(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    whole = (tmp_path / "s.npy").read_bytes()
    (tmp_path / "s.npy").write_bytes(whole[:-8])
    with pytest.raises(DataError, match="is no matrix that can be mapped"):
        given_matrix(tmp_path / "s.npy")


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"texts": TEXTS, "videos": VIDEOS, "text_videos": ["b"]}, "only 1 say their video"),
        ({"texts": TEXTS, "videos": 3}, "videos is 3"),
        ({"texts": TEXTS, "videos": VIDEOS, "code": "x"}, "unknown field 'code'"),
    ],
)
def test_ids_beside_a_matrix_fail(tmp_path: Path, beside: dict[str, Any], said: str) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    (tmp_path / "s.json").write_text(json.dumps(beside))
    with pytest.raises(DataError) as refused:
        given_matrix(tmp_path / "s.npy")
    assert said in str(refused.value)


def test_a_file_beside_a_matrix_that_is_of_something_else_is_left_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    (tmp_path / "s.json").write_text('{"accuracy": 3}')
    assert given_matrix(tmp_path / "s.npy").ids.videos == diagonal_ids(3).videos
    (tmp_path / "s.json").write_text(json.dumps({"texts": TEXTS, "videos": VIDEOS}))
    assert given_matrix(tmp_path / "s.npy").ids.text_video.tolist() == [1, 0, 1], "an earlier version's"


@pytest.mark.parametrize(
    ("name", "t2v", "v2t"),
    [
        ("video", (48.0, 73.0, 82.9, 2, 13.1), (46.0, 74.1, 82.8, 2, 8.7)),
        ("titles", (29.7, 55.8, 66.6), ()),
    ],
)
def test_real_matrices_have_the_figures_that_are_known_of_them(
    shared: Path, name: str, t2v: tuple[float, ...], v2t: tuple[float, ...]
) -> None:
    """They count strictly greater scores; a tie, which some columns have, is shared here."""
    found = tvr.evaluate(matrix=shared / "data" / "similarity" / f"msrvtt_{name}_matrix.npy")
    assert known(found.t2v)[: len(t2v)] == pytest.approx(t2v, abs=0.051)
    assert found.t2v.tied_queries == 0
    assert known(found.v2t)[: len(v2t)] == pytest.approx(v2t, abs=0.21)
    strict = 100 * float((found.v2t.ahead == 0).mean())
    assert (found.v2t.tied_queries, round(strict, 1)) == (9, 46.0 if name == "video" else 28.4)


def known(ranks: Any) -> list[float]:
    return [*(ranks.recall(k) for k in (1, 5, 10)), ranks.median_rank, ranks.mean_rank]
