"""Files that are other ones now, as typed: ``inspect --changed`` and ``extract --retry changed``."""

import json
import shutil
from pathlib import Path

import pytest
from tvr.pipeline.store.manifest import versions

from ..fixtures.archive import write_archive
from ..fixtures.mp4 import Movie, write_movie
from ..fixtures.shell import tree, tvr

LINE = "extract --dataset folder --root archive --store store --model tvr-storyboard --device cpu --precision fp32"
EXTRACT = (*LINE.split(), "--num-frames", "4", "--decoding-processes", "1", "--videos-per-shard", "2")
INSPECT = ("inspect", "--store", "store", "--changed")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and its store."""
    place = tmp_path_factory.mktemp("place")
    write_archive(place / "archive")
    answer = tvr(*EXTRACT, cwd=place)
    assert answer.code == 0, answer.err
    return place


def test_listed_and_extracted_again_in_their_shards(place: Path) -> None:
    before = tree(place / "store")
    assert "already there" in tvr(*EXTRACT, cwd=place).out
    assert tree(place / "store") == before, "nothing was left to do, and something was written"
    looked = tvr(*INSPECT, cwd=place)
    assert (
        "files      3 are those that the store was made of, 0 are other ones, 0 are gone, 0 cannot be told"
        in looked.out
    )
    assert f"made by    tvr {versions()['tvr']}, torch {versions()['torch']}" in looked.out

    write_movie(place / "archive" / "b.mp4", Movie(num_frames=12))
    looked = tvr(*INSPECT, cwd=place)
    assert "files      2 are those that the store was made of, 1 are other ones" in looked.out
    assert [line.split("\t")[:2] for line in looked.out.splitlines() if "\t" in line and "then" in line] == [
        ["b", "changed"]
    ]
    assert "--config store/extract.toml --store store --retry changed" in looked.out
    found = json.loads(tvr(*INSPECT, "--json", cwd=place).out)["files"]
    assert (list(found["changed"]), found["same"], found["unknown"]) == (["b"], 2, 0)

    dry = tvr(*EXTRACT, "--retry", "changed", "--dry-run", cwd=place)
    assert "--retry   1 video of the store" in dry.out
    again = tvr(*EXTRACT, "--retry", "changed", cwd=place)
    assert again.code == 0, again.err
    assert "--retry changed: 1 video of the store to be retried" in again.err
    assert "1 are other ones" not in tvr(*INSPECT, cwd=place).out


def test_extract_fails_with_another_folder_of_the_same_name(place: Path, tmp_path: Path) -> None:
    other = shutil.copytree(place / "archive", tmp_path / "archive")
    write_movie(other / "a.mp4", Movie(num_frames=9))
    line = [str(other) if word == "archive" else word for word in EXTRACT]
    refused = tvr(*line, cwd=place)
    assert refused.code == 4
    said = " ".join(refused.err.split())
    assert f"The store was made from {place / 'archive'}, this run looks in {other}." in said
    assert "or choose another folder with --store" in said
