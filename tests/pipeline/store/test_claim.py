"""A store is made in one way, whoever writes into it, and whenever."""

import random
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
from tvr.data.base import load_dataset
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.extract import run_extraction
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.repair import repair
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.shard_worker import ShardWorker
from tvr.pipeline.store import claim
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.claim import Claim, claimed_store
from tvr.pipeline.store.file_locks import FileLock
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.manifest import MANIFEST_NAME, versions
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.receipts import load_receipt
from tvr.pipeline.store.verification import verify
from tvr.pipeline.summary import Summary

from ...fixtures.archive import (
    built_in_encoder,
    bytes_of,
    extracted,
    options_for,
    warm_extract,
    write_archive,
)
from ...fixtures.fuzz import cases
from ...fixtures.interleaving import interleaved
from ...fixtures.stores import manifest, write_store

SHARD = "video-00000-of-00003"

WAYS = {"two frames": 2, "four frames": 4}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return built_in_encoder()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("claimed") / "archive")


@pytest.fixture(scope="module")
def undisturbed(
    archive: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, bytes]]:
    """The shards of each way, made by a run that was alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {
        way: bytes_of(extracted(archive, encoder, folder / way, sampling=Sampling(num_frames=frames)))
        for way, frames in WAYS.items()
    }


@pytest.fixture(scope="module")
def workers(archive: Path, encoder: Encoder) -> Generator[list[ShardWorker]]:
    """Two, whose decoding children stay between runs."""
    with ShardWorker(encoder, options_for(archive)) as one, ShardWorker(encoder, options_for(archive)) as two:
        yield [one, two]


def asked(archive: Path, way: str) -> ExtractionOptions:
    return options_for(archive, sampling=Sampling(num_frames=WAYS[way]))


@pytest.mark.parametrize("seed", range(cases(20)))
def test_of_two_writers_one_makes_the_store(
    archive: Path,
    undisturbed: dict[str, dict[str, bytes]],
    workers: list[ShardWorker],
    tmp_path: Path,
    seed: int,
) -> None:
    ways = random.Random(seed).choices(list(WAYS), k=2)
    folder, dataset = tmp_path / "store", load_dataset("folder", archive, {})

    def writer(place: int) -> Summary:
        return run_extraction(workers[place], dataset, asked(archive, ways[place]), folder)

    answers = interleaved(folder, seed, lambda: writer(0), lambda: writer(1))
    refused = [answer for answer in answers if isinstance(answer, StoreError)]
    assert [type(answer) for answer in answers if answer not in refused] == [Summary] * (2 - len(refused))
    assert len(refused) == (ways[0] != ways[1]), answers
    assert all("sampling.num_frames: the store has" in str(error) for error in refused)
    winner = ways[0] if isinstance(answers[0], Summary) else ways[1]
    assert load_manifest(folder).sampling["num_frames"] == WAYS[winner]
    assert bytes_of(folder) == undisturbed[winner]
    assert verify(folder).damages == ()
    assert not [file.name for file in folder.iterdir() if file.suffix in (".lock", ".tmp")]


def test_a_store_without_a_shard_is_made_in_another_way(
    archive: Path, encoder: Encoder, tmp_path: Path
) -> None:
    made = manifest(sampling={"num_frames": 9})
    made.save(tmp_path, {"train": ["a"]})
    store = extracted(archive, encoder, tmp_path)
    assert load_manifest(store).sampling["num_frames"] == 4


def test_a_store_without_a_shard_fails_to_be_made_in_another_way_while_somebody_fills_it(
    tmp_path: Path,
) -> None:
    one = manifest()
    other = replace(one, sampling={**one.sampling, "num_frames": 9})
    with claimed_store(tmp_path, one, {}) as stored:
        assert stored == one
        with (
            pytest.raises(StoreError, match=r"sampling.num_frames: the store has \d+, this run would use 9"),
            claimed_store(tmp_path, other, {}),
        ):
            pass
        assert load_manifest(tmp_path).sampling == one.sampling
    with claimed_store(tmp_path, other, {}):
        assert load_manifest(tmp_path).sampling == other.sampling
    assert not list(tmp_path.glob("*.lock"))


def test_a_shard_of_another_store_fails_to_take_its_place(
    archive: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Where a file system has no locks, the manifest may have been written over since the run began."""
    store, before = tmp_path / "store", options_for(archive)
    dataset = load_dataset("folder", archive, {})

    def write_over(_: object) -> None:
        record = read_checksummed(store / MANIFEST_NAME)
        write_checksummed(store / MANIFEST_NAME, record | {"max_seconds": 3.0})

    with pytest.raises(StoreError, match=r"(?s)become another store while.*max_seconds: the store has 3\.0"):
        warm_extract(dataset, encoder, before, store, on_progress=write_over)
    assert not list(store.glob("*.h5"))
    assert not list(store.glob("*.lock"))


