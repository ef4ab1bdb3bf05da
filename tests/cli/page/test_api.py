"""The page's HTTP API over real sockets: what it answers to one, to fifty at once, and to what nobody should ask."""

import socket
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from tvr.cli.serve import _listening
from tvr.data.contracts.errors import UsageError

from ...fixtures.served_page import ServedPage, page_served


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with page_served(tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.mark.parametrize("height", [90, 180, 360])
def test_a_frame_comes_in_the_height_that_is_asked_for(height: int, page: ServedPage) -> None:
    with page.client() as client:
        [hit] = client.get("/api/search", params={"q": "a small ring grows", "top": 1}).json()["hits"]
        asked = {"seconds": hit["moment"]["frame_seconds"], "height": height}
        answer = client.get(f"/api/videos/{hit['video']}/frame", params=asked)
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(answer.content)).height == height


@pytest.mark.parametrize("height", ["0", "181", "-90", "x", ""])
def test_another_height_fails(height: str, page: ServedPage) -> None:
    with page.client() as client:
        answer = client.get("/api/videos/0/frame", params={"seconds": 0, "height": height})
    assert answer.status_code == 422


def test_a_port_that_another_server_took_fails_before_anything_is_loaded() -> None:
    with _listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # who comes meanwhile is not sent away
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {port}"):
            _listening("127.0.0.1", port)
