"""A grown store, written anew: whole or not at all."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tvr.data.base import load_dataset
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.growth.compaction import compact_store, planned_compaction
from tvr.pipeline.store.claim import claimed_store
from tvr.pipeline.store.generations.record import earlier_digests, load_manifest
from tvr.pipeline.store.housekeeping import keep_note, note_of
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.verification import verify
from tvr.pipeline.video.sample_clip import write_sample

from ...fixtures.archive import built_in_encoder, bytes_of, options_for, warm_extract


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def made(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with patches that has grown twice, and what a fresh extraction makes of the same archive."""
    place = tmp_path_factory.mktemp("made")

    def extracted(names: str, store: str) -> None:
        for name in names:
            write_sample(place / "archive" / f"{name}.mp4")
        rows = [f"{name}.mp4,a clip called {name}" for name in names]
        (place / "archive" / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
        described = load_dataset("folder", place / "archive", {})
        warm_extract(described, encoder, options_for(place / "archive", patches_dtype="int8"), place / store)

    (place / "archive").mkdir()
    for names in ("ace", "abce", "bcde"):
        extracted(names, "store")
    extracted("bcde", "fresh")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "place")


def is_as_before(place: Path, made: Path) -> bool:
    """Whether every file of the store is what it was."""
    paths = [path.relative_to(place) for path in (place / "store").rglob("*") if path.is_file()]
    return {path: (place / path).read_bytes() for path in paths} == {
        path: (made / path).read_bytes() for path in paths
    } and len(paths) == sum(path.is_file() for path in (made / "store").rglob("*"))


def test_it_ends_as_a_fresh_extraction(place: Path) -> None:
    store, told = place / "store", []
    keep_note(store, "mine")
    before = FeatureStore.open(store)
    digests, planned = [*earlier_digests(store), before.digest], planned_compaction(store)
    done = compact_store(store, lambda shard, total: told.append((shard, total)))
    assert bytes_of(store) == bytes_of(place / "fresh")
    assert (store / "store.json").read_bytes() == (place / "fresh" / "store.json").read_bytes()
    assert not (store / "generations").exists()
    assert (done.generations, done.shards_before, done.shards) == (2, planned.shards_before, 4)
    assert done.bytes < done.bytes_before
    assert abs(planned.bytes - done.bytes) < 0.6 * done.bytes
    assert told[-1] == (4, 4)
    assert note_of(store) == "mine"
    assert earlier_digests(store) == digests
    assert verify(store).damages == ()
    assert sorted(path.name for path in place.iterdir()) == ["archive", "fresh", "store"]
    assert compact_store(store).generations == 0  # and nothing is done


def test_a_link_goes_on_leading_to_it(place: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(place / "store")
    compact_store(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert bytes_of(tmp_path / "link") == bytes_of(place / "fresh")


def test_a_damaged_store_fails(place: Path, made: Path) -> None:
    shard = place / "store" / "video-00000-of-00002.h5"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreError, match=r"video-00000-of-00002\.h5 .*--repair"):
        compact_store(place / "store")
    shutil.copy(made / "store" / shard.name, shard)
    assert is_as_before(place, made)


def test_a_store_that_somebody_fills_fails(place: Path, made: Path) -> None:
    manifest = load_manifest(place / "store")
    with (
        claimed_store(place / "store", manifest, FeatureStore.open(place / "store").splits),
        pytest.raises(StoreError, match="another process writes into"),
    ):
        compact_store(place / "store")
    assert is_as_before(place, made)


def test_a_disk_without_room_fails(place: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=5))
    with pytest.raises(StoreError, match=r"takes .* beside what is there, and its disk has 5 B free"):
        compact_store(place / "store")
    assert is_as_before(place, made)


def test_an_interrupted_one_leaves_the_store_as_it_was(place: Path, made: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compact_store(place / "store", interrupt)
    assert is_as_before(place, made)


KILLED = """
import os, signal, sys
from pathlib import Path
from tvr.pipeline.growth.compaction import compact_store
left = int(sys.argv[2])
for name in ("rename", "mkdir"):
    def killed(self, *arguments, original=getattr(Path, name), **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *arguments, **options)
    setattr(Path, name, killed)
compact_store(Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(4))
def test_a_killed_one_is_ended_by_the_next(place: Path, steps: int) -> None:
    """Before the new folder is made, before it leaves the old one, before the old one goes in, before it comes."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(place / "store"), str(steps)], check=False)
    assert killed.returncode == -signal.SIGKILL
    if steps == 3:
        assert not (place / "store").exists()
        with pytest.raises(StoreError, match=r"was interrupted .*`tvr compact --store .* ends it"):
            planned_compaction(place / "store")
    compact_store(place / "store")
    assert bytes_of(place / "store") == bytes_of(place / "fresh")
    assert sorted(path.name for path in (place / "store").iterdir()) == sorted(
        [*(path.name for path in (place / "fresh").iterdir()), "history.json"]
    )
