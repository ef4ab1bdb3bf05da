"""VATEX: the official id lists, and captions in the official format."""

import json
import shutil
from itertools import cycle, islice
from pathlib import Path

import pytest
from tvr.data import vatex
from tvr.data.contracts.errors import DataError

Entry = dict[str, object]


@pytest.fixture(scope="module")
def official(shared: Path) -> Path:
    return shared / "data" / "annotations" / "vatex"


@pytest.fixture(scope="module")
def sentences(official: Path) -> list[list[str]]:
    """Real groups of ten English captions, whose videos are in none of the lists."""
    entries = json.loads((official / "derived_vatex_917_enCap.json").read_text())
    return [entry["enCap"] for entry in entries]


def entries_for(ids: list[str], sentences: list[list[str]]) -> list[Entry]:
    """Entries as the official json has them."""
    groups = islice(cycle(sentences), len(ids))
    return [
        {"videoID": id, "enCap": group, "chCap": ["一只猫"]} for id, group in zip(ids, groups, strict=True)
    ]


def listed(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}_list.txt").read_text().split()


@pytest.fixture
def root(official: Path, sentences: list[list[str]], tmp_path: Path) -> Path:
    """The validation and test split in the official layout."""
    for name in ("val", "test", "test1k5_sec"):
        shutil.copy(official / f"{name}_list.txt", tmp_path)
    entries = entries_for([*listed(official, "test"), *listed(official, "val")], sentences)
    (tmp_path / "vatex_validation_v1.0.json").write_text(json.dumps(entries, ensure_ascii=False))
    return tmp_path


def test_published_counts(official: Path, root: Path, sentences: list[list[str]]) -> None:
    shutil.copy(official / "train_list.txt", root)
    entries = entries_for(listed(official, "train"), sentences)
    (root / "vatex_training_v1.0.json").write_text(json.dumps(entries))
    dataset = vatex.load(root, vatex.Config())
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 25_991,
        "val": 1_500,
        "test": 1_500,
    }
    assert (dataset.protocol, len(dataset.captions), dataset.notes) == ("multi", 10 * 28_991, ())


def test_the_second_test_list_is_another_one_and_is_not_read(official: Path, root: Path) -> None:
    second = set(listed(official, "test1k5_sec"))
    assert second <= set(listed(official, "val")) | set(listed(official, "test"))
    dataset = vatex.load(root, vatex.Config())
    assert set(dataset.splits["test"].video_ids) == set(listed(official, "test")) != second
    shutil.copy(root / "test1k5_sec_list.txt", root / "test_list.txt")
    with pytest.raises(DataError, match=r"test_list\.txt: the test split is not the published one"):
        vatex.load(root, vatex.Config())


def test_a_split_without_captions_is_left_out_and_told(official: Path, root: Path) -> None:
    shutil.copy(official / "train_list.txt", root)
    dataset = vatex.load(root, vatex.Config())
    assert list(dataset.splits) == ["val", "test"]
    assert dataset.notes == ("train: left out, its captions were not found",)


def test_captions_of_videos_in_no_list_fail_where_they_are_all_there_is(
    official: Path, tmp_path: Path
) -> None:
    for name in ("train", "val", "test"):
        shutil.copy(official / f"{name}_list.txt", tmp_path)
    shutil.copy(official / "derived_vatex_917_enCap.json", tmp_path / "vatex_validation_v1.0.json")
    with pytest.raises(DataError, match="no split is complete"):
        vatex.load(tmp_path, vatex.Config())


def test_captions_by_video_id(root: Path) -> None:
    entries = json.loads((root / "vatex_validation_v1.0.json").read_text())
    (root / "vatex_validation_v1.0.json").unlink()
    (root / "ref_captions.json").write_text(
        json.dumps({entry["videoID"]: entry["enCap"] for entry in entries})
    )
    assert len(vatex.load(root, vatex.Config()).captions) == 30_000


def test_only_english_is_read_and_kept_verbatim(root: Path, sentences: list[list[str]]) -> None:
    dataset = vatex.load(root, vatex.Config())
    first = dataset.splits["test"].video_ids[0]
    assert [caption.text for caption in dataset.captions if caption.video_id == first] == sentences[0]


def test_videos_are_found(root: Path) -> None:
    (root / "val_test").mkdir()
    (root / "val_test" / "sf2PPeXQrUA_000000_000010.mp4").touch()
    assert vatex.load(root, vatex.Config()).coverage("test").found == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"videoId": "x"}, "entry 3000: has no key 'videoID'; found 'videoId'"),
        ({"videoID": "x", "enCap": "one"}, "entry 3000: 'enCap' must be a list of strings"),
        (
            {"videoID": "sf2PPeXQrUA_000000_000010", "enCap": ["a"]},
            "entry 3000: duplicate video 'sf2PPeXQrUA",
        ),
    ],
)
def test_damaged_entries_fail(root: Path, entry: Entry, message: str) -> None:
    path = root / "vatex_validation_v1.0.json"
    path.write_text(json.dumps([*json.loads(path.read_text()), entry]))
    with pytest.raises(DataError, match=message):
        vatex.load(root, vatex.Config())


def test_a_listed_video_without_captions_fails(root: Path) -> None:
    path = root / "vatex_validation_v1.0.json"
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    with pytest.raises(
        DataError, match=r"test_list\.txt: 1 of 1,500 videos without text in vatex_validation_v1\.0\.json"
    ):
        vatex.load(root, vatex.Config())
