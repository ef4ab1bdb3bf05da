"""A damaged or crafted store is answered by one of our errors: no crash, no hang, no exception of a library."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.request import load_request
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.receipts import read_receipt
from tvr.pipeline.store.shard_reader import ShardReader
from tvr.pipeline.store.verification import verify

from ...fixtures.fuzz import cases
from ...fixtures.stores import write_store

SCRIPT = Path(__file__).with_name("mutated_store.py")
COUNT = cases(400)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("sound") / "store")


def answers(store: Path, scratch: Path, *forged: str) -> tuple[Counter[str], list[str]]:
    """How mutated stores were answered, and which of them ended the process that read them."""
    counts: Counter[str] = Counter()
    deaths: list[str] = []
    first = 0
    while first < COUNT:
        command = [sys.executable, str(SCRIPT), str(store), str(scratch), str(first), str(COUNT), *forged]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line.split() for line in done.stdout.splitlines()]
        counts.update(line[1] for line in lines if len(line) == 2)
        if done.returncode > 0:
            pytest.fail(f"seed {lines[-1][0]}: {done.stderr}")
        if done.returncode < 0:
            deaths.append(f"seed {lines[-1][0]}: signal {-done.returncode}")
        first = int(lines[-1][0]) + 1
    return counts, deaths


def test_mutated_stores_are_refused_or_read(sound: Path, tmp_path: Path) -> None:
    counts, deaths = answers(sound, tmp_path)
    assert not deaths
    assert counts.total() == COUNT
    # What is read all the same was changed in the rows of features alone, or in a shard that now counts as absent.
    assert counts["refused"] > 0.5 * COUNT


@settings(max_examples=cases(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_a_checksummed_record(sound: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["store.json", "video-00000-of-00003.json"]))
    path = sound / name
    original = path.read_bytes()
    try:
        record = read_checksummed(path)
        key = data.draw(st.sampled_from(sorted(record)))
        if isinstance(record[key], dict) and record[key] and data.draw(st.booleans()):
            inner = data.draw(st.sampled_from(sorted(record[key])))
            record[key][inner] = data.draw(json_values)
        else:
            record[key] = data.draw(json_values)
        write_checksummed(path, record)
        _use(sound)
    finally:
        path.write_bytes(original)


def _use(folder: Path) -> None:
    verify(folder)
    read_receipt(folder / "video-00000-of-00003.h5")
    try:
        store = FeatureStore.open(folder, complete=False)
        assert len(store.absent_shards()) <= 1_000_000
        store.statuses()
        _ = store.splits
    except StoreError:
        pass


@settings(max_examples=cases(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=json_values,
    key=st.sampled_from(["sampling", "request", "decoder", "limit", "videos_per_shard", "more"]),
)
def test_any_value_in_a_request_fails(sound: Path, value: object, key: str) -> None:
    good = {"sampling": {"policy": "uniform", "num_frames": 4}, "request": {"root": "/data"}}
    write_checksummed(sound / "request.json", good | {key: value})
    try:
        with pytest.raises(StoreError, match=r"request\.json cannot be used"):
            load_request(sound)
    finally:
        (sound / "request.json").unlink()


def test_a_shard_without_its_receipt_is_not_opened(sound: Path, tmp_path: Path) -> None:
    shard = tmp_path / "video-00000-of-00003.h5"
    shard.write_bytes((sound / shard.name).read_bytes())
    with pytest.raises(StoreError, match="cannot be read"):
        ShardReader(shard)
