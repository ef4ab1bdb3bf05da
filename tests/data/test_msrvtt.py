"""MSR-VTT by its official files. The English json is built in its official format from what is at hand."""

import gzip
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from tvr.data import msrvtt
from tvr.data.base import Dataset
from tvr.data.contracts.errors import DataError

ITALIAN = "videodatainfoITALIANO_2017_6513_497_100_TestValidati.json.gz"


@pytest.fixture(scope="module")
def official(shared: Path) -> Path:
    return shared / "data" / "annotations" / "msrvtt"


@pytest.fixture(scope="module")
def whole(official: Path) -> dict[str, Any]:
    """``MSRVTT_data.json``: its real videos, twenty sentences each; English ones where they are at hand."""
    italian = json.loads(gzip.decompress((official / ITALIAN).read_bytes()))
    tested = json.loads((official / "msrvtt_caption_test.json").read_text())
    names = {"train": "train", "val": "validate", "test": "test"}
    videos = [video | {"split": names[video["split"]]} for video in italian["videos"]]
    ids = {entry["video"].removesuffix(".mp4") for entry in tested}
    pairs = [(one["video_id"], one["caption"]) for one in italian["sentences"] if one["video_id"] not in ids]
    pairs += [(entry["video"].removesuffix(".mp4"), text) for entry in tested for text in entry["caption"]]
    sentences = [
        {"video_id": id, "sen_id": number, "caption": text} for number, (id, text) in enumerate(pairs)
    ]
    return {"info": italian["info"], "videos": videos, "sentences": sentences}


