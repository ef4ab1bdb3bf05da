"""The folder layouts that people have."""

import os
from pathlib import Path

import pytest
from tvr.data.annotation_files.folder_tree import FolderTree, without_video_extension
from tvr.data.base import ExpectedFile
from tvr.data.contracts.errors import DataError

LIST = ExpectedFile("val_list.txt", "ids", "somewhere", alternatives=("val.txt",))


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    "name",
    [
        "x@N01_1.mp4",
        "videos/x@N01_1.MOV",
        "TrainValVideo/x@N01_1.avi",
        "test/x@N01_1.3gp",
        "deep/er/x@N01_1.",
        "x@N01_1.mov.mp4",
        "x@N01_1..mp4",
        "x@N01_1",
        "x@N01_1.null",
    ],
)
def test_a_video_is_found_in_any_layout(tmp_path: Path, name: str) -> None:
    assert FolderTree(touched(tmp_path, name)).video("x@N01_1") == tmp_path / name


@pytest.mark.parametrize(
    "name", ["x.npy", "x.jpg", "x.mp4.part", "x.json", ".hidden/x.mp4", "x/frame.mp4", "xx.mp4"]
)
def test_a_video_is_not_found_fails(tmp_path: Path, name: str) -> None:
    assert FolderTree(touched(tmp_path, name)).video("x") is None


def test_an_id_with_dots_keeps_them(tmp_path: Path) -> None:
    clip = "0001_American_Beauty_00.00.51.926-00.00.54.129"
    tree = FolderTree(touched(tmp_path, f"0001_American_Beauty/{clip}.avi", f"flat/{clip}9.mkv"))
    assert tree.video(clip) == tmp_path / "0001_American_Beauty" / f"{clip}.avi"
    assert without_video_extension(clip) == clip


def test_the_nearest_video_wins_and_a_known_extension_before_another(tmp_path: Path) -> None:
    tree = FolderTree(touched(tmp_path, "a/b/x.mp4", "a/x.mkv", "x.foo"))
    assert tree.video("x") == tmp_path / "a" / "x.mkv"


def test_links_are_followed_once(tmp_path: Path) -> None:
    disk, root = tmp_path / "disk", tmp_path / "root"
    touched(disk, "clips/x.mp4")
    root.mkdir()
    (root / "videos").symlink_to(disk)
    (disk / "clips" / "again").symlink_to(disk)
    (disk / "clips" / "broken.mp4").symlink_to(tmp_path / "nowhere")
    tree = FolderTree(root)
    assert tree.video("x") == root / "videos" / "clips" / "x.mp4"
    assert tree.video("broken") is None


def test_what_is_no_file_is_taken_where_there_is_none(tmp_path: Path) -> None:
    touched(tmp_path, "deep/x.mp4")
    for name in ("x.mp4", "y.mp4"):
        os.mkfifo(tmp_path / name)
    os.mkfifo(tmp_path / "val_list.txt")
    (tmp_path / "z.mp4").symlink_to("z.mp4")
    bad = os.fsdecode(b"bad\xff.mp4")
    touched(tmp_path, bad)
    tree = FolderTree(tmp_path)
    assert [tree.video(id) for id in ("x", "y", "z", r"bad\xff")] == [
        tmp_path / "deep" / "x.mp4",
        tmp_path / "y.mp4",
        None,
        tmp_path / bad,
    ]
    assert tree.find(LIST) is None, "reading a pipe would wait for ever"


@pytest.mark.parametrize("id", ["../secret", "/etc/passwd", "..", "", "a/../../secret"])
def test_an_id_cannot_lead_out_of_the_root(tmp_path: Path, id: str) -> None:
    touched(tmp_path, "secret.mp4", "root/a.mp4")
    assert FolderTree(tmp_path / "root").video(id) is None


def test_videos_may_lie_elsewhere(tmp_path: Path) -> None:
    touched(tmp_path, "root/val_list.txt", "root/x.mp4", "disk/x.mp4")
    tree = FolderTree(tmp_path / "root", tmp_path / "disk")
    assert tree.video("x") == tmp_path / "disk" / "x.mp4"
    assert tree.find(LIST) == tmp_path / "root" / "val_list.txt"
    assert str(tmp_path / "disk") in tree.where()


@pytest.mark.parametrize("name", ["val_list.txt", "annotations/val_list.txt", "a/b/VAL_LIST.TXT", "val.txt"])
def test_an_annotation_file_is_found_anywhere_below(tmp_path: Path, name: str) -> None:
    assert FolderTree(touched(tmp_path, name)).find(LIST) == tmp_path / name


def test_two_annotation_files_of_one_name_fail(tmp_path: Path) -> None:
    tree = FolderTree(touched(tmp_path, "msvd/val_list.txt", "vatex/val_list.txt"))
    with pytest.raises(DataError, match=r"several files are called val_list\.txt: .*msvd.*vatex.*--root"):
        tree.find(LIST)
    assert FolderTree(tmp_path / "msvd").find(LIST)


def test_a_file_that_has_to_lie_in_the_root_is_not_found_below_it(tmp_path: Path) -> None:
    only_here = ExpectedFile("val_list.txt", "ids", "somewhere", at_root=True)
    assert FolderTree(touched(tmp_path, "below/val_list.txt")).find(only_here) is None


def test_a_missing_file_says_where_it_was_looked_for_and_where_to_get_it(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4")
    with pytest.raises(DataError) as failure:
        FolderTree(tmp_path).need("msvd", LIST)
    message = str(failure.value)
    assert all(
        part in message
        for part in ("msvd needs val_list.txt or val.txt", "somewhere", str(tmp_path), "1 file")
    )


def test_a_missing_folder_fails(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        FolderTree(tmp_path / "absent")
    with pytest.raises(DataError, match="absent: no such folder"):
        FolderTree(tmp_path, tmp_path / "absent")
