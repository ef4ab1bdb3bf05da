"""A source as a file object, which is what demuxers and digests read."""

import os
from pathlib import Path

import pytest
from tvr.data.contracts.byte_source import SourceFacts, SourceReader, look_at


class Letters(SourceReader):
    """The bytes ``abcdef``."""

    def __init__(self) -> None:
        super().__init__("letters.txt", SourceFacts(6, None))

    def read_at(self, at: int, count: int) -> bytes:
        return b"abcdef"[at : at + count]

    def require_unchanged(self) -> None:
        """It never changes."""


def test_it_reads_as_files_do() -> None:
    with Letters() as file:
        assert file.read(2) == b"ab"
        assert file.tell() == 2
        assert file.read() == b"cdef"
        assert file.read(5) == b""
        assert file.seek(-2, os.SEEK_END) == 4
        buffer = bytearray(4)
        assert (file.readinto(buffer), bytes(buffer)) == (2, b"ef\0\0")
        assert file.seek(1) == 1
        assert file.seek(2, os.SEEK_CUR) == 3
        assert file.read(1) == b"d"
        assert file.seek(90) == 90
        assert file.read(1) == b""
    assert file.closed


def test_a_place_before_the_beginning_fails() -> None:
    with Letters() as file, pytest.raises(ValueError, match="no byte has the place -1"):
        file.seek(-7, os.SEEK_END)


def test_files_are_looked_at_without_being_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    os.mkfifo(tmp_path / "pipe")
    assert look_at(tmp_path / "a") == SourceFacts(3, (tmp_path / "a").stat().st_mtime_ns)
    assert not look_at(tmp_path / "pipe").is_regular


def test_what_is_not_there_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look_at(tmp_path / "a")
