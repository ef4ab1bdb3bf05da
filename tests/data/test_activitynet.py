"""ActivityNet Captions by its official files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tvr.data import activitynet
from tvr.data.base import Dataset
from tvr.data.contracts.errors import DataError

HELD_OUT_DIGEST = "abbd3a5973ccfd9d4469bc2ba22e62774e3e03f29312a5d728fe3f2cf970396c"
"""Frozen: another validation split would make figures incomparable."""


@pytest.fixture(scope="module")
def official(shared: Path) -> Path:
    return shared / "data" / "annotations" / "activitynet"


@pytest.fixture(scope="module")
def dataset(official: Path) -> Dataset:
    return activitynet.load(official, activitynet.Config())


@pytest.fixture
def root(official: Path, tmp_path: Path) -> Path:
    shutil.copy(official / "val_1.json", tmp_path)
    return tmp_path


def entries_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_published_counts(official: Path, dataset: Dataset) -> None:
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 9009,
        "val": 1000,
        "test": 4917,
    }
    assert (dataset.protocol, len(dataset.captions)) == ("paragraph", 10_009 + 4_917)
    whole = activitynet.load(official, activitynet.Config(validation="none"))
    assert {name: len(split.video_ids) for name, split in whole.splits.items()} == {
        "train": 10_009,
        "test": 4917,
    }
    sentences = activitynet.load(official, activitynet.Config(validation="none", protocol="multi"))
    train = set(sentences.splits["train"].video_ids)
    assert sum(caption.video_id in train for caption in sentences.captions) == 37_421
    assert len(sentences.captions) == 37_421 + 17_505


def test_val_2_describes_the_tested_videos_again_and_is_not_read(official: Path, dataset: Dataset) -> None:
    again = entries_of(official / "val_2.json")
    assert len(again) == 4885
    assert set(again) <= set(dataset.splits["test"].video_ids)
    assert sorted(dataset.annotation_digests) == ["train.json", "val_1.json"]


def test_validation_is_held_out_of_training_and_frozen(dataset: Dataset) -> None:
    train, val, test = (set(dataset.splits[name].video_ids) for name in ("train", "val", "test"))
    assert not train & val and not train & test and not val & test
    assert dataset.splits["val"].digest == HELD_OUT_DIGEST
    assert any("1,000 are held out for validation" in note for note in dataset.notes)


def test_sentences_lose_the_blanks_they_begin_with(official: Path, dataset: Dataset) -> None:
    entries = entries_of(official / "val_1.json")
    raw = [text for entry in entries.values() for text in entry["sentences"]]
    assert sum(text != text.strip() for text in raw) == 11_639
    caption = next(caption for caption in dataset.captions if caption.video_id == "v_uqiMw7tQ1Cc")
    assert caption.sentences == tuple(text.strip() for text in entries["v_uqiMw7tQ1Cc"]["sentences"])
    assert caption.text.startswith("A weight lifting tutorial is given. The coach helps")
    assert dataset.normalisation == ("sentences trimmed of blanks",)


def test_reversed_and_overlong_timestamps_lose_no_sentence(official: Path) -> None:
    entries = entries_of(official / "train.json")
    reverse = {id for id, entry in entries.items() if any(start > end for start, end in entry["timestamps"])}
    assert reverse == {"v_0bosp4-pyTM", "v_rhOtqArO-3Y"}
    past = [
        id
        for id, entry in entries.items()
        for _, end in entry["timestamps"]
        if end > entry["duration"] + 0.01
    ]
    assert len(past) == 12
    dataset = activitynet.load(official, activitynet.Config(validation="none"))
    sentences = {caption.video_id: caption.sentences for caption in dataset.captions}
    for id in (*reverse, *past):
        assert len(sentences[id]) == len(entries[id]["sentences"])


@pytest.mark.parametrize(
    "name", ["v_uqiMw7tQ1Cc.mp4", "uqiMw7tQ1Cc.mkv", "val_1/v_uqiMw7tQ1Cc.webm", "all/uqiMw7tQ1Cc.mp4"]
)
def test_videos_are_found_with_and_without_prefix(root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).touch()
    dataset = activitynet.load(root, activitynet.Config())
    assert dataset.videos["v_uqiMw7tQ1Cc"].path == root / name
    assert dataset.coverage("test").found == 1


def test_id_lists_with_and_without_prefix(root: Path) -> None:
    ids = list(entries_of(root / "val_1.json"))
    (root / "val_ids.json").write_text(json.dumps([id.removeprefix("v_") for id in ids]))
    dataset = activitynet.load(root, activitynet.Config())
    assert dataset.splits["test"].video_ids == tuple(ids)
    assert dataset.splits["test"].source == "val_ids.json"


def test_listed_videos_without_sentences_are_told(root: Path) -> None:
    ids = [*entries_of(root / "val_1.json"), "v_00000000000"]
    (root / "val_ids.json").write_text(json.dumps(ids))
    dataset = activitynet.load(root, activitynet.Config())
    assert len(dataset.splits["test"].video_ids) == 4917
    assert "val_ids.json: 1 listed video in no split: no sentences in val_1.json" in dataset.notes


def test_an_id_list_of_the_videos_one_has_fails_unless_it_is_wanted(root: Path) -> None:
    ids = list(entries_of(root / "val_1.json"))[:4500]
    (root / "val_ids.json").write_text(json.dumps(ids))
    with pytest.raises(DataError, match=r"val_ids\.json: .*4,500 ids where 4,917 are published"):
        activitynet.load(root, activitynet.Config())
    dataset = activitynet.load(root, activitynet.Config(own_lists=True))
    assert dataset.coverage("test").expected == 4917
    assert any("4,500 ids where 4,917" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry.pop("sentences"), "has no key 'sentences'; found 'duration', 'timestamps'"),
        (lambda entry: entry.update(sentences="x"), "'sentences' must be a list of strings, found a string"),
        (lambda entry: entry.update(sentences=["x", " "]), "holds a blank sentence"),
    ],
)
def test_damaged_entries_fail_with_their_video(root: Path, change: Any, message: str) -> None:
    entries = entries_of(root / "val_1.json")
    change(entries["v_uqiMw7tQ1Cc"])
    (root / "val_1.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match=rf"val_1\.json: 'v_uqiMw7tQ1Cc': .*{message}"):
        activitynet.load(root, activitynet.Config())


def test_a_video_that_stands_twice_fails(root: Path) -> None:
    path = root / "val_1.json"
    again = json.dumps({"v_uqiMw7tQ1Cc": {"sentences": ["x"]}})[1:]
    path.write_text(path.read_text().rstrip().removesuffix("}") + ", " + again)
    with pytest.raises(DataError, match="duplicate key 'v_uqiMw7tQ1Cc'"):
        activitynet.load(root, activitynet.Config())


@pytest.mark.parametrize("text", ["[]", "{}", "[1]", '["v_uqiMw7tQ1Cc", "uqiMw7tQ1Cc"]'])
def test_bad_id_lists_fail(root: Path, text: str) -> None:
    (root / "val_ids.json").write_text(text)
    with pytest.raises(DataError, match=r"val_ids\.json"):
        activitynet.load(root, activitynet.Config(own_lists=True))


def test_reading_takes_less_than_two_seconds_of_a_core(official: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from tvr.data import activitynet; started = time.process_time();"
        "activitynet.load(Path(sys.argv[1]), activitynet.Config()); print(time.process_time() - started)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, official], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 2
