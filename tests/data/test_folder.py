"""Folders and manifests of one's own videos."""

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tvr.data import folder
from tvr.data.base import Dataset
from tvr.data.contracts.errors import DataError
from tvr.data.sources.remote_object import RemoteObject

Rows = Sequence[dict[str, Any]]


def write_csv(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


WRITERS: dict[str, Callable[[Path, Rows], Path]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def load(root: Path, **settings: Any) -> Dataset:
    return folder.load(root, folder.Config(**settings))


def csv_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "m.csv"
    path.write_text(text)
    return path


def test_real_clips_load_by_their_manifests(shared: Path) -> None:
    panda = load(shared / "data" / "panda70m_samples")
    assert (panda.name, panda.protocol, len(panda.videos), len(panda.captions)) == (
        "folder-panda70m_samples",
        "single",
        84,
        84,
    )
    misc = load(shared / "data" / "captioned_misc" / "captions.jsonl")
    assert (misc.name, misc.protocol, len(misc.videos), len(misc.captions)) == (
        "folder-captioned_misc",
        "multi",
        47,
        161,
    )
    for dataset in (panda, misc):
        assert all(isinstance(video.path, Path) and video.path.is_file() for video in dataset.videos.values())
        assert sum(len(split.video_ids) for split in dataset.splits.values()) == len(dataset.videos)
        assert all(split.video_ids for split in dataset.splits.values())
        assert not dataset.notes


def test_a_folder_is_every_video_below_it(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "b/c.d.MOV", "b/e.gif", "notes.txt", "b/e.jpg", ".trash/f.mp4", "readme")
    dataset = load(tmp_path)
    assert {id: video.path for id, video in dataset.videos.items()} == {
        "a": tmp_path / "a.mp4",
        "b/c.d": tmp_path / "b" / "c.d.MOV",
        "b/e": tmp_path / "b" / "e.gif",
    }
    assert dataset.notes == ("3 of 3 videos without a caption: kept, and never a query",)


def test_ids_that_would_be_ambiguous_keep_their_extension(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "a.mkv", "b.mp4")
    assert list(load(tmp_path).videos) == ["a.mkv", "a.mp4", "b"]


BAD = os.fsdecode(b"bad\xff.mp4")
"""A name in Latin-1 or worse."""


def test_whatever_has_the_name_of_a_video_is_a_row(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "season.mkv/e1.mp4")
    (tmp_path / "empty.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    (tmp_path / "broken.mp4").symlink_to("nowhere")
    dataset = load(tmp_path)
    assert {id: video.path for id, video in dataset.videos.items()} == {
        "a": tmp_path / "a.mp4",
        "broken": None,
        "pipe": tmp_path / "pipe.mp4",
        "self": None,
        "season.mkv/e1": tmp_path / "season.mkv" / "e1.mp4",
        "empty": tmp_path / "empty.mp4",
    }
    assert "2 of 6 videos not found, the first is 'broken'" in dataset.notes


def test_a_name_that_is_not_utf8_is_a_row_with_an_id_of_text(tmp_path: Path) -> None:
    folder = os.fsdecode(b"\xe9t\xe9")
    touched(tmp_path, BAD, r"bad\xff.mp4", f"{folder}/a.mp4")
    found = {id: video.path for id, video in load(tmp_path).videos.items()}
    assert found == {
        r"bad\xff": tmp_path / BAD,
        r"bad\\xff": tmp_path / r"bad\xff.mp4",
        r"\xe9t\xe9/a": tmp_path / folder / "a.mp4",
    }
    root = touched(tmp_path / os.fsdecode(b"root\xff"), "a.mp4")
    assert load(root).name == r"folder-root\xff"


@pytest.mark.parametrize("written", [BAD, r"bad\xff.mp4", r"bad\xff"])
def test_a_manifest_names_a_file_that_is_not_utf8(tmp_path: Path, written: str) -> None:
    touched(tmp_path, BAD)
    rows = [{"path": written, "caption": "x", "start": 0, "end": 1}]
    dataset = load(write_jsonl(tmp_path / "m.jsonl", rows))
    assert {id: video.path for id, video in dataset.videos.items()} == {r"bad\xff[0.0-1.0]": tmp_path / BAD}


def test_a_manifest_names_what_is_no_file(tmp_path: Path) -> None:
    touched(tmp_path, "x.mp4", "x/frame.jpg")
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    names = ["x", "folder.mp4", "pipe.mp4", "self.mp4", "self.mp4/a.mp4", "x.mp4/a.mp4", f"{'x' * 300}/a.mp4"]
    dataset = load(write_jsonl(tmp_path / "m.jsonl", [{"path": name, "caption": "x"} for name in names]))
    assert [video.path for video in dataset.videos.values()] == [
        tmp_path / "x.mp4",
        tmp_path / "folder.mp4",
        tmp_path / "pipe.mp4",
        *[None] * 4,
    ]


@pytest.mark.parametrize("names", [(), ("readme.md", "a.mp3")])
def test_a_folder_without_videos_fails(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="no video file in it or below, and no manifest"):
        load(touched(tmp_path, *names))


def test_a_missing_root_fails(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such folder or file"):
        load(tmp_path / "absent")


def test_a_root_that_is_a_video_fails(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.mp4: is neither a folder nor a manifest"):
        load(touched(tmp_path, "a.mp4") / "a.mp4")


def test_two_manifests_in_a_folder_fail(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds captions\.jsonl and captions\.csv"):
        load(touched(tmp_path, "captions.csv", "captions.jsonl"))


@pytest.mark.parametrize("kind", ["folder", "pipe", "broken", "self"])
def test_a_manifest_that_is_no_file_fails(tmp_path: Path, kind: str) -> None:
    touched(tmp_path, "a.mp4")
    manifest = tmp_path / "captions.parquet"
    if kind == "folder":
        manifest.mkdir()
    elif kind == "pipe":
        os.mkfifo(manifest)
    else:
        manifest.symlink_to(manifest if kind == "self" else tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"captions\.parquet: is no file, but a folder, a pipe or a link"):
        load(tmp_path)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("path_column", ["path", "video", "file", "Path"])
@pytest.mark.parametrize("caption_column", ["caption", "captions", "text", "sentence"])
def test_every_format_and_column_name(
    tmp_path: Path, kind: str, path_column: str, caption_column: str
) -> None:
    touched(tmp_path, "v/a.mp4")
    rows = [
        {path_column: "v/a.mp4", caption_column: "one"},
        {path_column: "v/b.mp4", caption_column: "two, three"},
    ]
    dataset = load(WRITERS[kind](tmp_path / f"m.{kind}", rows))
    assert {id: video.path for id, video in dataset.videos.items()} == {
        "v/a": tmp_path / "v" / "a.mp4",
        "v/b": None,
    }
    assert [caption.text for caption in dataset.captions] == ["one", "two, three"]
    assert list(dataset.annotation_digests) == [f"m.{kind}"]
    assert dataset.notes == ("1 of 2 videos not found, the first is 'v/b'",)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_of_captions(tmp_path: Path, kind: str) -> None:
    rows = [{"video": "a.mp4", "captions": ["one", "two"]}, {"video": "b.mp4", "captions": ["three"]}]
    dataset = load(WRITERS[kind](tmp_path / f"m.{kind}", rows))
    assert [(caption.id, caption.text) for caption in dataset.captions] == [
        ("a#0", "one"),
        ("a#1", "two"),
        ("b#0", "three"),
    ]
    assert dataset.protocol == "multi"


def test_rows_of_one_video_are_its_captions(tmp_path: Path) -> None:
    path = csv_of(tmp_path, 'path,captions\na.mp4,one\nb.mp4,"[""x"", ""y""]"\na.mp4,two\nb.mp4,[music] z\n')
    dataset = load(path)
    assert [(caption.id, caption.text) for caption in dataset.captions] == [
        ("a#0", "one"),
        ("b#0", "x"),
        ("b#1", "y"),
        ("a#1", "two"),
        ("b#2", "[music] z"),
    ]
    paragraphs = load(path, paragraphs=True)
    assert paragraphs.protocol == "paragraph"
    assert [caption.sentences for caption in paragraphs.captions] == [("one", "two"), ("x", "y", "[music] z")]


CAPTIONS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(
    lambda text: bool(text.strip()) and not text.startswith("[")
)
NAMES = st.text(st.sampled_from("abcXYZ 019-_.é猫"), min_size=1, max_size=8).filter(
    lambda name: name.strip(". ") == name
)


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NAMES, CAPTIONS), min_size=1, max_size=12))
def test_captions_come_back_verbatim(tmp_path: Path, kind: str, rows: list[tuple[str, str]]) -> None:
    path = WRITERS[kind](
        tmp_path / f"m.{kind}", [{"path": f"{name}.mp4", "caption": text} for name, text in rows]
    )
    dataset = load(path)
    assert [caption.text for caption in dataset.captions] == [text for _, text in rows]
    assert [caption.video_id for caption in dataset.captions] == [name for name, _ in rows]
    assert len({caption.id for caption in dataset.captions}) == len(rows)
    members = [id for split in dataset.splits.values() for id in split.video_ids]
    assert sorted(members) == sorted({name for name, _ in rows})
    assert load(path) == dataset


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
@pytest.mark.parametrize("kind", WRITERS)
def test_any_bytes_are_read_or_refused_in_words(tmp_path: Path, kind: str, data: bytes) -> None:
    path = tmp_path / f"m.{kind}"
    path.write_bytes(data)
    try:
        load(path)
    except DataError as error:
        assert str(path) in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.dictionaries(
        st.sampled_from(["path", "id", "caption", "start", "end", "split", "caption_id", "other"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.text(max_size=3)),
    )
)
def test_any_json_row_is_read_or_refused_in_words(tmp_path: Path, row: dict[str, Any]) -> None:
    path = write_jsonl(tmp_path / "m.jsonl", [row])
    try:
        dataset = load(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert len(dataset.videos) == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_marks_line_ends_and_delimiters(tmp_path: Path, newline: str, mark: bytes, delimiter: str) -> None:
    lines = [delimiter.join(cells) for cells in (["path", "caption"], ["a.mp4", "un café"], ["b.mp4", "two"])]
    path = tmp_path / "m.csv"
    path.write_bytes(mark + newline.join(lines).encode())
    assert [caption.text for caption in load(path).captions] == ["un café", "two"]
    lines = ['{"path": "a.mp4", "caption": "un café"}', "", '{"path": "b.mp4", "caption": "two"}']
    path = tmp_path / "m.jsonl"
    path.write_bytes(mark + newline.join(lines).encode())
    assert [caption.text for caption in load(path).captions] == ["un café", "two"]


def test_a_caption_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    dataset = load(csv_of(tmp_path, 'path,caption\na.mp4,"he says ""hi"",\nand\twaves"\n'))
    assert dataset.captions[0].text == 'he says "hi",\nand\twaves'


def test_spans_are_videos_of_their_own(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "path,caption,start,end\na.mp4,x,0,4.5\na.mp4,y,4.5,\na.mp4,z,0,4.5\nb.mp4,w,,\n")
    dataset = load(path)
    assert {id: (video.start_seconds, video.end_seconds) for id, video in dataset.videos.items()} == {
        "a[0.0-4.5]": (0.0, 4.5),
        "a[4.5-end]": (4.5, None),
        "b": (0.0, None),
    }
    assert [caption.id for caption in dataset.captions] == [
        "a[0.0-4.5]#0",
        "a[4.5-end]#0",
        "a[0.0-4.5]#1",
        "b#0",
    ]


def test_spans_of_one_file_are_never_parted(tmp_path: Path) -> None:
    rows = [
        {"path": f"{film}.mp4", "caption": "x", "start": second, "end": second + 1}
        for film in range(40)
        for second in range(5)
    ]
    dataset = load(write_jsonl(tmp_path / "m.jsonl", rows))
    owners = {id.partition("[")[0]: name for name, split in dataset.splits.items() for id in split.video_ids}
    for name, split in dataset.splits.items():
        assert {owners[id.partition("[")[0]] for id in split.video_ids} == {name}


def test_own_splits_with_a_hold_out_for_validation(tmp_path: Path) -> None:
    rows = [
        {"path": f"{n}.mp4", "caption": "x", "split": "Training" if n < 30 else "test"} for n in range(40)
    ]
    path = write_csv(tmp_path / "m.csv", rows)
    dataset = load(path)
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 27,
        "val": 3,
        "test": 10,
    }
    assert any("3 are held out for validation" in note for note in dataset.notes)
    whole = load(path, validation="none")
    assert {name: len(split.video_ids) for name, split in whole.splits.items()} == {"train": 30, "test": 10}
    assert not set(dataset.splits["val"].video_ids) & set(dataset.splits["train"].video_ids)


def test_own_validation_is_kept(tmp_path: Path) -> None:
    names = ["train"] * 20 + ["dev"] * 3 + ["test"] * 4
    rows = [{"path": f"{n}.mp4", "caption": "x", "split": name} for n, name in enumerate(names)]
    dataset = load(write_csv(tmp_path / "m.csv", rows))
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 20,
        "val": 3,
        "test": 4,
    }


def test_own_ids_and_caption_ids(tmp_path: Path) -> None:
    path = csv_of(
        tmp_path, "video_id,path,caption,caption_id\nx,a.mp4,one,c1\nx,a.mp4,two,c2\ny,b.mp4,three,c3\n"
    )
    dataset = load(path)
    assert list(dataset.videos) == ["x", "y"]
    assert [(caption.id, caption.video_id) for caption in dataset.captions] == [
        ("c1", "x"),
        ("c2", "x"),
        ("c3", "y"),
    ]


def test_a_manifest_of_ids_finds_its_files(tmp_path: Path) -> None:
    touched(tmp_path, "deep/x.mp4", "y.mkv")
    dataset = load(csv_of(tmp_path, "video_id,caption\nx,one\ny,two\n"))
    assert dataset.videos["x"].path == tmp_path / "deep" / "x.mp4"
    assert dataset.videos["y"].path == tmp_path / "y.mkv"


def test_a_caption_for_an_unknown_video_fails(tmp_path: Path) -> None:
    touched(tmp_path, "x.mp4")
    with pytest.raises(DataError, match=r"m\.csv: line 3: a caption for the unknown video 'z'"):
        load(csv_of(tmp_path, "video_id,caption\nx,one\nz,two\n"))


def test_a_path_without_extension_finds_its_file(tmp_path: Path) -> None:
    touched(tmp_path, "v/x.1.mp4")
    assert (
        load(csv_of(tmp_path, "path,caption\nv/x.1,one\n")).videos["v/x.1"].path == tmp_path / "v" / "x.1.mp4"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"m\.csv: is empty"),
        ("path,caption\n", r"m\.csv: holds no rows"),
        (
            "film,words\na.mp4,x\n",
            r"line 1: found the columns 'film', 'words'. A manifest needs a column `path`",
        ),
        ("caption\nx\n", r"line 1: found the columns 'caption'"),
        ("path,video,caption\na,a,x\n", "line 1: the columns path and video both mean path"),
        ("path,caption\na.mp4,x\na.mp4\n", "line 3: has 1 fields where the header has 2"),
        ("path,caption\na.mp4,x,y\n", "line 2: has 3 fields where the header has 2"),
        ('path,caption\na.mp4,"x\n', r"line \d: not CSV"),
        ("path,caption\n,x\n", "line 2: the path is empty"),
        (
            "id,path,caption\n1,a.mp4,x\n1,b.mp4,y\n",
            "line 3: duplicate id '1': 'b.mp4' here and 'a.mp4' on line 2",
        ),
        (
            "id,path,caption\n1,a.mp4,x\n2,a.mp4,y\n",
            "line 3: 'a.mp4' has the id '2' here and '1' on line 2.*caption_id",
        ),
        ("path,caption,caption_id\na.mp4,x,1\nb.mp4,y,1\n", "duplicate caption_id '1', 2 times"),
        (
            "path,caption,start,end\na.mp4,x,5,2\n",
            r"line 2: start must be before end, got start = 5.0, end = 2.0",
        ),
        ("path,caption,start,end\na.mp4,x,5,5\n", "line 2: start must be before end"),
        (
            "path,caption,start,end\na.mp4,x,-1,5\n",
            "line 2: start must be seconds from 0 on, such as 12.5, got '-1'",
        ),
        ("path,caption,start,end\na.mp4,x,1:30,2:00\n", "line 2: start must be seconds"),
        ("path,caption,end\na.mp4,x,nan\n", "line 2: end must be seconds"),
        ("path,caption,split\na.mp4,x,tset\n", "line 2: unknown split 'tset'. Did you mean 'test'"),
        (
            "path,caption,split\na.mp4,x,test\nb.mp4,x,\n",
            "line 3: 'b' has no split though other rows have one",
        ),
        (
            "path,caption,split\na.mp4,x,test\na.mp4,y,train\n",
            "line 3: 'a.mp4' is in the split 'train' here and in 'test'",
        ),
        ("path,caption\n../a.mp4,x\n", r"line 2: the path '\.\./' leads out of .*allow_outside=true"),
        ("path,caption\nb/../../a.mp4,x\n", "line 2: the path .* leads out"),
        ("path,caption\n/etc/a.mp4,x\n", "line 2: the path '/etc/' leads out"),
        ("path,caption\nC:\\a/b.mp4,x\n", "line 2: the path .* leads out"),
        ("path,caption\ns3://b/a.mp4,x\n", r"line 2: 's3://b/a\.mp4' is on a server\..* allow_outside=true"),
        ("path,caption\nftp://b/a.mp4,x\n", "line 2: path: addresses of the kind ftp:// are not read"),
    ],
)
def test_bad_csv_fails(tmp_path: Path, text: str, message: str) -> None:
    path = csv_of(tmp_path, text)
    with pytest.raises(DataError, match=message) as failure:
        load(path)
    assert str(path) in str(failure.value)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", "line 2: must be a JSON object, found a list"),
        ('{"path": "a.mp4", "caption": "x"', "line 2: not JSON"),
        ('{"path": 3, "caption": "x"}', "line 2: a path must be a string, found a number"),
        ('{"caption": "x"}', "line 2: found the columns 'caption'"),
        (
            '{"path": "a.mp4", "caption": 3}',
            "line 2: a caption must be a string or a list of strings, found a number",
        ),
        ('{"path": "a.mp4", "caption": ["x", null]}', "line 2: a caption must be .*found a list"),
        ('{"path": "a.mp4", "caption": "x\\u0000y"}', "line 2: caption: holds a NUL character"),
        ('{"path": "a.mp4", "caption": "\\ud83d"}', "line 2: caption: holds half of a surrogate pair"),
        ('{"path": "a\\u0000.mp4", "caption": "x"}', "line 2: path: holds a NUL character"),
        ('{"path": "a\\ud83d.mp4", "caption": "x"}', "line 2: path: holds half of a surrogate pair"),
        ('{"id": "a\\udcff", "caption": "x"}', "line 2: id: holds half of a surrogate pair"),
        ('{"path": "a.mp4", "id": true, "caption": "x"}', "line 2: an id must be a string"),
        ('{"path": "a.mp4", "start": true, "caption": "x"}', "line 2: start must be seconds"),
        (
            '{"path": "a.mp4", "caption_id": "c", "captions": ["x", "y"]}',
            "line 2: one caption_id for 2 captions",
        ),
    ],
)
def test_bad_jsonl_fails(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"path": "first.mp4", "caption": "fine"}\n' + line)
    with pytest.raises(DataError, match=message):
        load(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_broken_utf8_fails_with_its_line(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](
        tmp_path / f"m.{kind}", [{"path": f"{n}.mp4", "caption": "x" * 100} for n in range(3000)]
    )
    lines = path.read_bytes().split(b"\n")
    lines[1999] = lines[1999].replace(b"xxx", b"caf\xe9")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"line 2000: .*must be UTF-8, found byte 0xe9"):
        load(path)


