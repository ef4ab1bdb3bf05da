"""Files as HTTP answers: whole, and in the ranges by which players seek."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tvr.cli.page.guard import Guard
from tvr.cli.page.media.files import OpenFile, opened_file
from tvr.cli.page.media.ranges import ByteRange, FileAnswer, UnsatisfiableError, asked_range

from ....fixtures.http_server import served

CONTENT = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranges") / "film.mp4"
    path.write_bytes(CONTENT)
    (path.parent / "empty.mp4").touch()
    return path


OPENED: list[OpenFile] = []


@pytest.fixture(scope="module")
def client(file: Path) -> Iterator[httpx.Client]:
    def media(request: Request) -> Response:
        OPENED.append(opened_file(file.parent / request.path_params["name"]))
        return FileAnswer(request, OPENED[-1], "video/mp4")

    app = Starlette(routes=[Route("/{name}", media)])
    with (
        served(Guard(app)) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


def test_the_whole_file(client: httpx.Client) -> None:
    answer = client.get("/film.mp4")
    assert answer.status_code == 200 and answer.content == CONTENT
    assert answer.headers["accept-ranges"] == "bytes" and answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("asked", "part", "said"),
    [
        ("bytes=0-", slice(None), "0-1023999"),
        ("bytes=100-199", slice(100, 200), "100-199"),
        ("bytes=1000000-", slice(1000000, None), "1000000-1023999"),
        ("bytes=-10", slice(-10, None), "1023990-1023999"),
        ("bytes=-99999999", slice(None), "0-1023999"),
        ("bytes=1023999-99999999", slice(-1, None), "1023999-1023999"),
    ],
)
def test_a_range(asked: str, part: slice, said: str, client: httpx.Client) -> None:
    answer = client.get("/film.mp4", headers={"range": asked})
    assert answer.status_code == 206 and answer.content == CONTENT[part]
    assert answer.headers["content-range"] == f"bytes {said}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=1024000-", "bytes=-0", "bytes=9999999999-99999999999"])
def test_a_range_behind_the_end_fails(asked: str, client: httpx.Client) -> None:
    answer = client.get("/film.mp4", headers={"range": asked})
    assert answer.status_code == 416 and not answer.content
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,4-5", "bytes=5-1", "bytes=-", "lines=0-1", "bytes=a-b", "bytes=0x1-2"]
)
def test_what_is_no_single_range_gets_the_whole(asked: str, client: httpx.Client) -> None:
    answer = client.get("/film.mp4", headers={"range": asked})
    assert answer.status_code == 200 and len(answer.content) == len(CONTENT)


def test_an_empty_file(client: httpx.Client) -> None:
    assert client.get("/empty.mp4").content == b""
    assert client.get("/empty.mp4", headers={"range": "bytes=0-"}).status_code == 416


def test_the_head_alone(client: httpx.Client) -> None:
    answer = client.head("/film.mp4", headers={"range": "bytes=0-99"})
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (206, "100", b"")


def test_what_is_known_already_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/film.mp4")
    again = client.get("/film.mp4", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content


def test_a_range_of_a_file_that_has_changed_gets_the_whole(client: httpx.Client) -> None:
    known = client.head("/film.mp4").headers
    for tag, status in ((known["etag"], 206), (known["last-modified"], 206), ('"other"', 200)):
        answer = client.get("/film.mp4", headers={"range": "bytes=0-9", "if-range": tag})
        assert answer.status_code == status


def test_every_file_is_closed(client: httpx.Client) -> None:
    client.get("/film.mp4")
    with client.stream("GET", "/film.mp4"):
        pass  # its answer is not read
    client.get("/empty.mp4")
    assert len(OPENED) > 3 and all(opened.file.closed for opened in OPENED[:-2])


def test_ranges_are_read_as_the_standard_has_them() -> None:
    assert asked_range("bytes=0-0", 5) == ByteRange(0, 0)
    assert asked_range("", 5) is None
    with pytest.raises(UnsatisfiableError):
        asked_range("bytes=5-", 5)
