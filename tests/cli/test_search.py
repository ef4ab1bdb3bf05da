"""``tvr search`` and ``tvr index`` as typed, on generated videos."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image
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
    kept = made / RUN / "encodings"
    assert re.search(rf"their encodings in {RUN}/encodings \([\d.]+ [kM]B\) in ", answer.out)
    files = {file: file.stat().st_mtime_ns for file in kept.glob("*.array")}
    assert tvr("index", RUN, cwd=made).code == 0
    assert files and {file: file.stat().st_mtime_ns for file in files} == files, "they are there already"
    shutil.rmtree(kept)
    assert "encodings" not in tvr("index", RUN, "--no-encodings", cwd=made).out
    assert videos_found(made, RUN, "a red circle grows", "--candidates", "40") == exact
    assert not kept.exists()


@pytest.mark.slow
def test_what_index_and_eval_say_to_type_next_finds_a_store_that_went_elsewhere(
    made: Path, tmp_path: Path
) -> None:
    """The run alone does not know where its features are any more."""
    shutil.copytree(made / RUN, tmp_path / "run")
    shutil.copytree(
        next((made / "tvr-workspace" / "features" / "storyboard").iterdir()), tmp_path / "a store"
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["store"] |= {"path": str(tmp_path / "gone"), "relative_path": "../gone"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert tvr("search", "run", "a red circle", cwd=tmp_path).code != 0
    for command in ("index", "eval"):
        answer = tvr(command, "run", "--store", "a store", cwd=tmp_path)
        assert answer.code == 0, answer.err
        typed = shlex.split(answer.out.splitlines()[-1].removeprefix("next: tvr "))
        assert tvr(*typed, cwd=tmp_path).code == 0


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
def test_a_video_file_finds_captions_and_videos(made: Path) -> None:
    file = next((made / "tvr-workspace" / "datasets").rglob("test-00003.mp4"))
    answer = tvr("search", RUN, "--video", file, "--split", "test", "--top-k", "8", "--json", cwd=made)
    found = json.loads(answer.out)
    captions = found["captions"]
    assert len(captions) == 8
    assert all(hit["text"] and hit["video"].startswith("test-") for hit in captions)
    stored = next(hit["score"] for hit in captions if hit["video"] == "test-00003")
    text = next(hit["text"] for hit in captions if hit["video"] == "test-00003")
    scored = json.loads(tvr("search", text, "--video", file, "--json", cwd=made).out)["hits"]
    assert scored[0]["score"] == pytest.approx(stored, abs=2e-3)
    named = ("search", RUN.name, "--video", file, "--split", "test", "--top-k", "8", "--json")
    assert json.loads(tvr(*named, cwd=made).out) == found, "the name alone is no text there"
    assert found["hits"][0]["video"] == "test-00003", "nothing looks more like a video than itself"
    assert found["hits"][0]["score"] == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_a_hit_says_where_it_is_and_when(made: Path) -> None:
    first = json.loads(tvr("search", "a red circle grows", "--json", cwd=made).out)
    hit = first["hits"][0]
    assert Path(hit["path"]).is_file()
    assert Path(hit["path"]).stem == hit["video"]
    assert hit["captions"]
    assert 0 <= hit["start_seconds"] <= hit["frame_seconds"] <= hit["end_seconds"]
    assert (first["dataset"], first["caution"]) == ("storyboard", None)
    assert first["run"].endswith("seq_transformer-1")
    text = tvr("search", "a red circle grows", cwd=made)
    shown = Path(hit["path"]).relative_to(made.resolve())
    assert f"  {shown}" in text.out
    assert f"“{hit['captions'][0]}”" in text.out
    assert f"best at {hit['frame_seconds']:.1f} s" in text.out


@pytest.mark.slow
def test_a_picture_finds_videos(made: Path) -> None:
    Image.new("RGB", (80, 60), (200, 30, 30)).save(made / "red.png")
    found = json.loads(tvr("search", "--image", "red.png", "--zero-shot", "--json", cwd=made).out)
    scores = [hit["score"] for hit in found["hits"]]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    (made / "no picture.png").write_text("no picture")
    answer = tvr("search", "--image", "no picture.png", cwd=made)
    assert (answer.code, "is not a readable picture" in answer.err) == (5, True), answer.err
    video = next((made / "tvr-workspace" / "datasets").rglob("test-00003.mp4"))
    answer = tvr("search", "--image", video, cwd=made)
    assert (answer.code, f"--video {video}" in answer.err) == (5, True), answer.err
    answer = tvr("search", "--image", "tvr-workspace", cwd=made)
    assert (answer.code, "tvr-workspace is a folder" in answer.err) == (2, True), answer.err


@pytest.mark.slow
def test_a_page_of_hits_stands_alone(made: Path) -> None:
    answer = tvr("search", "a <b>red</b> circle", "--html", "hits.html", cwd=made)
    assert answer.code == 0, answer.err
    page = (made / "hits.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png;base64,') == 5
    assert "a &lt;b&gt;red&lt;/b&gt; circle" in page
    assert "://" not in page, "letters of a picture may spell anything else"


@pytest.mark.slow
def test_videos_that_have_moved_are_found_without_paths(made: Path) -> None:
    moved = made / "moved"
    (made / "tvr-workspace" / "datasets").rename(moved)
    try:
        answer = tvr("search", "a red circle", "--html", "none.html", cwd=made)
        assert answer.code == 0, answer.err
        assert "is not there any more; name where the videos are now with --root" in answer.err
        assert "the file is not there" in (made / "none.html").read_text(encoding="utf-8")
        assert "best at" in answer.out
        answer = tvr("eval", "--report", cwd=made)
        assert (answer.code, "no thumbnails: " in answer.err) == (0, True), answer.err
        assert not list((made / RUN / "report").glob("video-*.png"))
        answer = tvr("eval", "--report", "--root", next(moved.iterdir()), cwd=made)
        assert (answer.code, "no thumbnails" in answer.err) == (0, False), answer.err
    finally:
        moved.rename(made / "tvr-workspace" / "datasets")


@pytest.mark.slow
def test_a_report_finds_the_videos_where_its_store_found_them(made: Path) -> None:
    """Which is in no folder of the workspace that is called as the data set, and knows how many were generated."""
    shutil.rmtree(made / RUN / "report", ignore_errors=True)
    answer = tvr("eval", "--report", cwd=made)
    assert (answer.code, "no thumbnails" in answer.err) == (0, False), answer.err
    assert list((made / RUN / "report").glob("video-*.png"))


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
        (("a", "red", "car"), 2, "Did you mean: tvr search 'a red car'"),
        (("",), 2, "nothing to search for"),
        (("a car", "--image", "x.png"), 2, "--image is a query by itself"),
        (("a car", "--top-k", "0"), 2, "top_k must be at least 1"),
        (("--video", made / "text.mp4", "--candidates", "9"), 2, "--candidates does nothing for --video"),
        (("--video", made / "text.mp4"), 5, "text.mp4 cannot be decoded"),
        (("a car", "--split", "tset"), 2, "Known: test, train, val"),
        (("a car", "--run", RUN, "--zero-shot"), 2, "takes no run"),
    ):
        answer = tvr("search", *arguments, cwd=made)
        assert (answer.code, message in answer.err) == (code, True), answer.err
    assert (
        tvr("index", "--kind", "tree", cwd=made).err
        == "tvr: kind must be one of auto, flat, hnsw, frames, got 'tree'\n"
    )
