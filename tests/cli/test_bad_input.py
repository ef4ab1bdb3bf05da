"""Bad input gets a clear sentence and an exit code, and changes nothing."""

import json
import os
from pathlib import Path

import pytest
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import tree, tvr

EXTRACT = ("extract", "--dataset", "folder", "--model", "tvr-storyboard", "--root")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    write_sample(folder / "a.mp4")
    write_sample(folder / "b.mp4")
    return folder


@pytest.mark.parametrize(
    ("csv", "parts"),
    [
        ("", ["captions.csv", "empty"]),
        ("film,words\na.mp4,x\n", ["captions.csv", "film", "path"]),
        ("path,caption\na.mp4,x\nb.mp4,y\na.mp4,z\n", None),
        ("id,path,caption\n1,a.mp4,x\n1,b.mp4,y\n", ["captions.csv", "'1'"]),
        ("path,caption,start,end\na.mp4,x,5,2\n", ["captions.csv", "start"]),
    ],
)
def test_manifests(archive: Path, csv: str, parts: list[str] | None) -> None:
    (archive / "captions.csv").write_text(csv)
    before = tree(archive.parent)
    answer = tvr(*EXTRACT, archive, "--dry-run", cwd=archive.parent)
    if parts is None:  # two captions of one video are two rows, not an error
        assert answer.code == 0, answer.err
    else:
        assert answer.code == 3
        for part in parts:
            assert part in answer.err
        assert "Traceback" not in answer.err
    assert tree(archive.parent) == before


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("extract", "--dataset", "folder", "--root", "nowhere"), 3, ["nowhere"]),
        (
            ("extract", "--dataset", "didemoo"),
            2,
            ["unknown data set 'didemoo'. Did you mean 'didemo'?", "folder"],
        ),
        ((*EXTRACT[:-3], "--model", "ViT-B-33", "--root", "archive"), 2, ["ViT-B-33", "ViT-B-32"]),
        ((*EXTRACT, "archive", "--sampling", "unifrom"), 2, ["'unifrom'", "Did you mean 'uniform'?"]),
        ((*EXTRACT, "archive", "--pixels", "sqare"), 2, ["'sqare'", "Did you mean 'square'?", "stored"]),
        ((*EXTRACT, "archive", "--decoder", "ffmpeg"), 2, ["ffmpeg", "decord", "pyav"]),
        ((*EXTRACT, "archive", "--data", "frames"), 2, ["--data takes key=value, got 'frames'"]),
        ((*EXTRACT, "archive", "--data", "colour=red"), 2, ["unknown setting of folder 'colour'"]),
        (
            ("train-head", "--head", "xpol"),
            2,
            ["unknown head 'xpol'. Did you mean 'xpool'? Known: hbi, hcmi, seq_"],
        ),
        (
            ("train-head", "--head", "mug"),
            2,
            ["no parameters to train", "another one with --head NAME: hbi, hcmi"],
        ),
        (("train-head",), 4, ["no features in tvr-workspace", "tvr extract"]),
        (
            ("train-head", "--train", "alike=4"),
            4,
            ["note: the setting alike is called hard_negatives now", "no features in tvr-workspace"],
        ),
        (("train-head", "--train", "alik=4"), 2, ["unknown setting of training 'alik'"]),
        (("eval",), 4, ["no features in tvr-workspace", "tvr extract"]),
        (("eval", "archive"), 2, ["archive is not a run folder"]),
        (("search", "a dog"), 4, ["no features"]),
        (("inspect", "--store", "archive"), 4, ["no feature store at archive"]),
    ],
)
def test_names_and_places(archive: Path, arguments: tuple[str, ...], code: int, parts: list[str]) -> None:
    before = tree(archive.parent)
    answer = tvr(*arguments, cwd=archive.parent)
    assert answer.code == code, answer.err
    for part in parts:
        assert part in answer.err
    assert "Traceback" not in answer.err
    assert tree(archive.parent) == before


def test_weights_that_cannot_be_had_offline(archive: Path) -> None:
    answer = tvr(
        "extract", "--dataset", "folder", "--root", "archive", "--pretrained", "openai", cwd=archive.parent
    )
    assert answer.code == 6
    assert "--pretrained" in answer.err
    assert "Traceback" not in answer.err
    assert not (archive.parent / "tvr-workspace").exists()