def test_a_manifest_is_confirmed(tmp_path: Path) -> None:
    store = write_store(tmp_path)
    Claim(store, load_manifest(store)).confirm()


def test_running_again_keeps_the_versions_that_made_the_store(
    archive: Path, encoder: Encoder, tmp_path: Path
) -> None:
    store = extracted(archive, encoder, tmp_path / "store")
    receipt = load_receipt(store / "video-00000-of-00003.h5")
    assert receipt.versions == versions()
    record = read_checksummed(store / MANIFEST_NAME)
    record["versions"]["torch"] = "1.0"
    write_checksummed(store / MANIFEST_NAME, record)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in store.iterdir()}
    extracted(archive, encoder, store)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in store.iterdir()}
    assert after == before, "nothing was left to do, and something was written"


def test_a_shard_of_another_store_is_not_read(archive: Path, encoder: Encoder, tmp_path: Path) -> None:
    """Copied, or left by two runs that wrote one store in two ways."""
    store = extracted(archive, encoder, tmp_path / "store")
    other = extracted(archive, encoder, tmp_path / "other", sampling=Sampling(num_frames=2))
    sound = bytes_of(store)
    for file in other.glob(f"{SHARD}.*"):
        shutil.copy(file, store)
    for attempt in (
        lambda: FeatureStore.open(store),
        lambda: extracted(archive, encoder, store),
        lambda: FeatureStore(store, load_manifest(store)).videos(),
    ):
        with pytest.raises(
            StoreError, match=rf"{SHARD}\.h5 was made for another store, .*tvr verify --store"
        ):
            attempt()
    found = verify(store)
    assert [(damage.file, damage.problem) for damage in found.damages] == [
        (f"{SHARD}.h5", "was made for another store, with other features")
    ]
    repair(found)
    assert bytes_of(store) == sound


def test_a_shard_with_more_frames_than_its_store_fails_to_verify(
    archive: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """What two runs of 0.1.0 left, whose receipts do not say for which store a shard was made."""
    store = extracted(archive, encoder, tmp_path / "store")
    for receipt in store.glob("*-of-*.json"):
        record = read_checksummed(receipt)
        write_checksummed(receipt, {name: value for name, value in record.items() if name != "made_as"})
    assert verify(store).damages == ()
    record = read_checksummed(store / MANIFEST_NAME)
    write_checksummed(store / MANIFEST_NAME, record | {"sampling": record["sampling"] | {"num_frames": 2}})
    problems = {damage.file: damage.problem for damage in verify(store).damages}
    assert problems[f"{SHARD}.h5"] == "holds 4 frames of a video, of which the store has at most 2"


def test_the_digest_of_features_is_that_of_what_makes_them(tmp_path: Path) -> None:
    one = manifest()
    one.save(tmp_path, {})
    assert load_manifest(tmp_path).features_digest == one.features_digest
    same = {"dataset": "other", "splits": {}, "num_videos": 9, "notes": ["x"], "versions": {}, "limit": 3}
    assert replace(one, **same).features_digest == one.features_digest
    newer = {**one.encoder, "open_clip_version": "9.9", "of_a_later_version": None}
    assert replace(one, encoder=newer).features_digest == one.features_digest
    others = [
        replace(one, max_seconds=3.0),
        replace(one, pixels="square"),
        replace(one, sampling={**one.sampling, "num_frames": 9}),
        replace(one, encoder={**one.encoder, "weights_digest": "1" * 64}),
    ]
    assert len({each.features_digest for each in (one, *others)}) == 5


@pytest.mark.parametrize("held", ["store.json.lock", "writers.lock"])
def test_a_store_whose_locks_somebody_keeps_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setattr(claim, "PATIENCE_SECONDS", 0.05)
    with FileLock(tmp_path / held) as lock:
        assert lock.acquire()
        with (
            pytest.raises(
                StoreError, match=rf"another process has held .*{held} for 0.05 s.*run the same command"
            ),
            claimed_store(tmp_path, manifest(), {}),
        ):
            pass
    with claimed_store(tmp_path, manifest(), {}):
        assert (tmp_path / "writers.lock").exists()
