import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from tvr.pipeline.store.claim import refuse_another_store
from tvr.pipeline.store.generations.record import load_manifest
from tvr.pipeline.store.manifest import SplitRecord, differences
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import MISSING
from tvr.pipeline.store.verification import verify

from ...fixtures.stores import DIM, SPLITS, manifest, write_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


def test_videos_come_back(folder: Path) -> None:
    store = FeatureStore.open(folder)
    assert store.video_ids == ["v0", "v1", "v2", "v3", "v4"]
    assert store.splits == SPLITS
    rows = store.videos(["v3", "v2", "v0"])
    assert rows.offsets.tolist() == [0, 4, 4, 5]
    assert rows.frames[:, 0].tolist() == [3, 3, 3, 3, 0]
    assert rows.frames.dtype == np.float16
    assert rows.frame_seconds.tolist() == [0, 0.5, 1, 1.5, 0]
    assert store.frames("v1").shape == (2, DIM)


def test_videos_fails(folder: Path) -> None:
    with pytest.raises(StoreError, match="no video 'v9'"):
        FeatureStore.open(folder).videos(["v9"])


def test_texts_come_back(folder: Path) -> None:
    rows = FeatureStore.open(folder).texts(["v0", "v4"])
    assert rows.ids == ("t0", "t4", "t5")
    assert rows.video_ids == ("v0", "v4", "v0")
    assert rows.texts[0] == "caption 0, città"
    assert rows.offsets.tolist() == [0, 2, 8, 15]
    assert rows.words[:, 0].tolist() == [0] * 2 + [4] * 6 + [5] * 7
    assert rows.sentence_row.tolist() == [1, 5, 6]
    assert rows.truncated.tolist() == [False, False, True]
    assert rows.parts is None


def test_statuses(folder: Path) -> None:
    statuses = {row.id: (row.status, row.reason, row.frames) for row in FeatureStore.open(folder).statuses()}
    assert statuses["v2"] == ("failed", "no video stream", 0)
    assert statuses["v4"] == ("failed", MISSING, 0)
    assert statuses["v3"] == ("ok", "", 4)


def test_older_rows(folder: Path) -> None:
    store = FeatureStore.open(folder)
    assert [row.id for row in store.older_rows(2)] == ["v0", "v1", "v3"], "those with frames"
    third = list(store.older_rows(2))[2]
    assert (third.shard, third.status, third.decoder) == ("video-00001-of-00003.h5", "ok", "pyav")
    assert (third.frame_index.tolist(), third.frame_seconds.tolist()) == ([0, 4, 8, 12], [0, 0.5, 1, 1.5])
    assert list(store.older_rows(1)) == []
    receipt = folder / "video-00000-of-00003.json"
    record = read_checksummed(receipt)
    write_checksummed(receipt, record | {"reading_rules": 3, "older_rows": {"v1": 2}})
    assert [row.id for row in store.older_rows(3)] == ["v1", "v3"]
    del record["reading_rules"], record["older_rows"]
    write_checksummed(receipt, record)  # as receipts were before
    assert [row.id for row in store.older_rows(2)] == ["v0", "v1", "v3"]
    assert verify(folder).damages == ()


def test_older_rows_fails_on_a_damaged_shard(folder: Path) -> None:
    shard = folder / "video-00001-of-00003.h5"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="tvr verify"):
        list(FeatureStore.open(folder).older_rows(2))