def test_bad_videos_become_rows_with_reasons(archive: Path) -> None:
    (archive / "empty.mp4").touch()
    (archive / "letter.mp4").write_text("Dear reader, this is not a video.")
    arguments = (*EXTRACT, "archive", "--store", "store", "--num-frames", "2", "--decoding-processes", "1")
    answer = tvr(*arguments, cwd=archive.parent)
    assert answer.code == 0, answer.err
    assert "2 failed, 2 ok" in answer.out
    shown = tvr("inspect", "--store", "store", "--failed", cwd=archive.parent).out
    assert "empty\tfailed\t" in shown
    assert "letter\tfailed\t" in shown
    assert tvr(*arguments, "--max-failed", "1", cwd=archive.parent).code == 8
    assert tvr(*arguments, "--max-failed", "50%", cwd=archive.parent).code == 0


def test_files_of_any_name_and_kind_become_rows(archive: Path) -> None:
    names = {
        b"new\nline.mp4": r"new\nline",
        b"[bold]x.mp4": "[bold]x",
        b"bad\xff.mp4": r"bad\xff",
        b"\x1b[31mred.mp4": r"\x1b[31mred",
        b"x" * 251 + b".mp4": "x" * 251,
    }
    for name in names:
        (archive / os.fsdecode(name)).write_text("no video")
    (archive / "self.mp4").symlink_to("self.mp4")
    os.mkfifo(archive / "pipe.mp4")
    answer = tvr(*EXTRACT, archive, "--store", "store", cwd=archive.parent)
    assert answer.code == 0, answer.err
    assert "9 videos (6 failed, 1 missing, 2 ok)" in answer.out
    assert "1 of 9 videos not found, the first is 'self'" in answer.err
    answer = tvr("inspect", "--store", "store", "--failed", cwd=archive.parent)
    rows = dict(line.split("\t", 1) for line in answer.out.splitlines() if line.count("\t") == 2)
    assert rows.keys() == {*names.values(), "self", "pipe"}
    assert rows["self"] == "failed\tfile not found"
    assert rows["pipe"] == "failed\tis a named pipe, not a file"
    assert all("not a readable video file" in rows[name] for name in names.values())
    listed = tvr("inspect", "--store", "store", "--json", cwd=archive.parent)
    assert r"bad\xff" in {video["id"] for video in json.loads(listed.out)["videos"]}


def test_a_name_in_an_error_is_shown_escaped(archive: Path) -> None:
    answer = tvr(*EXTRACT, "\x1b[31mred\udcff", cwd=archive.parent)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith(r"tvr: \x1b[31mred\udcff: no such folder or file. Give the folder")


def test_a_root_of_any_name(archive: Path) -> None:
    root = archive.rename(archive.parent / os.fsdecode(b"[bold]\xff"))
    answer = tvr(*EXTRACT, root, "--workspace", "work", cwd=root.parent)
    assert answer.code == 0, answer.err
    assert r"2 videos (2 ok) and 0 captions in work/features/folder-[bold]\xff/" in answer.out
    for command in (["verify", "--repair"], ["search", "--dataset", r"folder-[bold]\xff", "a picture"]):
        answer = tvr(*command, "--workspace", "work", cwd=root.parent)
        assert answer.code == 0, answer.err
    answer = tvr("datasets", "folder", "--root", root, cwd=root.parent)
    assert (answer.code, r"[bold]\udcff and below" in answer.out) == (0, True), answer.err


@pytest.mark.parametrize("command", [("datasets", "didemo"), ("extract", "--dataset", "didemo")])
def test_a_root_that_cannot_be_asked_for_fails(archive: Path, command: tuple[str, ...]) -> None:
    answer = tvr(*command, "--root", "x" * 300, cwd=archive.parent)
    assert answer.code == 3
    assert "cannot be read: File name too long. Check the path and who may read it" in answer.err


def test_a_store_made_with_other_weights_is_not_extended(archive: Path) -> None:
    arguments = (*EXTRACT, "archive", "--store", "store", "--num-frames", "2", "--decoding-processes", "1")
    assert tvr(*arguments, cwd=archive.parent).code == 0
    before = tree(archive.parent / "store")
    answer = tvr(*arguments, "--pretrained", "random", cwd=archive.parent)
    assert answer.code == 4
    assert "encoder.weights_digest" in answer.err
    assert tree(archive.parent / "store") == before
