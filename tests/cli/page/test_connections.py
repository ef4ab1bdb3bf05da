"""Who connects and says nothing takes nothing from others."""

import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from tvr.cli.page import connections

from ...fixtures.http_server import served

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse(scope["path"])(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(app) as port:
        yield port


def connected(port: int, *sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    for piece in sent:
        connection.sendall(piece)
    return connection


def closed(connection: socket.socket) -> bool:
    """Wait until the server closes; whether it has said nothing before."""
    with connection:
        try:
            return not connection.recv(1)
        except ConnectionError:
            return True


def answer(connection: socket.socket) -> bytes:
    """The body of one answer, which is one byte long."""
    received = b""
    while not received.endswith(b"\r\n\r\n/"):
        piece = connection.recv(4096)
        assert piece, received
        received += piece
    return received


def test_requests_in_turn_on_one_connection(port: int) -> None:
    with connected(port) as connection:
        for _ in range(3):
            connection.sendall(HEAD + b"\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"G", HEAD])
def test_a_request_that_does_not_come_fails(sent: bytes, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    assert closed(connected(port, sent))


def test_the_next_request_that_does_not_come_fails(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    connection = connected(port, HEAD + b"\r\n")
    answer(connection)
    connection.sendall(HEAD)
    assert closed(connection)


def test_thousands_who_say_nothing_leave_room(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 20)
    silent = [connected(port, HEAD) for _ in range(500)]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert [client.get("/").status_code for _ in range(10)] == [200] * 10
    assert all(closed(each) for each in silent[:400])
    for each in silent:
        each.close()


def test_more_are_open_than_anybody_needs() -> None:
    assert 16 <= connections.most_connections() <= connections.MOST_CONNECTIONS
