"""A run finds the features that it was trained on, not others of the same encoder and data set."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tvr.data.contracts.errors import StoreError, UsageError
from tvr.heads import seq_transformer
from tvr.heads.features.from_store import features_of
from tvr.heads.runs.find_store import run_store, store_notes, stores_of
from tvr.heads.runs.run_folder import RunRecord, load_record
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.loop import train
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_store

STORE, RUN = Path("features/toy/model-tag"), Path("runs/toy/run-1")
CONFIG = TrainingConfig(epochs=1, batch_size=16, device="cpu")

OF_AN_EARLIER_VERSION = (
    "dataset",
    "protocol",
    "annotation_digests",
    "encoder",
    "sampling",
    "splits",
    "path",
    "relative_path",
)
"""What runs of tvr 0.1.0 say of their store."""


def trained(store: Path, run: Path) -> None:
    opened = FeatureStore.open(store)
    features = {name: features_of(opened, name) for name in ("train", "val")}
    train("seq_transformer", seq_transformer.Config(layers=1), features, CONFIG, run)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("made") / "workspace"
    generated_store(workspace / STORE)
    trained(workspace / STORE, workspace / RUN)
    return workspace


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    """A copy whose run does not know the place where it was made."""
    copied = Path(shutil.copytree(made, tmp_path / "workspace"))
    record = load_record(copied / RUN)
    record = dataclasses.replace(record, store={**record.store, "path": "/nowhere"})
    (copied / RUN / "config.json").write_text(json.dumps(dataclasses.asdict(record)))
    return copied


def changed(store: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The store after its manifest was changed."""
    values = read_checksummed(store / "store.json")
    change(values)
    write_checksummed(store / "store.json", values)
    return store


def with_other_bytes(store: Path, seed: int = 1) -> Path:
    """The store with a shard of which one frame is another, and a receipt that fits."""
    receipt = next(store.glob("video-*.json"))
    values = read_checksummed(receipt)
    shard = receipt.with_suffix(".h5")
    data = bytearray(shard.read_bytes())
    data[values["rows_at"][0][0]] ^= seed
    shard.write_bytes(data)
    values["sha256"] = f"{seed:064x}"
    write_checksummed(receipt, values)
    return store


def of_an_earlier_version(run: Path) -> RunRecord:
    record = load_record(run)
    known = {name: record.store[name] for name in OF_AN_EARLIER_VERSION}
    return dataclasses.replace(record, store=known)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "sampling.num_frames: the run was trained on 4, the store has 8": lambda values: values[
        "sampling"
    ].update(num_frames=8),
    "annotation_digests.captions.csv: the run was trained on 'ab', the store has 'cd'": lambda values: values[
        "annotation_digests"
    ].update({"captions.csv": "cd"}),
    "encoder.precision: the run was trained on 'fp32', the store has 'bf16'": lambda values: values[
        "encoder"
    ].update(precision="bf16"),
    "pixels: the run was trained on 'stored', the store has 'square'": lambda values: values.update(
        pixels="square"
    ),
    "resize: the run was trained on 'exact', the store has 'fast'": lambda values: values.update(
        resize="fast"
    ),
    "protocol: the run was trained on 'multi', the store has 'single'": lambda values: values.update(
        protocol="single"
    ),
}

OF_LATER_VERSIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "max_seconds: the run was trained on None, the store has 10.0": lambda values: values.update(
        max_seconds=10.0
    ),
    "text_policy: the run was trained on 'truncate', the store has 'split'": lambda values: values.update(
        text_policy="split"
    ),
    "decoder: the run was trained on 'pyav', the store has 'decord'": lambda values: values.update(
        decoder="decord"
    ),
}


@pytest.mark.parametrize("difference", [*CHANGES, *OF_LATER_VERSIONS])
def test_another_store_in_the_place_of_the_own_one_fails(workspace: Path, difference: str) -> None:
    store = changed(workspace / STORE, (CHANGES | OF_LATER_VERSIONS)[difference])
    record = load_record(workspace / RUN)
    with pytest.raises(StoreError) as error:
        run_store(workspace / RUN, record)
    assert f"{store} is another store: {difference}" in str(error.value)
    assert "Name their folder with --store" in str(error.value)
    named = run_store(workspace / RUN, record, store)
    assert store_notes(record, named) == [difference]


def test_a_run_prefers_its_own_store_to_others_nearby(workspace: Path) -> None:
    """Also where another lies in its old place, and one that is alike but for its bytes is met first."""
    own = (workspace / STORE).rename(workspace / STORE.parent / "z-moved")
    with_other_bytes(Path(shutil.copytree(own, workspace / STORE.parent / "a-extracted-again")))
    changed(Path(shutil.copytree(own, workspace / STORE)), CHANGES[next(iter(CHANGES))])
    record = load_record(workspace / RUN)
    found = run_store(workspace / RUN, record)
    assert found.folder == own
    assert store_notes(record, found) == []
    shutil.rmtree(own)
    again = run_store(workspace / RUN, record)
    assert again.folder.name == "a-extracted-again"
    assert store_notes(record, again) == [
        "features of the store were extracted again since the run was trained on them"
    ]


def test_a_store_that_cannot_be_read_does_not_hide_the_own_one(workspace: Path) -> None:
    own = (workspace / STORE).rename(workspace / STORE.parent / "z-moved")
    broken = workspace / STORE.parent / "a-broken"
    shutil.copytree(own, broken)
    next(broken.glob("video-*.h5")).unlink()
    assert run_store(workspace / RUN, load_record(workspace / RUN)).folder == own
    shutil.rmtree(own)
    with pytest.raises(StoreError) as error:
        run_store(workspace / RUN, load_record(workspace / RUN))
    assert str(error.value) == (
        f"{broken} is incomplete: 1 of 2 shards missing (video-00000-of-00001.h5). To extract what is missing: "
        f"tvr verify --repair --store {broken}\n{workspace / RUN} was trained on these features"
    )


