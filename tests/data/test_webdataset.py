"""Videos in tar files: samples, captions, ids, and every fault in words with what to do."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tvr.data.base import Dataset, load_dataset
from tvr.data.contracts.errors import DataError

from ..fixtures.tars import write_tar

SAMPLE = {
    "000000.json": b'{"caption": "of the json", "status": "success"}',
    "000000.mp4": b"video",
    "000000.txt": b" a red car \n",
}


def loaded(root: Path, tars: Mapping[str, Mapping[str, bytes]], **settings: str) -> Dataset:
    for name, members in tars.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_tar(root / name, members)
    return load_dataset("webdataset", root, settings)


def texts(dataset: Dataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {id: [] for id in dataset.videos}
    for caption in dataset.captions:
        found[caption.video_id].append(caption.text)
    return found


def test_samples_of_several_tars(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    second = {"000001.webm": b"v", "000001.txt": "grün".encode(), "readme.md": b"x", "._000001.webm": b"x"}
    dataset = loaded(root, {"00000.tar": SAMPLE, "below/00001.tar": second, "00000_stats.json": {}})
    assert (dataset.name, dataset.protocol) == ("webdataset-clips", "single")
    assert texts(dataset) == {"000000": ["a red car"], "000001": ["grün"]}
    assert [caption.id for caption in dataset.captions] == ["000000#0", "000001#0"]
    contents = {id: video.path.open().read() for id, video in dataset.videos.items() if video.path}  # type: ignore[union-attr]
    assert contents == {"000000": b"video", "000001": b"v"}
    assert set(dataset.annotation_digests) == {"00000.tar", "below/00001.tar"}
    assert sum(len(split.video_ids) for split in dataset.splits.values()) == 2
    assert (dataset.notes, dataset.normalisation) == ((), ("white space around a caption removed",))


def test_one_tar_is_a_set_too(tmp_path: Path) -> None:
    write_tar(tmp_path / "clips.tar", SAMPLE)
    assert load_dataset("webdataset", tmp_path / "clips.tar", {}).name == "webdataset-clips"
    assert load_dataset("webdataset", tmp_path / "clips.tar", {"name": "mine"}).name == "webdataset-mine"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [("any", ["a red car"]), ("txt", ["a red car"]), ("json", ["of the json"]), ("none", [])],
)
def test_captions_are_taken_from_where_it_is_said(tmp_path: Path, chosen: str, said: list[str]) -> None:
    assert texts(loaded(tmp_path, {"a.tar": SAMPLE}, captions=chosen)) == {"000000": said}


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, []),
        ({"a.txt": b""}, []),
        ({"a.txt": b" \n"}, []),
        ({"a.txt": b"", "a.json": b'{"caption": "x"}'}, ["x"]),
        ({"a.json": b'{"caption": null}'}, []),
        ({"a.json": b'{"text": "x"}'}, []),
        ({"a.json": b'{"caption": ["x", " ", "y"]}'}, ["x", "y"]),
        ({"a.JSON": b'\xef\xbb\xbf{"caption": " x "}'}, ["x"]),
        ({"a.caption.txt": b"x"}, []),
    ],
    ids=str,
)
def test_captions_of_one_video(tmp_path: Path, members: Mapping[str, bytes], said: list[str]) -> None:
    dataset = loaded(tmp_path, {"a.tar": {"a.mp4": b"v", **members}})
    assert texts(dataset) == {"a": said}
    assert bool(dataset.notes) == (not said)


def test_captions_that_differ_have_another_digest(tmp_path: Path) -> None:
    digests = [
        dict(loaded(tmp_path / name, {"a.tar": {"a.mp4": b"v", "a.txt": text}}).annotation_digests)
        for name, text in (("x", b"one"), ("y", b"other"), ("z", b" one "))
    ]
    assert digests[0] != digests[1]
    assert digests[0] == digests[2]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"a.json": b"{"}, "not JSON"),
        ({"a.json": b"[1]"}, "it must be a string or a list of strings, found a list"),
        ({"a.json": b'{"caption": 7}'}, "'caption' must be a string or a list of strings, found a number"),
        (
            {"a.json": b'{"caption": ["a", 7]}'},
            "'caption' must be a string or a list of strings, found a list",
        ),
        ({"a.txt": b"caf\xe9"}, "captions must be UTF-8, found byte 0xe9"),
        ({"a.txt": b"a\0b"}, "holds a NUL character"),
        ({"a.txt": b"x" * (1 << 20) + b"x"}, "1,048,577 bytes are no caption"),
    ],
)
def test_captions_that_are_none_fail_with_their_place(
    tmp_path: Path, members: Mapping[str, bytes], said: str
) -> None:
    with pytest.raises(DataError, match=r"a\.tar/a") as failure:
        loaded(tmp_path, {"a.tar": {"a.mp4": b"v", **members}})
    assert said in str(failure.value)


def test_another_field_and_paragraphs(tmp_path: Path) -> None:
    members = {"a.mp4": b"v", "a.json": b'{"sentences": ["one", "two"]}'}
    dataset = loaded(tmp_path, {"a.tar": members}, field="sentences", paragraphs="true")
    assert (dataset.protocol, [caption.sentences for caption in dataset.captions]) == (
        "paragraph",
        [("one", "two")],
    )
    assert loaded(tmp_path, {"a.tar": members}, field="sentences").protocol == "multi"


def test_ids_are_names_and_have_an_ending_where_two_would_be_one(tmp_path: Path) -> None:
    members = {"x/a.mp4": b"1", "x/a.webm": b"2", "x/a.txt": b"t", "y/a.left.mp4": b"3", "./b.MOV": b"4"}
    dataset = loaded(tmp_path, {"a.tar": members})
    assert list(dataset.videos) == ["x/a.mp4", "x/a.webm", "y/a.left", "b"]
    assert texts(dataset)["x/a.mp4"] == texts(dataset)["x/a.webm"] == ["t"]


def test_names_that_tars_share_fail_unless_ids_begin_with_the_tar(tmp_path: Path) -> None:
    tars = {"00000.tar": SAMPLE, "below/00001.tar": SAMPLE}
    with pytest.raises(
        DataError, match=r"'000000' is in 00000\.tar and in below/00001\.tar.* --data ids=tar"
    ):
        loaded(tmp_path, tars)
    assert list(loaded(tmp_path, tars, ids="tar").videos) == ["00000/000000", "below/00001/000000"]


def test_a_name_that_is_not_utf8_is_an_id_of_text(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, {"a.tar": {"bad\udcff.mp4": b"v"}})
    assert list(dataset.videos) == ["bad\\xff"]


def test_a_tar_that_breaks_off_is_told_and_the_others_are_whole(tmp_path: Path) -> None:
    write_tar(tmp_path / "00000.tar", SAMPLE)
    whole = write_tar(tmp_path / "00001.tar", {"000001.mp4": b"x" * 5000}).read_bytes()
    (tmp_path / "00001.tar").write_bytes(whole[:4000])
    dataset = load_dataset("webdataset", tmp_path, {})
    assert list(dataset.videos) == ["000000", "000001"]
    assert dataset.notes[0].startswith("00001.tar breaks off: ")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.zst"])
def test_compressed_tars_fail_with_what_unpacks_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    for root in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=r"is compressed \(.*\).* Unpack it: \w+ .*/a\.t"):
            load_dataset("webdataset", root, {})


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"../a.mp4": b"v"}, r"a\.tar: '\.\./a\.mp4' leads out of the tar"),
        ({"a.txt": b"t"}, "no video in its 1 tar file"),
        ({"a.png": b"t", ".mp4": b"v"}, "no video in its 1 tar file"),
    ],
)
def test_tars_that_cannot_be_meant_fail(tmp_path: Path, members: Mapping[str, bytes], said: str) -> None:
    with pytest.raises(DataError, match=said):
        loaded(tmp_path, {"a.tar": members})


def test_a_folder_without_tars_fails(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError, match=r"needs tar files \(\*\.tar\), and none lies in it or below"):
        load_dataset("webdataset", tmp_path, {})
