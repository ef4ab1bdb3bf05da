"""An archive that changes, as typed: what a dry run says, what is extracted, one generation of it, and watching."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.mp4 import Movie, write_movie
from ..fixtures.shell import tvr
from ..fixtures.warm_shell import Running, warm_shell

EXTRACT = (
    "extract",
    "--dataset",
    "folder",
    "--root",
    "clips",
    "--model",
    "tvr-storyboard",
    "--num-frames",
    "2",
)
ALONE = ("--decoding-processes", "1", "--workspace", "w")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, the store of two of them in a workspace."""
    place = tmp_path_factory.mktemp("made")
    (place / "clips").mkdir()
    for name in "ab":
        write_sample(place / "clips" / f"{name}.mp4")
    done = tvr(*EXTRACT, *ALONE, cwd=place)
    assert done.code == 0, done.err
    write_sample(place / "clips" / "c.mp4")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "place")


def test_what_is_new_is_said_before_and_after(place: Path) -> None:
    dry = tvr(*EXTRACT, *ALONE, "--dry-run", cwd=place)
    assert "videos since the store was last extracted: 1 new, 0 changed, 0 gone, 2 kept\n" in dry.out
    assert "figures below are of what is new or has changed\nvideos    1 found, 0 missing\n" in dry.out
    record = json.loads(tvr(*EXTRACT, *ALONE, "--dry-run", "--json", cwd=place).out)
    assert record["counted_videos"] == {"new": 1, "changed": 0, "gone": 0, "kept": 2}
    done = tvr(*EXTRACT, *ALONE, cwd=place)
    assert "videos since the store was last extracted: 1 new, 0 changed, 0 gone, 2 kept\n" in done.err
    assert "3 videos (3 ok)" in done.out
    assert "2 frames in" in done.out
    assert "1 shard written, 1 already there" in done.out
    again = tvr(*EXTRACT, *ALONE, "--json", cwd=place)
    assert json.loads(again.out)["counted_videos"] is None
    assert "since the store" not in again.err


def test_a_dry_run_of_nothing_but_what_is_gone(place: Path) -> None:
    for name in "ac":
        (place / "clips" / f"{name}.mp4").unlink()
    dry = tvr(*EXTRACT, *ALONE, "--dry-run", cwd=place)
    assert dry.code == 0, dry.err
    assert "videos since the store was last extracted: 0 new, 0 changed, 1 gone, 1 kept\n" in dry.out
    assert "videos    0 found, 0 missing\n" in dry.out


def test_one_generation_of_it(place: Path) -> None:
    assert "has not grown: nothing to do" in tvr("compact", "--workspace", "w", cwd=place).out
    tvr(*EXTRACT, *ALONE, cwd=place)
    inspected = tvr("inspect", "--workspace", "w", cwd=place)
    assert "grown      1 time, last by these videos: 1 new, 0 changed, 0 gone, 2 kept" in inspected.out
    record = json.loads(tvr("inspect", "--workspace", "w", "--json", cwd=place).out)
    assert record["grown"]["generation"] == 1
    dry = tvr("compact", "folder-clips", "--workspace", "w", "--dry-run", cwd=place)
    assert "1 generation after the first; 2 shards would become 1" in dry.out
    done = json.loads(tvr("compact", "--workspace", "w", "--json", cwd=place).out)
    assert (done["generations"], done["shards_before"], done["shards"]) == (1, 2, 1)
    assert FeatureStore.open(Path(place / done["folder"])).video_ids == ["a", "b", "c"]
    assert json.loads(tvr("inspect", "--workspace", "w", "--json", cwd=place).out)["grown"] is None
    assert tvr("verify", "--workspace", "w", cwd=place).code == 0


def test_compact_fails_without_a_store(tmp_path: Path) -> None:
    answer = tvr("compact", "--workspace", "w", cwd=tmp_path)
    assert answer.code == 4
    assert "no features in w. Make some with `tvr extract`" in answer.err


def test_two_workers_extract_what_is_new(place: Path) -> None:
    write_sample(place / "clips" / "d.mp4")
    line = (*EXTRACT, *ALONE, "--videos-per-shard", "128", "--workers", "2", "--device", "cpu")
    code, said = warm_shell().run(*line, cwd=str(place), forks=True)
    assert code == 0, said
    assert "2 new, 0 changed, 0 gone, 2 kept" in said
    assert "4 videos (4 ok)" in said