def test_a_damaged_store_where_the_run_left_it_is_the_reason_fails(workspace: Path) -> None:
    """And not that it is not there; that of a neighbour is named behind where it was looked for."""
    manifest = workspace / STORE / "store.json"
    manifest.write_text("{")
    with pytest.raises(StoreError, match=rf"^{manifest} .*\n.*was trained on these features$"):
        run_store(workspace / RUN, load_record(workspace / RUN))
    (workspace / STORE).rename(workspace / STORE.parent / "moved")
    with pytest.raises(StoreError, match=r"^the features .* are neither at .*\n.*moved/store\.json"):
        run_store(workspace / RUN, load_record(workspace / RUN))


def test_another_store_is_told_by_few_digits_fails(workspace: Path) -> None:
    """Nobody compares two lines of 64 digits."""
    splits = read_checksummed(workspace / STORE / "store.json")["splits"]
    digest = splits["test"]["digest"]
    assert len(digest) == 64
    changed(workspace / STORE, lambda values: values["splits"]["test"].update(digest="f" * 64))
    with pytest.raises(StoreError) as error:
        run_store(workspace / RUN, load_record(workspace / RUN))
    assert f"splits.test: the run was trained on '{digest[:12]}', the store has '{'f' * 12}'" in str(
        error.value
    )


def test_a_run_of_an_earlier_version_finds_its_store_and_says_what_it_does_not_know(workspace: Path) -> None:
    record = of_an_earlier_version(workspace / RUN)
    found = run_store(workspace / RUN, record)
    assert store_notes(record, found) == [
        "an earlier version trained the run and did not keep decoder, limit, max_seconds, normalisation, "
        "shards_digest, text_policy: whether the store has the same cannot be checked"
    ]


@pytest.mark.parametrize("difference", CHANGES)
def test_a_run_of_an_earlier_version_fails_with_another_store(workspace: Path, difference: str) -> None:
    changed(workspace / STORE, CHANGES[difference])
    with pytest.raises(StoreError) as error:
        run_store(workspace / RUN, of_an_earlier_version(workspace / RUN))
    assert f"is another store: {difference}" in str(error.value)


def test_another_data_set_may_be_named(workspace: Path, tmp_path: Path) -> None:
    other = changed(
        generated_store(tmp_path / "other", videos=20), lambda values: values.update(dataset="zoo")
    )
    record = load_record(workspace / RUN)
    named = run_store(workspace / RUN, record, other)
    assert store_notes(record, named) == ["trained on toy, scored on zoo"]
    changed(other, CHANGES[next(iter(CHANGES))])
    named = run_store(workspace / RUN, record, other)
    assert store_notes(record, named) == ["trained on toy, scored on zoo", next(iter(CHANGES))]


def test_run_store_fails_without_a_word_of_a_store(workspace: Path) -> None:
    record = dataclasses.replace(load_record(workspace / RUN), store={})
    with pytest.raises(StoreError, match=r"unknown data set\) are neither at a known place"):
        run_store(workspace / RUN, record)
    with pytest.raises(StoreError, match="was trained on weights that its run does not name"):
        run_store(workspace / RUN, record, workspace / STORE)


def test_stores_of_a_run(workspace: Path) -> None:
    """Its own and its copies, wherever they are called what, and what is damaged where it lay."""
    run, own = workspace / RUN, workspace / STORE
    record = load_record(run)
    copy = Path(shutil.copytree(own, own.with_name("a-copy")))
    changed(Path(shutil.copytree(own, own.with_name("other"))), CHANGES[next(iter(CHANGES))])
    assert list(stores_of(run, record)) == [own, copy]
    renamed = own.rename(own.with_name("renamed"))
    assert list(stores_of(run, record)) == [copy, renamed]
    (copy / "store.json").write_text("{")
    copy.rename(own)
    assert list(stores_of(run, record)) == [own, renamed]


def test_stores_of_a_run_fails_to_find_what_is_gone(workspace: Path) -> None:
    run, own = workspace / RUN, workspace / STORE
    changed(own, CHANGES[next(iter(CHANGES))])
    assert list(stores_of(run, load_record(run))) == []
    shutil.rmtree(own)
    assert list(stores_of(run, load_record(run))) == []
    with pytest.raises(
        StoreError, match=r"with --store, or make them again with the `tvr extract` that made them"
    ):
        run_store(run, load_record(run))


def test_a_run_goes_on_with_its_own_features_alone(workspace: Path) -> None:
    trained(workspace / STORE, workspace / RUN)
    moved = (workspace / STORE).rename(workspace / "moved")
    trained(moved, workspace / RUN)
    with_other_bytes(moved)
    with pytest.raises(UsageError, match=r"store\.shards_digest is .* \(videos were extracted again since\)"):
        trained(moved, workspace / RUN)
    config = workspace / RUN / "config.json"
    config.write_text(json.dumps(dataclasses.asdict(of_an_earlier_version(workspace / RUN))))
    trained(moved, workspace / RUN)
    changed(moved, CHANGES[next(iter(CHANGES))])
    with pytest.raises(UsageError, match=r"store\.sampling\.num_frames is 4 there and 8 here"):
        trained(moved, workspace / RUN)