def test_broken_parquet_fails(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(b"PAR1 this is not one")
    with pytest.raises(DataError, match=r"m\.parquet: not a parquet file"):
        load(path)


def test_paths_may_lead_outside_where_that_is_allowed(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "root/b.mp4")
    path = tmp_path / "root" / "m.csv"
    absolute = tmp_path / "root" / "b.mp4"
    path.write_text(f"path,caption\n../a.mp4,x\n{absolute},y\n")
    dataset = load(path, allow_outside=True)
    found = [video.path for video in dataset.videos.values()]
    assert [path.resolve() for path in found if isinstance(path, Path)] == [
        tmp_path.resolve() / "a.mp4",
        tmp_path.resolve() / "root" / "b.mp4",
    ]


def test_paths_as_find_prints_them(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "v/b.mp4")
    dataset = load(csv_of(tmp_path, "path,caption\n./a.mp4,x\n./v/b.mp4,y\n"))
    assert {id: video.path for id, video in dataset.videos.items()} == {
        "a": tmp_path / "a.mp4",
        "v/b": tmp_path / "v" / "b.mp4",
    }


def test_blank_captions_are_none(tmp_path: Path) -> None:
    dataset = load(csv_of(tmp_path, "path,caption\na.mp4,\nb.mp4,  \nc.mp4,x\n"))
    assert [caption.text for caption in dataset.captions] == ["x"]
    assert "2 of 3 videos without a caption: kept, and never a query" in dataset.notes


SIGNED = "https://host/a%20b.mp4?Signature=s3cret&Expires=1"


def test_paths_may_be_addresses_of_which_nobody_is_asked(tmp_path: Path) -> None:
    rows = [
        {"path": "s3://bucket/a b/c#d.mp4", "caption": "one"},
        {"path": SIGNED, "caption": "two"},
        {"path": SIGNED.replace("s3cret", "s3cret2"), "caption": "three"},
        {"path": "here.mp4", "caption": "four"},
    ]
    dataset = load(write_csv(touched(tmp_path, "here.mp4") / "m.csv", rows), allow_outside=True)
    assert [(video.id, str(video.path)) for video in dataset.videos.values()] == [
        ("s3://bucket/a b/c#d", "s3://bucket/a b/c#d.mp4"),
        ("https://host/a%20b", "https://host/a%20b.mp4"),
        ("here", str(tmp_path / "here.mp4")),
    ]
    assert [(caption.video_id, caption.text) for caption in dataset.captions][1:3] == [
        ("https://host/a%20b", "two"),
        ("https://host/a%20b", "three"),
    ]
    assert dataset.notes == ("2 of 3 videos on servers: taken for found until they are decoded",)
    assert "s3cret" not in repr(dataset)
    first = dataset.videos["https://host/a%20b"].path
    assert isinstance(first, RemoteObject)
    assert first.address.text == SIGNED


def test_a_signature_changes_neither_ids_nor_digests(tmp_path: Path) -> None:
    def signed(signature: str, caption: str = "x") -> Dataset:
        rows = [{"path": f"https://host/{n}.mp4?Signature={signature}", "caption": caption} for n in "abc"]
        return load(write_csv(tmp_path / "m.csv", rows), allow_outside=True)

    one, other = signed("a"), signed("b")
    assert (list(one.videos), one.splits) == (list(other.videos), other.splits)
    assert one.annotation_digests == other.annotation_digests
    assert one.annotation_digests != signed("a", "y").annotation_digests


def test_addresses_that_differ_in_their_query_alone_need_ids(tmp_path: Path) -> None:
    rows = [{"path": f"https://host/get?v={v}&key=s3cret", "caption": "x", "id": v} for v in "ab"]
    dataset = load(write_csv(tmp_path / "m.csv", rows), allow_outside=True)
    assert list(dataset.videos) == ["a", "b"]
    for row in rows:
        del row["id"]
    with pytest.raises(DataError, match=r"duplicate id 'https://host/get'.* in a column `id`") as failure:
        load(write_csv(tmp_path / "m.csv", rows), allow_outside=True)
    assert "s3cret" not in str(failure.value)


def test_rows_of_one_address_that_differ_fail_without_its_secrets(tmp_path: Path) -> None:
    rows = [
        {"path": SIGNED, "caption": "x", "id": id, "split": split}
        for id, split in (("a", "val"), ("b", "test"))
    ]
    with pytest.raises(DataError, match="has the id 'b' here and 'a'") as failure:
        load(write_csv(tmp_path / "m.csv", rows), allow_outside=True)
    assert "s3cret" not in str(failure.value)


def test_spans_of_an_address_are_videos_of_their_own(tmp_path: Path) -> None:
    rows = [{"path": SIGNED, "caption": "x", "start": start, "end": start + 1} for start in range(3)]
    dataset = load(write_csv(tmp_path / "m.csv", rows), allow_outside=True)
    assert list(dataset.videos) == [f"https://host/a%20b[{n}.0-{n + 1}.0]" for n in range(3)]
    assert len({video.path for video in dataset.videos.values()}) == 1
