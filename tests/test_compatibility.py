"""What an earlier version wrote is read, extended, repaired, evaluated and searched as that version did it."""

import json
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.verification import verify

from .fixtures.shell import tvr

WRITTEN = Path(__file__).parent / "fixtures" / "before_rooms"
EXPECTED: dict[str, Any] = json.loads((WRITTEN / "expected.json").read_text(encoding="utf-8"))

COMMON = (
    *("extract", "--dataset", "folder", "--model", "tvr-storyboard", "--decoding-processes", "1"),
    *("--precision", "fp32", "--device", "cpu", "--decoder", "pyav", "--batch-size", "16"),
)
OPTIONS = {
    "store": ("--num-frames", "4", "--videos-per-shard", "4"),
    "store_int8": (
        *("--num-frames", "2", "--videos-per-shard", "2", "--limit", "4"),
        *("--patches", "--patches-dtype", "int8"),
    ),
}
TRAIN = (
    *("train-head", "--head", "wti", "--set", "layers=0", "--set", "weights=learned", "--train", "alike=2"),
    *("--epochs", "2", "--batch-size", "4", "--device", "cpu"),
)
RESUME = (
    *("train-head", "--head", "seq_transformer", "--set", "layers=1", "--train", "ema=0.9"),
    *("--train", "alike=2", "--epochs", "5", "--batch-size", "4", "--lr", "0.003", "--device", "cpu"),
)
TOLERANCE = 2e-3
"""Of a feature, which is stored as float16 and computed on another processor than the expected one; patches are
stored in steps of 0.4 %."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of all that was written."""
    return shutil.copytree(WRITTEN, tmp_path / "written")


def command(place: Path, store: str) -> tuple[str | Path, ...]:
    """The command that made the store."""
    return (*COMMON, *OPTIONS[store], "--root", place / "videos", "--store", place / store)


