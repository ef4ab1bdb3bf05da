"""Members of tar files are read where they lie, and of the tar that was listed alone."""

import copy
import json
import os
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import pytest
from tvr.data.contracts.byte_source import SourceError
from tvr.data.contracts.identity import FileIdentity
from tvr.data.contracts.records import restored
from tvr.data.sources.tar_listing import listed_tar
from tvr.data.sources.tar_member import Tar, TarMember

from ...fixtures.tars import write_tar

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "00000.tar", {"below/a.mp4": CONTENT, "b.mp4": b"", "c.mp4": b"ccc"})


def members(tar: Path) -> dict[str, TarMember]:
    return {member.name: member for member in listed_tar(tar, lambda name: True).members}


def test_it_reads_its_own_bytes_and_no_others(tar: Path) -> None:
    found = members(tar)
    with found["a.mp4"].open() as file:
        assert file.read() == CONTENT
        file.seek(-5, os.SEEK_END)
        assert file.read(100) == CONTENT[-5:]
        file.require_unchanged()
    for name, content in (("b.mp4", b""), ("c.mp4", b"ccc")):
        with found[name].open() as file:
            assert file.read() == content


@pytest.mark.parametrize("kind", ["ends", "whole"])
def test_it_is_the_same_video_as_the_file_of_its_bytes(tar: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.mp4").write_bytes(CONTENT)
    member = members(tar)["a.mp4"]
    identity, of_file = FileIdentity.of(member, kind), FileIdentity.of(tmp_path / "a.mp4", kind)  # type: ignore[arg-type]
    assert (identity.bytes, identity.digest) == (of_file.bytes, of_file.digest)
    assert identity.modified_ns == tar.stat().st_mtime_ns
    assert of_file.is_that_of(member, by_time=False)
    assert identity.is_that_of(member, by_time=True)


def test_it_is_told_apart_from_another_file(tar: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x" + CONTENT[1:])
    assert not FileIdentity.of(tmp_path / "a.mp4").is_that_of(members(tar)["a.mp4"], by_time=False)


def test_it_travels_by_value(tar: Path) -> None:
    member = members(tar)["a.mp4"]
    record = asdict(member) | {"tar": asdict(member.tar) | {"path": str(member.tar.path)}}
    assert restored(TarMember, json.loads(json.dumps(record))) == member
    assert copy.deepcopy(member) == member  # by the protocol of pickle, as Dask sends it
    assert (str(member), member.suffix) == (f"{tar}/below/a.mp4", ".mp4")
    assert member.parent == PurePosixPath(tar / "below")


def test_a_relative_one_is_made_absolute(tar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tar.parent)
    member = members(Path(tar.name))["a.mp4"]
    monkeypatch.chdir("/")
    assert member.parent == PurePosixPath("/00000.tar/below")
    with pytest.raises(FileNotFoundError):
        member.open()


def test_a_tar_that_was_replaced_fails(tar: Path, tmp_path: Path) -> None:
    member = members(tar)["a.mp4"]
    other = write_tar(tmp_path / "other.tar", {"below/a.mp4": CONTENT[::-1], "b.mp4": b"", "c.mp4": b"ccc"})
    os.utime(other, ns=(0, member.tar.modified_ns + 1))
    other.replace(tar)
    with pytest.raises(
        SourceError, match=r"00000\.tar was written to or replaced since its members were listed"
    ):
        member.open()


def test_a_tar_that_is_written_to_while_it_is_read_fails(tar: Path) -> None:
    with members(tar)["a.mp4"].open() as file:
        file.read(10)
        file.require_unchanged()
        with tar.open("ab") as archive:
            archive.write(b"more")
        with pytest.raises(SourceError, match="was written to or replaced"):
            file.require_unchanged()


def test_what_is_no_regular_file_fails(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(SourceError, match="is no regular file"):
        Tar.of(tmp_path / "pipe.tar")