def has(run: Running, store: Path, ids: list[str]) -> bool:
    """Wait until a store holds these videos; False if the run ends before."""
    while run.wait(0.05) is None:
        if (store / "store.json").is_file():
            opened = FeatureStore.open(store, complete=False)
            if not opened.absent_shards() and opened.video_ids == ids:
                return True
    return False


@pytest.mark.slow
def test_a_folder_is_watched_until_ctrl_c(place: Path) -> None:
    store = next((place / "w" / "features").glob("*/*"))
    run = warm_shell().start(*EXTRACT, *ALONE, "--watch", "--poll-seconds", "0.3", cwd=str(place))
    assert has(run, store, ["a", "b", "c"]), run.said
    write_sample(place / "d.mp4")
    (place / "d.mp4").rename(place / "clips" / "d.mp4")
    assert has(run, store, ["a", "b", "c", "d"]), run.said
    (place / "clips" / "a.mp4").unlink()
    assert has(run, store, ["b", "c", "d"]), run.said
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait() == 130, run.said
    # It may have been counting what it had done, or about to look again: the words differ, what is lost does not.
    assert re.search("interrupted: .*nothing is lost", run.said)
    assert "--watch" in run.said.rpartition("to go on: ")[2]


@pytest.mark.parametrize("option", [("--dry-run",), ("--shard", "1/2"), ("--json",), ("--retry", "failed")])
def test_watching_fails_together_with(option: tuple[str, ...], tmp_path: Path) -> None:
    answer = tvr(*EXTRACT, *ALONE, "--watch", *option, cwd=tmp_path)
    assert answer.code == 2
    assert f"--watch extracts until it is stopped: it cannot be together with {option[0]}" in answer.err


def captioned(place: Path, names: str) -> None:
    """Exactly these clips, each of another length and with its caption, extracted; those of before stay as they are."""
    clips = place / "clips"
    clips.mkdir(exist_ok=True)
    for name in {clip.stem for clip in clips.glob("*.mp4")} - set(names):
        (clips / f"{name}.mp4").unlink()
    for name in names:
        if not (clips / f"{name}.mp4").exists():
            write_movie(clips / f"{name}.mp4", Movie(num_frames=8 * (ord(name) - ord("a")) + 10))
    rows = [f"{name}.mp4,the clip that is called {name}" for name in names]
    (clips / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
    done = tvr(*EXTRACT, *ALONE, cwd=place)
    assert done.code == 0, done.err


@pytest.mark.slow
def test_a_run_goes_on_with_a_store_that_grows(tmp_path: Path) -> None:
    """It is evaluated, searched and indexed with what came, whatever became of the store's files."""
    captioned(tmp_path, "defg")
    trained = ("--head", "wti", "--epochs", "1", "--workspace", "w")
    done = tvr("train-head", *trained, cwd=tmp_path)
    assert done.code == 0, done.err
    indexed = ("index", "--kind", "frames", "--workspace", "w")
    done = tvr(*indexed, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "new" not in done.out
    captioned(tmp_path, "dfghi")
    said = (
        "the store has changed since the run was trained on generation 0 of it with 4 videos and 4 captions: now it "
        "has 5 videos and 5 captions"
    )
    evaluated = ("eval", "--workspace", "w", "--json")
    grown = tvr(*evaluated, cwd=tmp_path)
    assert said in grown.err
    again = tvr(*indexed, cwd=tmp_path)
    assert said in again.err
    assert ": 2 new, 3 as before, 1 gone\n" in again.out
    answer = json.loads(
        tvr("search", "the clip that is called i", "--workspace", "w", "--json", cwd=tmp_path).out
    )
    assert {Path(hit["path"]).name for hit in answer["hits"]} == {f"{name}.mp4" for name in "dfghi"}
    assert tvr("compact", "--workspace", "w", cwd=tmp_path).code == 0
    compacted = tvr(*evaluated, cwd=tmp_path)
    assert compacted.code == 0, compacted.err
    assert json.loads(compacted.out) == json.loads(grown.out)