def test_open_fails(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no feature store"):
        FeatureStore.open(tmp_path / "nowhere")
    (folder / "video-00001-of-00003.h5").unlink()
    with pytest.raises(StoreError, match=r"1 of 5 shards missing \(video-00001-of-00003.h5\)"):
        FeatureStore.open(folder)
    assert FeatureStore.open(folder, complete=False).video_ids == ["v0", "v1", "v4"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 1}', '{"format_version": 99}', "null"])
def test_open_fails_on_a_bad_manifest(folder: Path, text: str) -> None:
    (folder / "store.json").write_text(text)
    with pytest.raises(StoreError):
        FeatureStore.open(folder)


def test_open_fails_on_other_split_ids(folder: Path) -> None:
    (folder / "splits.json").write_text(json.dumps({"train": ["v0"], "test": ["v3", "v4"]}))
    with pytest.raises(StoreError, match="'train' is not the one"):
        _ = FeatureStore.open(folder).splits


def test_a_truncated_shard_counts_as_absent(folder: Path) -> None:
    path = folder / "video-00000-of-00003.h5"
    path.write_bytes(path.read_bytes()[:-1])
    store = FeatureStore.open(folder, complete=False)
    assert store.absent_shards() == [path.name]


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = write_store(tmp_path / "a"), write_store(tmp_path / "b")
    for shard in first.glob("*.h5"):
        assert shard.read_bytes() == (second / shard.name).read_bytes()


def test_numbers_that_float16_would_lose_are_kept_as_float32(tmp_path: Path) -> None:
    from tvr.pipeline.store.shards import as_stored

    ordinary = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    assert as_stored(ordinary).dtype == np.float16
    assert as_stored(ordinary * 1e5).dtype == np.float32
    assert as_stored(ordinary * 1e-6).dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_as_stored_fails(bad: float) -> None:
    from tvr.pipeline.store.shards import as_stored

    with pytest.raises(StoreError, match="NaN or infinity in 1 of 3 rows"):
        as_stored(np.array([[0, 1], [bad, 0], [1, 1]], np.float32))


def test_large_columns_are_mapped_not_read(folder: Path) -> None:
    frames = FeatureStore.open(folder).frames("v3")
    assert not frames.flags.writeable
    file: Any
    with h5py.File(folder / "video-00001-of-00003.h5") as file:
        assert file["frames"].chunks is None
        assert np.array_equal(file["frames"][file["offsets"][1] : file["offsets"][2]], frames)


ENCODER = dict(manifest().encoder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoder": ENCODER | {"weights_digest": "11" * 32}}, "encoder.weights_digest"),
        ({"encoder": ENCODER | {"precision": "bf16"}}, "encoder.precision"),
        (
            {"encoder": ENCODER | {"preprocessing": {**ENCODER["preprocessing"], "width": 9}}},
            "encoder.preprocessing.width",
        ),
        ({"sampling": {"policy": "uniform", "num_frames": 5}}, "sampling.num_frames"),
        ({"sampling": {"policy": "fps", "num_frames": 4}}, "sampling.policy"),
        ({"max_seconds": 30.0}, "max_seconds"),
        ({"decoder": "decord"}, "decoder"),
        ({"text_policy": "other"}, "text_policy"),
        ({"patches_dtype": "int8"}, "patches_dtype"),
        ({"pixels": "square"}, "pixels"),
        ({"resize": "fast"}, "resize"),
        ({"dataset": "other"}, "dataset"),
        ({"protocol": "paragraph"}, "protocol"),
        ({"annotation_digests": {"captions.csv": "cd"}}, "annotation_digests.captions.csv"),
        ({"annotation_digests": {"captions.csv": "ab", "more.csv": "ef"}}, "annotation_digests.more.csv"),
        ({"normalisation": ["trimmed"]}, "normalisation"),
        ({"splits": {"train": SplitRecord(3, 3, "made up", "0" * 64)}}, "splits.train"),
        ({"num_videos": 6}, "num_videos"),
        ({"num_texts": 7}, "num_texts"),
        ({"videos_per_shard": 3}, "videos_per_shard"),
        ({"texts_per_shard": 3}, "texts_per_shard"),
        ({"frames_per_batch": 9}, "frames_per_batch"),
        ({"limit": 5}, "limit"),
    ],
)
def test_each_difference_refuses_and_is_named(folder: Path, changes: dict[str, object], named: str) -> None:
    wanted = manifest(**changes)
    lines = differences(load_manifest(folder), wanted)
    assert any(line.startswith(f"{named}: the store has ") for line in lines), lines
    with pytest.raises(
        StoreError, match=rf"made in another way and will not be extended:\n(.*\n)*  {re.escape(named)}: "
    ):
        refuse_another_store(folder, load_manifest(folder), wanted)


def test_what_may_differ_does_not_refuse(folder: Path) -> None:
    fewer = {name: replace(record, found=0) for name, record in manifest().splits.items()}
    newer = ENCODER | {"open_clip_version": "9", "torch_version": "9", "attention_heads": 6}
    wanted = manifest(versions={"tvr": "9"}, notes=["a note"], splits=fewer, encoder=newer)
    refuse_another_store(folder, load_manifest(folder), wanted)
    assert manifest(encoder=newer).features_digest == manifest().features_digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_videos": 10**15}, "shards"),
        ({"num_videos": -1}, "num_videos is -1"),
        ({"num_texts": True}, "num_texts is True"),
        ({"texts_per_shard": 0}, "texts_per_shard is 0"),
        ({"videos_per_shard": 1.5}, "videos_per_shard"),
        ({"encoder": ENCODER | {"dim": "6"}}, "dim is '6'"),
        ({"encoder": {}}, "model is None"),
        ({"encoder": ENCODER | {"attention_heads": "6"}}, "attention_heads is '6'"),
        ({"encoder": ENCODER | {"attention_heads": 0}}, "encoder.attention_heads is 0"),
        ({"splits": {"train": 1}}, "splits.train is 1"),
    ],
)
def test_open_fails_on_numbers_that_no_store_has(folder: Path, changes: dict[str, object], said: str) -> None:
    write_checksummed(folder / "store.json", read_checksummed(folder / "store.json") | changes)
    with pytest.raises(StoreError, match=said):
        FeatureStore.open(folder, complete=False)


def test_manifest_round_trip_and_differences(folder: Path) -> None:
    stored = load_manifest(folder)
    assert differences(stored, manifest()) == []
    assert differences(stored, manifest(decoder="decord")) == [
        "decoder: the store has 'pyav', this run would use 'decord' (--decoder)"
    ]
    assert differences(stored, manifest(frames_per_batch=9)) == [
        "frames_per_batch: the store has 8, this run would use 9 (--batch-size)"
    ]
    assert differences(stored, manifest(num_videos=6)) == [
        "num_videos: the store has 5, this run would use 6"
    ]
    other = dict(manifest().encoder) | {"weights_digest": "11" * 32, "open_clip_version": "3.4.0"}
    lines = differences(stored, manifest(encoder=other))
    assert len(lines) == 1
    assert lines[0].startswith("encoder.weights_digest")
