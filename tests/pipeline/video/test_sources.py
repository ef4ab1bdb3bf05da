"""Members of tar files and objects of servers give what files of the same bytes give, and nothing where they fail."""

import os
from pathlib import Path

import numpy as np
import pytest
from tvr.data.contracts.byte_source import SourceError, SourceReader
from tvr.data.contracts.errors import DecodeError
from tvr.data.sources.tar_listing import listed_tar
from tvr.data.sources.tar_member import MemberReader, TarMember
from tvr.pipeline.decoders.pyav import Decoder
from tvr.pipeline.video.container import opened
from tvr.pipeline.video.packets import PacketIndex, index_packets

from ...fixtures.mp4 import Movie, damage, number_of, write_movie
from ...fixtures.tars import write_tar

SUFFIXES = ("mp4", "mkv", "avi", "ts", "mpg", "webm", "flv", "h264", "mov", "gif")


def member_of(folder: Path, file: Path) -> TarMember:
    """The file between others in a tar."""
    others = {"before.mp4": b"x" * 700, file.name: file.read_bytes(), "behind.mp4": b"y" * 5000}
    found = listed_tar(write_tar(folder / "00000.tar", others), lambda name: name == file.name)
    return found.members[0]


def movie_of(folder: Path, suffix: str) -> Path:
    codec = {"mpg": "mpeg1video", "webm": "libvpx", "avi": "mpeg4", "gif": "gif"}.get(suffix, "libx264")
    if suffix == "gif":
        return write_gif(folder / "movie.gif")
    return write_movie(folder / f"movie.{suffix}", Movie(30, codec=codec))


def write_gif(path: Path) -> Path:
    from PIL import Image

    pictures = [Image.new("RGB", (32, 32), (number * 8, 0, 0)) for number in range(6)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    return path


def facts(index: PacketIndex) -> dict[str, object]:
    return {name: value for name, value in vars(index).items() if not isinstance(value, np.ndarray)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_member_gives_what_the_file_gives(tmp_path: Path, suffix: str) -> None:
    file = movie_of(tmp_path, suffix)
    member = member_of(tmp_path, file)
    of_file, of_member = Decoder(), Decoder()
    assert facts(of_file.index(file)) == facts(of_member.index(member))
    times, other = of_file.probe(file), of_member.probe(member)
    np.testing.assert_array_equal(times.frame_seconds, other.frame_seconds)
    wanted = range(0, len(times.frame_seconds), 5)
    for one, two in zip(of_file.read(file, wanted), of_member.read(member, wanted), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_damaged_member_is_damaged_in_the_same_way(tmp_path: Path) -> None:
    file = write_movie(tmp_path / "movie.mp4", Movie(60))
    damage(file, 0.3, 1500)
    member = member_of(tmp_path, file)
    said: list[str] = []
    for given in (file, member):
        with pytest.raises(DecodeError) as failure:
            list(Decoder().read(given, range(60)))
        said.append(str(failure.value))
    assert said[0] == said[1]


def test_a_tar_that_ends_in_a_video_ends_as_the_file_would(tmp_path: Path) -> None:
    whole = write_movie(tmp_path / "movie.ts", Movie(60)).read_bytes()
    (tmp_path / "cut.ts").write_bytes(whole[: len(whole) // 2])
    tar = write_tar(tmp_path / "a.tar", {"cut.ts": whole})
    begin = listed_tar(tar, lambda name: True).members[0].offset
    with tar.open("r+b") as archive:
        archive.truncate(begin + len(whole) // 2)
    (member,) = listed_tar(tar, lambda name: True).members
    assert facts(index_packets(member)) == facts(index_packets(tmp_path / "cut.ts"))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mpg"])
def test_bytes_that_cannot_be_read_are_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Whichever reading fails: never is a part of a video taken for all of it."""
    member = member_of(tmp_path, movie_of(tmp_path, suffix))
    whole = facts(index_packets(member))
    pictures = [number_of(frame) for frame in Decoder().read(member, range(30))]
    read_at, readings, failing_at = MemberReader.read_at, 0, 0

    def read(self: MemberReader, at: int, count: int) -> bytes:
        nonlocal readings
        readings += 1
        if readings == failing_at:
            raise SourceError("the network is down")
        return read_at(self, at, count)

    monkeypatch.setattr(MemberReader, "read_at", read)
    monkeypatch.setattr(MemberReader, "read", lambda self, size: SourceReader.read(self, min(size, 1500)))
    while readings >= failing_at:
        readings, failing_at = 0, failing_at + 1
        try:
            decoder = Decoder()
            assert facts(decoder.index(member)) == whole
            assert [number_of(frame) for frame in decoder.read(member, range(30))] == pictures
        except DecodeError as error:
            assert readings >= failing_at
            assert str(error) == "cannot be read (the network is down)"
        else:
            assert readings < failing_at
    assert failing_at > 5


def test_a_member_that_is_empty_or_no_video_fails(tmp_path: Path) -> None:
    for content, said in ((b"", "file is empty"), (b"x" * 9000, "not a readable video file")):
        (tmp_path / "a.mp4").write_bytes(content)
        with pytest.raises(DecodeError, match=said), opened(member_of(tmp_path, tmp_path / "a.mp4")):
            pass


def test_a_tar_that_is_another_one_fails(tmp_path: Path) -> None:
    member = member_of(tmp_path, write_movie(tmp_path / "movie.mp4"))
    os.utime(member.tar.path, ns=(0, 0))
    with pytest.raises(DecodeError, match=r"00000\.tar was written to or replaced"):
        index_packets(member)


def test_a_tar_that_changes_while_it_is_read_fails(tmp_path: Path) -> None:
    member = member_of(tmp_path, write_movie(tmp_path / "movie.mp4"))
    with pytest.raises(DecodeError, match=r"00000\.tar was written to or replaced"), opened(member):
        os.utime(member.tar.path, ns=(0, 0))


@pytest.mark.parametrize("name", ["list.m3u8", "movie.mp4"])
def test_a_playlist_in_a_tar_opens_no_other_file(tmp_path: Path, name: str) -> None:
    secret = write_movie(tmp_path / "secret.ts")
    texts = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "movie.mp4": f"ffconcat version 1.0\nfile {secret}\n",
    }
    (tmp_path / name).write_text(texts[name])
    with pytest.raises(DecodeError), opened(member_of(tmp_path, tmp_path / name)):
        pass
