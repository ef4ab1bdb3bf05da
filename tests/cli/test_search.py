"""``tvr search`` and ``tvr index`` as typed, on generated videos."""

import json
import shutil
from pathlib import Path

import pytest
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed

from ..fixtures.shell import tvr

SIZES = ("train_videos=24", "val_videos=8", "test_videos=8")
RUN = Path("tvr-workspace/runs/storyboard/seq_transformer-1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with extracted videos and one run."""
    folder = tmp_path_factory.mktemp("search")
    sizes = [word for size in SIZES for word in ("--data", size)]
    extracting = ("extract", "--dataset", "storyboard", "--model", "tvr-storyboard", "--num-frames", "8")
    training = ("train-head", "--epochs", "1", "--batch-size", "8")
    for line in ((*extracting, *sizes), training):
        answer = tvr(*line, cwd=folder)
        assert answer.code == 0, answer.err
    return folder


def videos_found(made: Path, *arguments: str | Path) -> list[str]:
    answer = tvr("search", *arguments, "--json", cwd=made)
    assert answer.code == 0, answer.err
    return [hit["video"] for hit in json.loads(answer.out)["hits"]]


@pytest.mark.slow
def test_a_sentence_may_be_longer_than_any_name(made: Path) -> None:
    sentence = "a red circle grows and then a blue square moves to the left " * 6
    assert videos_found(made, sentence) == videos_found(made, sentence, "--run", RUN)


@pytest.mark.slow
def test_an_index_with_all_candidates_is_exact(made: Path) -> None:
    answer = tvr("index", RUN, cwd=made)
    assert "(flat, the global vectors of seq_transformer)" in answer.out
    exact = videos_found(made, "a red circle grows", "--run", RUN)
    assert videos_found(made, RUN, "a red circle grows", "--candidates", "40") == exact
    assert len(exact) == 5


@pytest.mark.slow
def test_an_index_answers_for_what_it_is_of(made: Path) -> None:
    assert tvr("index", RUN, cwd=made).code == 0
    answer = tvr("search", RUN, "a red circle", "--candidates", "9", "--split", "test", cwd=made)
    assert (answer.code, "split: all, not test" in answer.err) == (4, True), answer.err
    assert f"`tvr index {RUN}`" in answer.err, "what is advised makes this run's index"
    answer = tvr("index", "--zero-shot", cwd=made)
    assert answer.code == 0, answer.err
    line = ("a red circle grows", "--zero-shot")
    assert videos_found(made, *line, "--candidates", "40") == videos_found(made, *line)
    store = made / "tvr-workspace" / "features" / "storyboard" / "tvr-storyboard-storyboard"
    assert tvr("verify", "--store", store, cwd=made).code == 0


@pytest.mark.slow
def test_a_video_file_finds_captions(made: Path) -> None:
    file = next((made / "tvr-workspace" / "datasets").rglob("test-00003.mp4"))
    answer = tvr("search", RUN, "--video", file, "--split", "test", "--top-k", "8", "--json", cwd=made)
    hits = json.loads(answer.out)["hits"]
    assert len(hits) == 8
    assert all(hit["text"] and hit["video"].startswith("test-") for hit in hits)
    stored = next(hit["score"] for hit in hits if hit["video"] == "test-00003")
    text = next(hit["text"] for hit in hits if hit["video"] == "test-00003")
    scored = json.loads(tvr("search", text, "--video", file, "--json", cwd=made).out)["hits"]
    assert scored[0]["score"] == pytest.approx(stored, abs=2e-3)


@pytest.mark.slow
def test_a_copied_run_searches_its_store(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / RUN, tmp_path / "run")
    store = made / "tvr-workspace" / "features" / "storyboard" / "tvr-storyboard-storyboard"
    here = videos_found(made, RUN, "a blue star")
    assert videos_found(tmp_path, tmp_path / "run", "a blue star", "--store", store) == here
    assert "note:" not in tvr("search", tmp_path / "run", "a star", "--store", store, cwd=tmp_path).err
    other = shutil.copytree(store, tmp_path / "other")
    manifest = read_checksummed(other / "store.json")
    write_checksummed(other / "store.json", manifest | {"dataset": "mine"})
    answer = tvr("search", tmp_path / "run", "a star", "--store", other, cwd=tmp_path)
    assert "trained on storyboard, scored on mine" in answer.err


@pytest.mark.slow
def test_search_fails_with_a_sentence(made: Path) -> None:
    (made / "text.mp4").write_text("no video")
    for arguments, code, message in (
        ((), 2, "nothing to search for"),
        (("a", "red", "car"), 2, "give one TEXT, in quotes"),
        (("a car", "--top-k", "0"), 2, "top_k must be at least 1"),
        (("--video", made / "text.mp4", "--candidates", "9"), 2, "--candidates does nothing for --video"),
        (("--video", made / "text.mp4"), 5, "text.mp4 cannot be decoded"),
        (("a car", "--split", "tset"), 3, "Known: test, train, val"),
        (("a car", "--run", RUN, "--zero-shot"), 2, "takes no run"),
    ):
        answer = tvr("search", *arguments, cwd=made)
        assert (answer.code, message in answer.err) == (code, True), answer.err
    assert (
        tvr("index", "--kind", "tree", cwd=made).err
        == "tvr: kind must be one of flat, hnsw, ivf, got 'tree'\n"
    )
