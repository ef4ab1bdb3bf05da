"""Only the file that a store's features were made of is opened, whatever lies under its name now."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from tvr.cli.page.media.files import MediaError, OpenFile, StoreFiles
from tvr.cli.page.media.shelf import MediaShelf
from tvr.data.base import Video

from ....fixtures.mp4 import Movie, write_movie
from ....fixtures.video_shelf import store_of


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("films")
    return write_movie(folder / "a.mp4", Movie(num_frames=10)), write_movie(
        folder / "b.mp4", Movie(num_frames=20)
    )


@pytest.fixture
def root(films: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder of a data set with one film."""
    root = tmp_path / "root"
    (root / "zoo").mkdir(parents=True)
    shutil.copy(films[0], root / "zoo/film.mp4")
    return root


def files_of(root: Path, video: str = "zoo/film", name: str = "zoo/film.mp4") -> StoreFiles:
    """As they are when the store has just been made."""
    videos = {video: Video(video, root / name)}
    return StoreFiles(store_of(root.parent / "store", videos), videos, root)


def content(opened: OpenFile) -> bytes:
    with opened:
        return opened.file.read()


def test_the_file_is_opened(root: Path, films: tuple[Path, Path]) -> None:
    files = files_of(root)
    opened = files.opened("zoo/film")
    assert not opened.is_moved and opened.bytes == films[0].stat().st_size
    assert content(opened) == films[0].read_bytes()
    assert content(files.opened("zoo/film")) == films[0].read_bytes()


def test_an_unknown_video_fails(root: Path) -> None:
    files = files_of(root)
    for name in ("other", "../store/store.json", "/etc/passwd", ""):
        with pytest.raises(MediaError, match="not found elsewhere"):
            files.opened(name)


def test_another_film_in_its_place_fails(root: Path, films: tuple[Path, Path]) -> None:
    files = files_of(root)
    shutil.copy(films[1], root / "zoo/film.mp4")
    with pytest.raises(
        MediaError, match=r"another file than the one whose features are stored .* bytes then"
    ):
        files.opened("zoo/film")


def test_other_content_of_equal_length_and_time_fails(root: Path) -> None:
    files, path = files_of(root), root / "zoo/film.mp4"
    files.opened("zoo/film").file.close()
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(MediaError, match="other content"):
        files.opened("zoo/film")


def test_a_link_to_what_is_secret_fails(root: Path, tmp_path: Path) -> None:
    files, path, secret = files_of(root), root / "zoo/film.mp4", tmp_path / "secret"
    secret.write_text("password")
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(MediaError, match="another file"):
        files.opened("zoo/film")


def test_an_archive_of_links_is_opened(films: tuple[Path, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "film.mp4").symlink_to(films[0])
    files = files_of(root, "film", "film.mp4")
    assert content(files.opened("film")) == films[0].read_bytes()
    (root / "film.mp4").unlink()
    (root / "film.mp4").symlink_to(shutil.copy(films[0], tmp_path / "elsewhere.mp4"))
    assert content(files.opened("film")) == films[0].read_bytes()  # the same content, wherever it lies
    (root / "film.mp4").unlink()
    (root / "film.mp4").symlink_to(films[1])
    with pytest.raises(MediaError, match="another file"):
        files.opened("film")


def test_what_is_no_file_fails(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, path = files_of(root), root / "zoo/film.mp4"
    path.unlink()
    os.mkfifo(path)  # to open it would wait for ever
    with pytest.raises(MediaError, match="a folder, a pipe or a device"):
        files.opened("zoo/film")
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(MediaError, match="a folder, a pipe or a device"):
        files.opened("zoo/film")
    path.unlink()
    path.mkdir()
    with pytest.raises(MediaError, match="a folder, a pipe or a device"):
        files.opened("zoo/film")
    path.rmdir()
    monkeypatch.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
        with pytest.raises(MediaError, match="a folder, a pipe or a device"):
            files.opened("zoo/film")
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(MediaError, match="symbolic links"):
        files.opened("zoo/film")


def test_what_was_opened_is_what_is_read(root: Path, films: tuple[Path, Path]) -> None:
    """A swap between the look and the reading changes nothing."""
    opened = files_of(root).opened("zoo/film")
    (root / "zoo/film.mp4").unlink()
    shutil.copy(films[1], root / "zoo/film.mp4")
    assert content(opened) == films[0].read_bytes()


def test_a_file_that_has_moved_is_found(root: Path, films: tuple[Path, Path]) -> None:
    files = files_of(root)
    (root / "elsewhere/deep").mkdir(parents=True)
    shutil.copy(films[1], root / "film.mp4")  # of that name, and another one
    (root / "zoo/film.mp4").rename(root / "elsewhere/deep/film.mp4")
    opened = files.opened("zoo/film")
    assert opened.is_moved and opened.path == root / "elsewhere/deep/film.mp4"
    assert content(opened) == films[0].read_bytes()


@pytest.mark.parametrize("video", ["zoo/film", "film", "zoo/film[1.0-2.5]"])
def test_a_file_of_which_the_data_set_knows_no_more_is_found_by_its_id(video: str, root: Path) -> None:
    store = store_of(root.parent / "store", {video: Video(video, root / "zoo/film.mp4")})
    (root / "zoo").rename(root / "other")
    opened = StoreFiles(store, {}, root).opened(video)
    assert opened.is_moved and opened.path == root / "other/film.mp4"
    opened.file.close()


def test_a_file_that_is_gone_fails(root: Path) -> None:
    files = files_of(root)
    (root / "zoo/film.mp4").rename(root / "zoo/other.mp4")
    with pytest.raises(MediaError, match=r"film.mp4: its file is not where it was"):
        files.opened("zoo/film")


def test_a_store_of_an_earlier_version_opens_videos_alone(films: tuple[Path, Path], tmp_path: Path) -> None:
    """It does not say which files its features were made of."""
    (tmp_path / "secret.mp4").write_text("password")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    videos = {path.stem: Video(path.stem, path) for path in (films[0], *tmp_path.glob("*.mp4"))}
    store = store_of(tmp_path / "store", videos, is_older=True)
    with MediaShelf(store, videos, tmp_path / "cache", root=tmp_path) as shelf:
        assert shelf.state("a").plays
        assert content(shelf.opened("a").opened) == films[0].read_bytes()
        for name in ("secret", "list"):
            with pytest.raises(MediaError, match=f"{name}.mp4: "):
                shelf.opened(name)
            assert shelf.playable(name).state == "failed"


def test_a_swap_while_a_frame_is_decoded_fails(
    root: Path, films: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding opens the file by its name once more: what it gives is shown only if that is still the same file."""
    videos = {"film": Video("film", root / "zoo/film.mp4")}
    with MediaShelf(store_of(root.parent / "store", videos), videos, root.parent / "cache") as shelf:
        asked = shelf._frames._asked

        def swapped(task: object) -> object:
            shutil.copy(films[1], root / "zoo/film.mp4")
            return asked(task)  # type: ignore[arg-type]

        monkeypatch.setattr(shelf._frames, "_asked", swapped)
        with pytest.raises(MediaError, match="another file was put in its place"):
            shelf.frame("film", 0.0, 90)


def test_a_file_that_may_not_be_read_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would be if the tests' user could not read everything."""
    files = files_of(root)

    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(MediaError, match=r"cannot be read \(Permission denied\)"):
        files.opened("zoo/film")