@pytest.fixture(scope="module")
def root(official: Path, whole: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("msrvtt")
    for path in official.glob("*.csv"):
        shutil.copy(path, folder)
    (folder / "MSRVTT_data.json").write_text(json.dumps(whole))
    return folder


@pytest.fixture(scope="module")
def thin(root: Path, whole: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with one sentence a video: quick to read where sentences do not matter."""
    folder = tmp_path_factory.mktemp("thin")
    shutil.copytree(root, folder, dirs_exist_ok=True)
    first = {sentence["video_id"]: sentence for sentence in whole["sentences"]}
    (folder / "MSRVTT_data.json").write_text(json.dumps(whole | {"sentences": list(first.values())}))
    return folder


@pytest.fixture(scope="module")
def nine(root: Path) -> Dataset:
    """All 9,000 training videos, and the test list."""
    return msrvtt.load(root, msrvtt.Config(validation="none"))


@pytest.fixture(scope="module")
def full(root: Path) -> Dataset:
    return msrvtt.load(root, msrvtt.Config(split="full"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A json of one video of each official split, and no lists: to be damaged."""
    ids = ("video0", "video6513", "video7010")
    value = {
        "videos": [{"video_id": id, "split": "train"} for id in ids],
        "sentences": [{"video_id": id, "caption": f"a cat {id}"} for id in ids],
    }
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps(value))
    return tmp_path


def sizes(dataset: Dataset) -> dict[str, int]:
    return {name: len(split.video_ids) for name, split in dataset.splits.items()}


def num_captions(dataset: Dataset, split: str) -> int:
    members = set(dataset.splits[split].video_ids)
    return sum(caption.video_id in members for caption in dataset.captions)


def test_published_counts_of_9k(thin: Path, nine: Dataset) -> None:
    dataset = msrvtt.load(thin, msrvtt.Config())
    assert sizes(dataset) == {"train": 8503, "val": 497, "test": 1000}
    assert (num_captions(dataset, "test"), dataset.protocol) == (1000, "single")
    assert sizes(nine) == {"train": 9000, "test": 1000}
    assert num_captions(nine, "train") == 180_000
    assert nine.notes == ()


def test_published_counts_of_7k(root: Path, thin: Path, nine: Dataset) -> None:
    dataset = msrvtt.load(thin, msrvtt.Config(split="7k"))
    assert sizes(dataset) == {"train": 6513, "val": 497, "test": 1000}
    whole = msrvtt.load(root, msrvtt.Config(split="7k", validation="none"))
    assert sizes(whole) == {"train": 7010, "test": 1000}
    assert num_captions(whole, "train") == 140_200
    assert set(whole.splits["train"].video_ids) < set(nine.splits["train"].video_ids)


def test_published_counts_of_full(full: Dataset) -> None:
    assert sizes(full) == {"train": 6513, "val": 497, "test": 2990}
    assert (len(full.captions), num_captions(full, "test")) == (200_000, 59_800)
    assert full.protocol == "multi"
    assert full.notes == ()


def test_validation_is_the_official_one_and_in_no_other_split(thin: Path, full: Dataset) -> None:
    for split in ("9k", "7k"):
        dataset = msrvtt.load(thin, msrvtt.Config(split=split))
        assert set(dataset.splits["val"].video_ids) == set(full.splits["val"].video_ids)
        assert dataset.splits["val"].digest == full.splits["val"].digest
        members = [id for part in dataset.splits.values() for id in part.video_ids]
        assert len(members) == len(set(members))
        assert any("497 are held out for validation" in note for note in dataset.notes)


def test_the_test_sentences_are_as_published(nine: Dataset) -> None:
    tested = [caption.text for caption in nine.captions[-1000:]]
    assert {caption.video_id for caption in nine.captions[-1000:]} == set(nine.splits["test"].video_ids)
    assert len(set(tested)) == 995
    repeated = {text: count for text, count in Counter(tested).items() if count > 1}
    assert repeated == {
        "a man playing video games": 3,
        "a woman giving a photoshop tutorial": 2,
        "someone is playing a game": 2,
        "a group of people are dancing in a room": 2,
    }
    lengths = [len(text.split()) for text in tested]
    assert (round(mean(lengths), 1), max(lengths)) == (9.4, 30)


def test_the_9k_list_may_end_with_or_without_a_newline(thin: Path, tmp_path: Path, nine: Dataset) -> None:
    shutil.copytree(thin, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "MSRVTT_train.9k.csv"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert msrvtt.load(tmp_path, msrvtt.Config(validation="none")).splits == nine.splits


@pytest.mark.parametrize("split", ["9k", "7k", "full"])
def test_lists_that_are_not_there_follow_from_the_json(thin: Path, tmp_path: Path, split: Any) -> None:
    for name in ("MSRVTT_data.json", "MSRVTT_JSFUSION_test.csv"):
        shutil.copy(thin / name, tmp_path)
    alone = msrvtt.load(tmp_path, msrvtt.Config(split=split))
    listed = msrvtt.load(thin, msrvtt.Config(split=split))
    assert {name: part.digest for name, part in alone.splits.items()} == {
        name: part.digest for name, part in listed.splits.items()
    }
    assert len(alone.captions) == len(listed.captions)


def test_a_json_that_calls_every_video_a_training_video_does_not_mislead(thin: Path, tmp_path: Path) -> None:
    shutil.copy(thin / "MSRVTT_JSFUSION_test.csv", tmp_path)
    value = json.loads((thin / "MSRVTT_data.json").read_text())
    videos = [video | {"split": "train"} for video in value["videos"]]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps(value | {"videos": videos}))
    assert sizes(msrvtt.load(tmp_path, msrvtt.Config())) == {"train": 8503, "val": 497, "test": 1000}


def test_the_two_files_of_the_original_release(thin: Path, tmp_path: Path) -> None:
    shutil.copy(thin / "MSRVTT_JSFUSION_test.csv", tmp_path)
    value = json.loads((thin / "MSRVTT_data.json").read_text())
    tested = {video["video_id"] for video in value["videos"] if video["split"] == "test"}
    for name, belongs in (("train_val", lambda id: id not in tested), ("test", lambda id: id in tested)):
        half = {
            key: [one for one in value[key] if belongs(one["video_id"])] for key in ("videos", "sentences")
        }
        (tmp_path / f"{name}_videodatainfo.json").write_text(json.dumps(half))
    dataset = msrvtt.load(tmp_path, msrvtt.Config(validation="none"))
    assert (sizes(dataset), num_captions(dataset, "train")) == ({"train": 9000, "test": 1000}, 9000)
    assert len(dataset.annotation_digests) == 3


def test_the_italian_file_loads_whole_under_its_own_name(official: Path) -> None:
    dataset = msrvtt.load(official, msrvtt.Config(split="full", captions=(ITALIAN,)))
    assert len(dataset.captions) == 142_200
    assert [num_captions(dataset, name) for name in ("train", "val", "test")] == [130_260, 9_940, 2_000]
    assert any("è" in caption.text for caption in dataset.captions)
    assert any("2,890 of 2,990 videos without text" in note for note in dataset.notes)
    assert ITALIAN in dataset.annotation_digests


def test_test_sentences_of_another_file_than_the_training_sentences_are_told(
    thin: Path, tmp_path: Path
) -> None:
    own = tmp_path / "translated.json"
    shutil.copy(thin / "MSRVTT_data.json", own)
    dataset = msrvtt.load(thin, msrvtt.Config(captions=(str(own),)))
    assert (
        "test sentences are those of MSRVTT_JSFUSION_test.csv, all others those of translated.json"
        in dataset.notes
    )
    assert "MSRVTT_data.json" not in dataset.annotation_digests


def test_captions_by_video_under_a_name_of_ones_own(official: Path, tmp_path: Path) -> None:
    captions = official / "msrvtt_caption_test.json"
    for name in ("train", "val", "test"):
        shutil.copy(official / f"MSRVTT_{name}.full.csv", tmp_path)
    dataset = msrvtt.load(tmp_path, msrvtt.Config(split="full", captions=(str(captions.resolve()),)))
    assert (len(dataset.captions), num_captions(dataset, "test")) == (59_800, 59_800)


@pytest.mark.parametrize("name", ["video7020.mp4", "TestVideo/video7020.mp4", "videos/all/video7020.webm"])
def test_videos_are_found(thin: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    dataset = msrvtt.load(thin, msrvtt.Config(videos=tmp_path))
    assert dataset.videos["video7020"].path == tmp_path / name
    assert str(dataset.coverage("test")) == "test: 1 of 1,000 videos found"


def test_a_shorter_test_list_fails_unless_it_is_wanted(thin: Path, tmp_path: Path) -> None:
    shutil.copytree(thin, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "MSRVTT_JSFUSION_test.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-4]))
    with pytest.raises(
        DataError, match=r"JSFUSION_test\.csv: the test split .*996 ids where 1,000 are published"
    ):
        msrvtt.load(tmp_path, msrvtt.Config())
    dataset = msrvtt.load(tmp_path, msrvtt.Config(own_lists=True))
    assert str(dataset.coverage("test")) == "test: 0 of 1,000 videos found"
    assert any("996 ids where 1,000" in note for note in dataset.notes)


def test_missing_files_fail(tmp_path: Path, small: Path) -> None:
    with pytest.raises(DataError, match=r"msrvtt needs MSRVTT_JSFUSION_test\.csv"):
        msrvtt.load(small, msrvtt.Config())
    (small / "MSRVTT_data.json").unlink()
    with pytest.raises(DataError, match=r"msrvtt needs MSRVTT_data\.json .*CLIP4Clip"):
        msrvtt.load(tmp_path, msrvtt.Config())
    with pytest.raises(DataError, match=r"own\.json: cannot be read"):
        msrvtt.load(tmp_path, msrvtt.Config(captions=("own.json",)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.pop("videos"), "has no key 'videos'; found 'sentences'"),
        (lambda value: value.pop("sentences"), "has no key 'sentences'"),
        (lambda value: value.update(sentences={}), "sentences: must hold a JSON array, found an object"),
        (lambda value: value["sentences"][1].pop("caption"), "sentences: entry 1: has no key 'caption'"),
        (
            lambda value: value["sentences"][1].update(caption=None),
            "entry 1: 'caption' must be a string, found null",
        ),
        (
            lambda value: value["sentences"][1].update(video_id="video9"),
            "entry 1: a caption for the unknown video 'video9'",
        ),
        (lambda value: value["videos"].append(value["videos"][0]), "entry 3: duplicate video_id 'video0'"),
        (lambda value: value["videos"][2].update(video_id=3), "videos: entry 2: 'video_id' must be a string"),
        (lambda value: None, "the train split is not the published one: 1 ids where 6,513 are published"),
    ],
)
def test_damaged_captions_fail(small: Path, change: Any, message: str) -> None:
    path = small / "MSRVTT_data.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=message) as failure:
        msrvtt.load(small, msrvtt.Config(split="full"))
    assert "MSRVTT_data.json" in str(failure.value)


def test_an_own_small_set_loads_with_a_note(small: Path) -> None:
    dataset = msrvtt.load(small, msrvtt.Config(split="full", own_lists=True))
    assert sizes(dataset) == {"train": 1, "val": 1, "test": 1}
    assert len(dataset.notes) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video\nvideo0\n", "line 1: needs the columns video_id; found video"),
        ("video_id\nvideo0\nvideo0\n", "line 3: duplicate id 'video0', first on line 2"),
        ("", "line 1: needs the columns video_id; found nothing"),
    ],
)
def test_damaged_lists_fail(small: Path, text: str, message: str) -> None:
    (small / "MSRVTT_train.full.csv").write_text(text)
    with pytest.raises(DataError, match=rf"MSRVTT_train\.full\.csv: {message}"):
        msrvtt.load(small, msrvtt.Config(split="full", own_lists=True))


def test_reading_200_000_sentences_takes_less_than_two_seconds_of_a_core(root: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from tvr.data import msrvtt; started = time.process_time();"
        "dataset = msrvtt.load(Path(sys.argv[1]), msrvtt.Config(split='full'));"
        "print(len(dataset.captions), time.process_time() - started)"
    )
    done = subprocess.run([sys.executable, "-c", script, root], capture_output=True, text=True, check=True)
    count, seconds = done.stdout.split()
    assert int(count) == 200_000
    assert float(seconds) < 2
