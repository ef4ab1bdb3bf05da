"""MSVD by its official files."""

import pickle
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from tvr.data import msvd
from tvr.data.annotation_files.plain_pickle import plain_pickle
from tvr.data.base import Dataset
from tvr.data.contracts.errors import DataError


@pytest.fixture(scope="module")
def official(shared: Path) -> Path:
    return shared / "data" / "annotations" / "msvd"


@pytest.fixture(scope="module")
def dataset(official: Path) -> Dataset:
    return msvd.load(official, msvd.Config())


@pytest.fixture
def root(official: Path, tmp_path: Path) -> Path:
    for path in official.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def captions_of(dataset: Dataset, split: str) -> list[tuple[str, str]]:
    members = set(dataset.splits[split].video_ids)
    return [(caption.video_id, caption.text) for caption in dataset.captions if caption.video_id in members]


def test_published_counts(dataset: Dataset) -> None:
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 1200,
        "val": 100,
        "test": 670,
    }
    assert [len(captions_of(dataset, split)) for split in ("train", "val", "test")] == [48_774, 4_290, 27_763]
    assert (len(dataset.videos), len(dataset.captions), dataset.protocol) == (1970, 80_827, "multi")
    assert dataset.notes == ()
    assert dataset.normalisation == ("tokens joined by one space",)


def test_the_test_sentences_repeat_as_published(dataset: Dataset) -> None:
    pairs = captions_of(dataset, "test")
    assert len({text for _, text in pairs}) == 22_285
    assert len(pairs) - len(set(pairs)) == 3_730
    videos: dict[str, set[str]] = defaultdict(set)
    for video, text in pairs:
        videos[text].add(video)
    assert sum(len(owners) > 1 for owners in videos.values()) == 961


def test_captions_are_numbered_by_video(dataset: Dataset) -> None:
    first = dataset.splits["train"].video_ids[0]
    assert [caption.id for caption in dataset.captions[:3]] == [f"{first}#0", f"{first}#1", f"{first}#2"]
    assert max(Counter(caption.id for caption in dataset.captions).values()) == 1


def test_clips_are_found_by_name(root: Path, dataset: Dataset) -> None:
    (root / "YouTubeClips").mkdir()
    for id in dataset.splits["test"].video_ids[:5]:
        (root / "YouTubeClips" / f"{id}.avi").touch()
    assert str(msvd.load(root, msvd.Config()).coverage("test")) == "test: 5 of 670 videos found"


def test_a_missing_list_is_told_and_missing_captions_fail(root: Path) -> None:
    (root / "val_list.txt").unlink()
    dataset = msvd.load(root, msvd.Config())
    assert list(dataset.splits) == ["train", "test"]
    assert dataset.notes == ("val: left out, val_list.txt was not found",)
    (root / "raw-captions.pkl").unlink()
    with pytest.raises(DataError, match=r"msvd needs raw-captions\.pkl .*CLIP4Clip"):
        msvd.load(root, msvd.Config())


class Harmful:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "must hold a dict of captions by clip name, found a list"),
        ({"c": "x"}, "'c': must be a list of captions, found a string"),
        ({"c": [["a", 3]]}, "'c': caption 0: must be a list of tokens, found a list"),
        ({"c": [{"a": 1}]}, "caption 0: must be a list of tokens, found an object"),
        ({"c": [["a\0"]]}, "NUL character"),
        ({"c.avi": [["a"]], "c.mp4": [["b"]]}, "duplicate clip 'c'"),
    ],
)
def test_captions_of_another_shape_fail(root: Path, clips: object, message: str) -> None:
    (root / "raw-captions.pkl").write_bytes(pickle.dumps(clips))
    with pytest.raises(DataError, match=message):
        msvd.load(root, msvd.Config())


def test_a_pickle_with_code_fails_before_it_runs(root: Path) -> None:
    (root / "raw-captions.pkl").write_bytes(pickle.dumps({"c": [Harmful(root / "mark")]}))
    with pytest.raises(DataError, match=r"raw-captions\.pkl: refused"):
        msvd.load(root, msvd.Config())
    assert not (root / "mark").exists()


def test_a_list_that_names_an_absent_clip_fails(root: Path) -> None:
    clips = plain_pickle((root / "raw-captions.pkl").read_bytes(), root)
    del clips["eyhzdC936uk_15_27"]
    (root / "raw-captions.pkl").write_bytes(pickle.dumps(clips))
    with pytest.raises(DataError, match=r"test_list\.txt: 1 of 670 videos without text .*eyhzdC936uk_15_27"):
        msvd.load(root, msvd.Config())
