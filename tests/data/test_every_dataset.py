"""What holds for every data set that reads files a user brings."""

import os
from pathlib import Path
from types import ModuleType

import pytest
from tvr.data.base import About, Preset, load_dataset
from tvr.data.contracts.errors import DataError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.data.contracts.records import configured

NAMES = [name for name in plug_in_names("tvr.data") if load_plug_in("tvr.data", name).ABOUT.files]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def plug_in(name: str) -> ModuleType:
    return load_plug_in("tvr.data", name)


def test_it_says_what_it_is(plug_in: ModuleType) -> None:
    about = plug_in.ABOUT
    assert isinstance(about, About)
    assert about.title
    assert isinstance(about.preset, Preset)
    assert all(file.contents and file.source for file in about.files)
    assert configured(plug_in.Config, {}, "test") == plug_in.Config()


def test_its_files_stand_in_the_documentation(plug_in: ModuleType) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    for file in plug_in.ABOUT.files:
        for name in (file.name, *file.alternatives):
            assert f"`{name}`" in text or name.endswith(".gz"), name


def test_an_empty_folder_fails_and_stays_empty(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as failure:
        load_dataset(name, tmp_path, {})
    assert str(tmp_path) in str(failure.value)
    assert not list(tmp_path.iterdir())


def test_odd_files_in_its_folder_are_no_crash(name: str, tmp_path: Path) -> None:
    for odd in ("self.mp4", "self.json"):
        (tmp_path / odd).symlink_to(odd)
    for odd in (b"bad\xff.mp4", b"bad\xff.json", b"[bold].mp4", b"new\nline.mp4"):
        (tmp_path / os.fsdecode(odd)).touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    try:
        videos = load_dataset(name, tmp_path, {}).videos
    except DataError as error:
        assert "no split is complete" in str(error) or "needs" in str(error)
    else:
        assert len(videos) == 5


def test_a_folder_that_cannot_be_asked_for_fails(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        load_dataset(name, tmp_path / ("x" * 300), {})


def test_a_missing_folder_fails(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such folder"):
        load_dataset(name, tmp_path / "absent", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"{", b"[]", b"{}", b"null", b'["a"]', b"\x80\x04."])
def test_files_of_rubbish_fail_in_words(name: str, plug_in: ModuleType, tmp_path: Path, data: bytes) -> None:
    for file in plug_in.ABOUT.files:
        (tmp_path / file.name).write_bytes(data)
    with pytest.raises(DataError):
        load_dataset(name, tmp_path, {})
