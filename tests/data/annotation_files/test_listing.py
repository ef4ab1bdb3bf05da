"""Folders as they are: links to nothing, pipes, circles, and names that are not UTF-8."""

import os
from pathlib import Path

import pytest
from tvr.data.annotation_files.listing import Listing, listed, walk
from tvr.data.contracts.errors import DataError

BAD = os.fsdecode(b"bad\xff.mp4")


def test_everything_in_a_folder_is_listed_by_its_kind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("b.mp4", "a.mp4", BAD):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    links = {
        "to_folder": "folder",
        "to_file.mp4": "a.mp4",
        "device.mp4": "/dev/null",
        "self.mp4": "self.mp4",
        "one.mp4": "other.mp4",
        "other.mp4": "one.mp4",
        "nowhere.mp4": "absent.mp4",
        "through_a_file.mp4": "a.mp4/x",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    assert listed(tmp_path) == Listing(
        folders=("folder", "to_folder"),
        files=("a.mp4", "b.mp4", BAD, "to_file.mp4"),
        others=("device.mp4", "pipe.mp4"),
        absent=("nowhere.mp4", "one.mp4", "other.mp4", "self.mp4", "through_a_file.mp4"),
    )


def test_listed_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("absent", "file", "loop"):
        with pytest.raises(OSError):
            listed(tmp_path / name)


def test_a_circle_of_folders_is_walked_once(tmp_path: Path) -> None:
    for name in ("a", "b", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.mp4").touch()
    (tmp_path / "a" / "to_b").symlink_to("../b")
    (tmp_path / "b" / "to_a").symlink_to("../a")
    (tmp_path / "b" / "up").symlink_to("..")
    assert [(folder, listing.files) for folder, listing in walk(tmp_path)] == [
        (str(tmp_path), ()),
        (str(tmp_path / "a"), ("x.mp4",)),
        (str(tmp_path / "a" / "to_b"), ("x.mp4",)),
    ]


def test_a_folder_that_vanishes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    folders: list[str] = []
    for folder, _ in walk(tmp_path):
        folders.append(Path(folder).name)
        if folder == str(tmp_path):
            (tmp_path / "a").rmdir()
    assert folders == [tmp_path.name, "b"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_may_not_be_listed_fails(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(0)
    with pytest.raises(DataError, match="locked: cannot be listed: Permission denied"):
        list(walk(tmp_path))