def digest(array: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_store_is_read(name: str) -> None:
    expected = EXPECTED[name]
    store = FeatureStore.open(WRITTEN / name)
    assert [asdict(status) for status in store.statuses()] == expected["statuses"]
    assert {split: list(ids) for split, ids in store.splits.items()} == expected["splits"]
    videos, texts = store.videos(), store.texts()
    assert [list(row) for row in zip(texts.ids, texts.video_ids, texts.texts, strict=True)] == expected[
        "texts"
    ]
    arrays = {
        "frames": videos.frames,
        "frame_seconds": videos.frame_seconds,
        "video_offsets": videos.offsets,
        "words": texts.words,
        "token_ids": texts.token_ids,
        "text_offsets": texts.offsets,
        "sentence_row": texts.sentence_row,
    }
    if store.has_patches:
        arrays["patches"] = np.concatenate([store.patches(video) for video in store.video_ids])
    assert {key: digest(array) for key, array in arrays.items()} == expected["sha256"]
    assert verify(WRITTEN / name).damages == ()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_store_that_lacks_shards_is_extended(place: Path, name: str) -> None:
    shards = [place / name / f"video-00001-of-0000{3 if name == 'store' else 2}.h5"]
    shards.append(place / name / "text-00000-of-00001.h5")
    kept = {path.name: path.stat().st_mtime_ns for path in (place / name).glob("*.h5") if path not in shards}
    for shard in shards:
        shard.unlink()
        shard.with_suffix(".json").unlink()
    answer = tvr(*command(place, name), cwd=place)
    assert answer.code == 0, answer.err
    assert f"2 shards written, {len(kept)} already there" in answer.out
    assert all((place / name / shard).stat().st_mtime_ns == time for shard, time in kept.items())
    _assert_same_features(place / name, WRITTEN / name)


def _assert_same_features(folder: Path, wanted: Path) -> None:
    assert verify(folder).damages == ()
    new, old = FeatureStore.open(folder), FeatureStore.open(wanted)
    assert new.statuses() == old.statuses()
    for video in old.video_ids:
        np.testing.assert_allclose(new.frames(video), old.frames(video), atol=TOLERANCE)
        assert new.frame_seconds(video).tolist() == old.frame_seconds(video).tolist()
        if old.has_patches:
            np.testing.assert_allclose(new.patches(video), old.patches(video), atol=0.05)
    texts, old_texts = new.texts(), old.texts()
    assert texts.texts == old_texts.texts
    assert texts.token_ids.tolist() == old_texts.token_ids.tolist()
    np.testing.assert_allclose(texts.words, old_texts.words, atol=TOLERANCE)


def test_a_store_grows(place: Path) -> None:
    """No receipt of that version says which part of a file a video is: its packets do."""
    before = {path.name: path.stat().st_mtime_ns for path in (place / "store").glob("*.h5")}
    shutil.copy(place / "videos" / "train-00000.mp4", place / "videos" / "more.mp4")
    with (place / "videos" / "captions.csv").open("a", encoding="utf-8") as captions:
        captions.write("more.mp4,more,train,a ring rises\n")
    answer = tvr(*command(place, "store"), cwd=place)
    assert answer.code == 0, answer.err
    assert "videos since the store was last extracted: 1 new, 0 changed, 0 gone, 11 kept" in answer.err
    assert "4 frames in" in answer.out
    assert {name: (place / "store" / name).stat().st_mtime_ns for name in before} == before
    answer = tvr("compact", "--store", place / "store", cwd=place)
    assert answer.code == 0, answer.err
    assert "1 generation after the first; 6 shards became 4" in answer.out
    store = FeatureStore.open(place / "store")
    assert store.frames("more").tolist() == store.frames("train-00000").tolist()
    assert len(store.video_ids) == 12


def test_rows_of_older_rules_are_looked_at(place: Path) -> None:
    answer = tvr("inspect", "--store", place / "store", "--untrusted", "--root", place / "videos", cwd=place)
    assert answer.code == 0, answer.err
    assert "9 videos read by older rules: 9 trusted, 0 untrusted, 0 cannot be told" in answer.out


def test_a_store_is_extended_fails_with_another_sampling(place: Path) -> None:
    (place / "store" / "video-00001-of-00003.h5").unlink()
    answer = tvr(*command(place, "store"), "--num-frames", "5", cwd=place)
    assert answer.code == 4
    assert "sampling.num_frames: the store has 4, this run would use 5" in answer.err


@pytest.mark.parametrize("name", OPTIONS)
def test_a_damaged_store_is_repaired(place: Path, name: str) -> None:
    shard = next((place / name).glob("video-00001-*.h5"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    answer = tvr("verify", "--store", place / name, "--repair", "--root", place / "videos", cwd=place)
    assert answer.code == 0, answer.err
    _assert_same_features(place / name, WRITTEN / name)


def test_a_run_is_evaluated(place: Path) -> None:
    matrix = place / "similarity.npy"
    answer = tvr(
        "eval",
        place / "run",
        "--json",
        "--normalise",
        "dsl",
        "--save-similarity",
        matrix,
        "--device",
        "cpu",
        cwd=place,
    )
    assert answer.code == 0, answer.err
    # That version named each head once, said of all what it now says of each, and had no singular.
    expected = json.loads(json.dumps(EXPECTED["evaluation"]).replace("1 videos", "1 video"))
    runs = {run["name"]: run for run in json.loads(answer.out)["runs"]}
    assert len(runs) == 2
    for run in runs.values():
        found = run | runs
        assert _part(found, expected) == expected
    np.testing.assert_allclose(np.load(matrix), EXPECTED["similarity"], atol=1e-4)


def _part(found: Any, expected: Any) -> Any:
    """Of what was found the keys that are expected: a new figure may stand beside the old ones."""
    if not isinstance(expected, dict):
        return found
    return {name: _part(found[name], value) for name, value in expected.items()}


def test_a_run_is_searched(place: Path) -> None:
    expected = EXPECTED["search"]
    answer = tvr("search", "--run", place / "run", "--json", expected["text"], cwd=place)
    assert answer.code == 0, answer.err
    hits = json.loads(answer.out)["hits"]
    assert [hit["video"] for hit in hits] == [hit["video"] for hit in expected["hits"]]
    np.testing.assert_allclose(
        [hit["score"] for hit in hits], [hit["score"] for hit in expected["hits"]], atol=1e-3
    )


def test_a_run_is_known_again(place: Path) -> None:
    weights = (place / "run" / "head.safetensors").read_bytes()
    answer = tvr(*TRAIN, "--store", place / "store", "--run", place / "run", cwd=place)
    assert answer.code == 0, answer.err
    assert "kept epoch 1 (validation score 550.0* of 600)" in answer.out
    assert (place / "run" / "head.safetensors").read_bytes() == weights


def test_a_run_that_was_stopped_goes_on(place: Path) -> None:
    run, expected = place / "run_stopped", EXPECTED["training"]
    answer = tvr(*RESUME, "--store", place / "store_dim16", "--run", run, cwd=place)
    assert answer.code == 0, answer.err
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in metrics] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose([line["loss"]["total"] for line in metrics], expected["loss"], rtol=1e-3)
    assert _part(metrics[-1]["val"], expected["val"]) == expected["val"]
    state = load_file(run / "resume.safetensors")
    for name, size in expected["state"].items():
        assert float(state[name].abs().sum()) == pytest.approx(size, rel=1e-3), name


def test_a_run_is_known_again_fails_with_other_settings(place: Path) -> None:
    answer = tvr(*TRAIN, "--store", place / "store", "--run", place / "run", "--seed", "1", cwd=place)
    assert answer.code == 2
    assert "training.seed is 0 there and 1 here" in answer.err
