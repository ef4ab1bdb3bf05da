"""``tvr index`` as typed: of every frame, and what a search then says of it."""

import json
import shutil
from pathlib import Path

import pytest

from ..fixtures.shell import tvr

WRITTEN = Path(__file__).resolve().parents[1] / "fixtures" / "before_rooms"
TEXT = "a big red circle grows"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of wti, which compares words with frames."""
    return shutil.copytree(WRITTEN / "run", tmp_path / "run")


@pytest.fixture(scope="module")
def store() -> Path:
    return WRITTEN / "store"


@pytest.mark.slow
def test_an_index_of_frames_is_used_by_itself(run: Path, store: Path, tmp_path: Path) -> None:
    line = ("index", run, "--store", store, "--kind", "frames")
    expected = json.loads(tvr(*line, "--dry-run", "--json", cwd=tmp_path).out)
    assert not (run / "index").exists()
    assert not (run / "encodings").exists()
    exact = json.loads(tvr("search", "--run", run, TEXT, "--store", store, "--json", cwd=tmp_path).out)
    made = json.loads(tvr(*line, "--json", cwd=tmp_path).out)
    assert (made["kind"], made["recall"], made["source"]) == ("frames", 1.0, "captions")
    assert made["encodings_bytes"] == expected["encodings_bytes"]
    found = tvr("search", "--run", run, TEXT, "--store", store, "--json", cwd=tmp_path)
    answer = json.loads(found.out)
    assert [hit["video"] for hit in answer["hits"]] == [hit["video"] for hit in exact["hits"]]
    assert (
        answer["candidates"] == made["said"] == "1,000 candidates by index, recall@10 1.000 measured at build"
    )
    few = tvr("search", "--run", run, TEXT, "--store", store, "--candidates", "6", cwd=tmp_path)
    assert "6 candidates by index, recall@10 1.000 measured at build with 1,000" in few.out
    again = tvr(*line, cwd=tmp_path)
    assert "1,000 candidates by index" in again.out
    assert "--candidates" not in again.out.splitlines()[-1], "what is typed next takes the index by itself"


@pytest.mark.slow
def test_an_index_that_is_not_current_is_said_to_be(run: Path, store: Path, tmp_path: Path) -> None:
    assert tvr("index", run, "--store", store, "--kind", "frames", cwd=tmp_path).code == 0
    [file] = (run / "index").glob("*.faiss")
    file.write_bytes(file.read_bytes()[:-1])
    search = ("search", "--run", run, TEXT, "--store", store)
    answer = tvr(*search, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert f"every video is compared: {run}/index holds no whole index of frames. Make it again" in answer.out
    refused = tvr(*search, "--candidates", "6", cwd=tmp_path)
    assert (refused.code, "no whole index of frames" in refused.err) == (4, True), refused.err


@pytest.mark.slow
def test_index_fails_with_a_sentence(run: Path, store: Path, tmp_path: Path) -> None:
    for words, message in (
        (("--kind", "ivf"), "kind must be one of auto, flat, hnsw, frames, got 'ivf'"),
        (("--kind", "frames", "--no-encodings"), "an index of frames is for a trained head"),
        (("--candidates", "9"), "--candidates is said to `tvr search`"),
        (("--kind", "frames", "--candidates", "0"), "candidates must be at least 1, got 0"),
    ):
        answer = tvr("index", run, "--store", store, *words, cwd=tmp_path)
        assert (answer.code, message in answer.err) == (2, True), answer.err
    answer = tvr("index", "--zero-shot", "--store", store, "--kind", "frames", cwd=tmp_path)
    assert (answer.code, "mean_pool takes --kind flat" in answer.err) == (2, True), answer.err
    assert not (run / "index").exists()
