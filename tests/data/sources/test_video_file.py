"""Where videos are, and whether the servers that have some let us in."""

from pathlib import Path, PurePosixPath

import pytest
from tvr.data.contracts.errors import DataError
from tvr.data.sources import video_file
from tvr.data.sources.address import Address
from tvr.data.sources.remote_object import RemoteObject
from tvr.data.sources.tar_member import Tar, TarMember
from tvr.data.sources.video_file import containing_folder, file_on_disk, require_reachable

from ...fixtures.file_server import file_server

MEMBER = TarMember(Tar(Path("/x/a.tar"), 9, 9), "b/c.mp4", 0, 1)
REMOTE = RemoteObject(Address("s3://bucket/b/c.mp4"))


def test_files_and_folders_of_videos() -> None:
    assert [file_on_disk(file) for file in (Path("/x/a.mp4"), MEMBER, REMOTE)] == [
        Path("/x/a.mp4"),
        Path("/x/a.tar"),
        None,
    ]
    assert [containing_folder(file) for file in (Path("/x/a.mp4"), MEMBER, REMOTE)] == [
        PurePosixPath("/x"),
        PurePosixPath("/x/a.tar/b"),
        PurePosixPath("/s3:/bucket/b"),
    ]


def test_of_files_on_disk_nobody_is_asked() -> None:
    require_reachable([Path("/not/there"), MEMBER, None])


def test_a_server_that_has_some_is_asked_for_few() -> None:
    with file_server(files={"/99.mp4": b"x"}) as server:
        require_reachable(RemoteObject(Address.parsed(server.url(f"/{n}.mp4"))) for n in range(100))
        assert len(server.asked) <= 2  # of the first one it says that it is not there


def test_a_server_that_lets_nobody_in_fails_once() -> None:
    with file_server(query="right") as server:
        remotes = [RemoteObject(Address.parsed(server.url(f"/{n}.mp4", "sig=s3cret"))) for n in range(100)]
        with pytest.raises(DataError) as failure:
            require_reachable(remotes)
        assert len(server.asked) <= 6
    assert f"http://127.0.0.1:{server.port} cannot be read: access is denied" in str(failure.value)
    assert "s3cret" not in str(failure.value)


def test_many_servers_are_a_matter_of_their_videos() -> None:
    require_reachable(RemoteObject(Address(f"http://127.0.0.{n}:9/a.mp4")) for n in range(1, 10))


def test_a_package_that_is_lacking_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "why_not_installed", lambda scheme: f"{scheme}:// needs it")
    with pytest.raises(DataError, match="1 video cannot be read: s3:// needs it"):
        require_reachable([REMOTE])
