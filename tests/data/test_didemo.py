"""DiDeMo by its official files."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from tvr.data import didemo
from tvr.data.contracts.errors import DataError


@pytest.fixture(scope="module")
def official(shared: Path) -> Path:
    return shared / "data" / "annotations" / "didemo"


@pytest.fixture
def root(official: Path, tmp_path: Path) -> Path:
    """The test split alone, to be damaged."""
    for name in ("test_list.txt", "test_data.json"):
        shutil.copy(official / name, tmp_path)
    return tmp_path


def rewritten(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_published_counts(official: Path) -> None:
    dataset = didemo.load(official, didemo.Config())
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 8392,
        "val": 1065,
        "test": 1004,
    }
    assert {name: split.expected for name, split in dataset.splits.items()} == {
        "train": 8392,
        "val": 1065,
        "test": 1004,
    }
    assert (dataset.protocol, dataset.preset.max_seconds) == ("paragraph", 30.0)
    assert Counter(caption.video_id for caption in dataset.captions).most_common(1)[0][1] == 1
    assert len(dataset.captions) == 8391 + 1065 + 1004
    assert sorted(dataset.annotation_digests) == sorted(path.name for path in official.iterdir())


def test_the_one_video_that_the_clips_file_lacks_is_kept_and_told(official: Path) -> None:
    dataset = didemo.load(official, didemo.Config())
    silent = set(dataset.videos) - {caption.video_id for caption in dataset.captions}
    assert silent == {"7977365@N08_4302546663_967c137c57"}
    assert any("7977365@N08_4302546663_967c137c57" in note for note in dataset.notes)


def test_the_json_describes_more_videos_than_the_lists_name(official: Path) -> None:
    for name, described, listed in (("val", 1094, 1065), ("test", 1037, 1004)):
        entries = json.loads((official / f"{name}_data.json").read_text())
        assert len({entry["video"] for entry in entries}) == described
        checked = didemo.load(official, didemo.Config()).splits[name]
        assert len(checked.video_ids) == listed


def test_a_paragraph_is_every_description_in_the_order_of_the_json(official: Path) -> None:
    entries = json.loads((official / "test_data.json").read_text())
    assert {entry["num_segments"] for entry in entries} == {5, 6}
    assert {len(entry["times"]) for entry in entries} == {4, 5, 7}
    dataset = didemo.load(official, didemo.Config())
    # A video whose descriptions differ in annotators or segments loses none of them.
    odd = next(entry["video"] for entry in entries if len(entry["times"]) == 5)
    wanted = tuple(entry["description"] for entry in entries if entry["video"] == odd)
    caption = next(caption for caption in dataset.captions if caption.video_id == didemo.video_id(odd))
    assert caption.sentences == wanted
    assert caption.text == " ".join(wanted)


def test_sentences_can_be_queries_of_their_own(official: Path) -> None:
    dataset = didemo.load(official, didemo.Config(protocol="multi"))
    assert dataset.protocol == "multi"
    assert all(len(caption.sentences) == 1 for caption in dataset.captions)
    assert len({caption.id for caption in dataset.captions}) == len(dataset.captions) > 40_000


def test_bare_dots_and_other_extensions_find_their_files(root: Path) -> None:
    names = (root / "test_list.txt").read_text().split()
    bare = [name for name in names if name.endswith(".")]
    assert len(bare) == 27
    (root / "videos").mkdir()
    for name in names[:100]:
        (root / "videos" / name).touch()
    for name in bare:
        (root / "videos" / f"{name}mp4").touch()
    dataset = didemo.load(root, didemo.Config())
    assert dataset.coverage("test").found == len(set(names[:100]) | set(bare))
    assert dataset.videos["10052357@N03_7585070382_5762149bfc"].path


def test_official_training_json_without_list(official: Path, root: Path) -> None:
    clips = [json.loads(line) for line in (official / "train_clips.jsonl").read_text().splitlines()]
    lost = {"clip_id": "7977365@N08_4302546663_967c137c57", "text": ["someone waves"]}
    entries = [
        {"annotation_id": number, "video": f"{clip['clip_id']}.mov", "description": clip["text"][0]}
        for number, clip in enumerate([*clips, lost])
    ]
    (root / "train_data.json").write_text(json.dumps(entries))
    dataset = didemo.load(root, didemo.Config())
    assert len(dataset.splits["train"].video_ids) == dataset.splits["train"].expected == 8395


def test_a_split_without_its_files_is_left_out_and_told(root: Path) -> None:
    dataset = didemo.load(root, didemo.Config())
    assert list(dataset.splits) == ["test"]
    assert any(note.startswith("val: left out, val_data.json") for note in dataset.notes)


def test_no_files_fail(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError) as failure:
        didemo.load(tmp_path, didemo.Config())
    assert all(
        part in str(failure.value)
        for part in ("val_list.txt", "test_data.json", "LocalizingMoments", "1 file")
    )


def test_a_shorter_list_fails_unless_it_is_wanted(root: Path) -> None:
    names = (root / "test_list.txt").read_text().splitlines()
    (root / "test_list.txt").write_text("\n".join(names[:-1]))
    with pytest.raises(
        DataError, match=r"test_list\.txt: .*1,003 ids where 1,004 are published.*own_lists=true"
    ):
        didemo.load(root, didemo.Config())
    dataset = didemo.load(root, didemo.Config(own_lists=True))
    assert str(dataset.coverage("test")) == "test: 0 of 1,004 videos found"
    assert any("1,003 ids where 1,004" in note for note in dataset.notes)


def test_a_list_of_another_release_fails(root: Path) -> None:
    path = root / "test_data.json"
    gone = "10015567@N08_3655084291_d8b58466fa"
    path.write_text(path.read_text().replace(gone, "99@N99_9_9"))
    with pytest.raises(
        DataError, match=f"1 of 1,004 videos without text in test_data.json: {gone}.*must be of one release"
    ):
        didemo.load(root, didemo.Config())
    assert len(didemo.load(root, didemo.Config(own_lists=True)).captions) == 1003


def test_damaged_files_fail_with_the_place(root: Path, official: Path) -> None:
    path = root / "test_data.json"
    whole = path.read_text()
    rewritten(path, '"description"', '"descriptoin"')
    with pytest.raises(DataError, match=r"test_data\.json: entry 0: has no key 'description'"):
        didemo.load(root, didemo.Config())
    path.write_text(whole[:-100])
    with pytest.raises(DataError, match=r"test_data\.json: line 1, column \d+: not JSON"):
        didemo.load(root, didemo.Config())
    entries = json.loads(whole)
    path.write_text(json.dumps([*entries, entries[3]]))
    with pytest.raises(DataError, match="entry 4021: duplicate annotation_id"):
        didemo.load(root, didemo.Config())
    path.write_text(json.dumps({"videos": entries}))
    with pytest.raises(DataError, match="must hold a JSON array, found an object"):
        didemo.load(root, didemo.Config())


def test_a_clip_that_stands_twice_fails(root: Path, official: Path) -> None:
    lines = (official / "train_clips.jsonl").read_text().splitlines()
    (root / "train_clips.jsonl").write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(DataError, match="line 8395: duplicate clip_id"):
        didemo.load(root, didemo.Config())


def test_crlf_and_byte_order_mark_change_nothing(root: Path) -> None:
    plain = didemo.load(root, didemo.Config())
    path = root / "test_list.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    marked = didemo.load(root, didemo.Config())
    assert marked.splits == plain.splits
    assert marked.splits["test"].digest == plain.splits["test"].digest


def test_broken_utf8_fails(root: Path) -> None:
    path = root / "test_list.txt"
    path.write_bytes(path.read_bytes().replace(b"10015567", b"1001\xff567", 1))
    with pytest.raises(DataError, match=r"test_list\.txt: line 1: .*UTF-8"):
        didemo.load(root, didemo.Config())


def test_one_video_in_two_splits_fails(root: Path, official: Path) -> None:
    shutil.copy(official / "val_data.json", root)
    names = (official / "val_list.txt").read_text().splitlines()
    tested = (root / "test_list.txt").read_text().splitlines()
    (root / "val_list.txt").write_text("\n".join([*names, tested[0]]))
    with pytest.raises(DataError, match=r"is in val .* and in test"):
        didemo.load(root, didemo.Config(own_lists=True))
