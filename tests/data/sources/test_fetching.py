"""Objects of web servers: each byte once, of one version, and every trouble in words without a secret."""

import os
import random
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from tvr.data.contracts.byte_source import SourceError, SourceFacts
from tvr.data.contracts.identity import FileIdentity
from tvr.data.sources import fetching
from tvr.data.sources.address import Address
from tvr.data.sources.network_errors import UnreachableError
from tvr.data.sources.remote_object import RemoteObject

from ...fixtures.file_server import FileServer, file_server

CONTENT = random.Random(0).randbytes(6_500_000)
NAME = "/clips/a%20b.mp4"
MODIFIED_NS = 1_700_000_000_000_000_000


@contextmanager
def served(**settings: object) -> Iterator[tuple[FileServer, RemoteObject]]:
    with file_server(files={NAME: CONTENT}, **settings) as server:
        yield server, RemoteObject(Address.parsed(server.url(NAME, "sig=s3cret")))


def read(remote: RemoteObject, piece: int = 1 << 20) -> bytes:
    with remote.open() as file:
        content = b"".join(iter(lambda: file.read(piece), b""))
        file.require_unchanged()
    return content


def test_each_byte_is_fetched_once_however_often_it_is_read() -> None:
    with served() as (server, remote):
        assert remote.look() == SourceFacts(len(CONTENT), MODIFIED_NS)
        assert read(remote) == CONTENT
        asked = list(server.asked)
        assert read(remote, 1 << 15) == CONTENT
        assert server.asked == asked
        ranges = [tuple(map(int, part.removeprefix("bytes=").split("-"))) for part in server.gets()]
        assert sum(last + 1 - first for first, last in ranges) == len(CONTENT)
        assert {path for _, path, _ in asked} == {f"{NAME}?sig=s3cret"}


def test_the_head_and_the_tail_are_had_without_the_middle() -> None:
    with served() as (server, remote):
        identity = FileIdentity.of(remote)
        assert (identity.bytes, identity.modified_ns) == (len(CONTENT), MODIFIED_NS)
        with remote.open() as file:
            file.seek(-100, os.SEEK_END)
            assert file.read() == CONTENT[-100:]
        assert len(server.gets()) == 2
        assert FileIdentity.of(remote, "whole") == FileIdentity.of(remote, "whole")


@pytest.mark.parametrize(
    "settings",
    [{"ranges": False}, {"tells": False}, {"heads": False}, {"query": "sig=s3cret"}, {"failing": 2}],
    ids=["no ranges", "tells nothing", "no HEAD", "signed", "fails twice"],
)
def test_servers_of_many_kinds_send_the_same(settings: dict[str, object]) -> None:
    with served(**settings) as (_, remote):
        assert read(remote) == CONTENT
        known = MODIFIED_NS if settings.get("tells", True) else None
        assert remote.look() == SourceFacts(len(CONTENT), known)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"breaks_at": 1000}, "the connection was broken off"),
        ({"failing": 99}, "the server failed (HTTP 503)"),
        (
            {"query": "other"},
            "access is denied, or the address was signed for a time that is over (HTTP 403)",
        ),
        ({"after": {2: (NAME, CONTENT[::-1])}}, "was replaced or changed while it was fetched"),
        (
            {"after": {2: (NAME, CONTENT[::-1])}, "ranges": False},
            "was replaced or changed while it was fetched",
        ),
        ({"after": {2: (NAME, CONTENT[:-1])}}, "was replaced or changed while it was fetched"),
        ({"after": {3: (NAME, CONTENT[:-9])}}, "was replaced or changed while it was fetched"),
    ],
    ids=["breaks off", "fails", "denied", "replaced", "replaced, no ranges", "cut", "cut in the end"],
)
def test_what_goes_wrong_on_the_way_fails_in_words(
    settings: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_SECONDS", 0.0)
    with served(**settings) as (_, remote), pytest.raises(SourceError) as failure:
        read(remote)
    assert str(failure.value) == said


def test_what_is_not_there_fails_and_is_nothing_of_the_server() -> None:
    with file_server() as server, pytest.raises(SourceError, match="there is no such object") as failure:
        RemoteObject(Address.parsed(server.url("/a.mp4"))).look()
    assert not isinstance(failure.value, UnreachableError)


def test_a_server_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with file_server() as server:
        url = server.url("/a.mp4", "sig=s3cret")
    with pytest.raises(UnreachableError, match="the server cannot be reached"):
        RemoteObject(Address.parsed(url)).look()
    monkeypatch.setattr(fetching, "find_spec", lambda name: None)
    with pytest.raises(
        SourceError, match=r"http:// needs fsspec and aiohttp \(pip install 'tvr\[remote\]'\)"
    ):
        RemoteObject(Address.parsed(url)).look()


def test_a_full_disk_fails_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, at: int) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            """Nothing."""

    with served() as (_, remote):
        monkeypatch.setattr(tempfile, "TemporaryFile", Full)
        with pytest.raises(SourceError, match=r"cannot be kept in .* \(No space left on device\); TMPDIR"):
            read(remote)


def test_threads_ask_side_by_side() -> None:
    held = threading.Event()
    with file_server(files={f"/{n}.mp4": bytes([n]) * 9 for n in range(8)}, held=held) as server:
        remotes = [RemoteObject(Address.parsed(server.url(f"/{n}.mp4"))) for n in range(8)]
        with ThreadPoolExecutor(8) as threads:
            coming = [threads.submit(read, remote) for remote in remotes]
            while len(server.gets()) < 8:
                assert not any(each.done() for each in coming)
            held.set()
            assert [each.result() for each in coming] == [bytes([n]) * 9 for n in range(8)]
