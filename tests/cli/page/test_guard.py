"""Who may ask the server, for how much, and what a browser may do with the answer: by real requests."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from tvr.cli.page.guard import MOST_ADDRESS_BYTES, MOST_BODY_BYTES, Guard, Patience, is_loopback, new_token
from tvr.cli.page.search_routes import LONGEST_TEXT

from ...fixtures.http_server import served

TOKEN = new_token()
PATIENCE = Patience(requests=4, body_seconds=0.4, send_seconds=0.4)
ENDLESS = b"0" * 65536


class App:
    """Answers with what it was asked; holds requests until who asks is gone."""

    def __init__(self) -> None:
        self.held = threading.Semaphore(0)
        self.ended = threading.Event()
        self.routes = Starlette(
            routes=[
                Route("/hold", self.hold),
                Route("/endless", Endless(self.ended)),
                Route("/{path:path}", self.echo, methods=["GET", "POST"]),
            ]
        )

    async def echo(self, request: Request) -> Response:
        body = await request.body()
        return JSONResponse({"path": request.url.path, "query": request.url.query, "bytes": len(body)})

    async def hold(self, request: Request) -> Response:
        self.held.release()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response("held")


class Endless:
    """An ASGI app that sends without end."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200})
            while True:
                await send({"type": "http.response.body", "body": ENDLESS, "more_body": True})
        finally:
            self._ended.set()


@dataclass
class Served:
    app: App
    guard: Guard
    port: int

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, trust_env=False)

    def raw(self, request: bytes) -> socket.socket:
        """A connection on which this was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(request)
        return connection


@pytest.fixture(scope="module")
def local() -> Iterator[Served]:
    yield from serve()


@pytest.fixture(scope="module")
def reachable() -> Iterator[Served]:
    """As if it listened on every address of the machine."""
    yield from serve("0.0.0.0", TOKEN)


def serve(*settings: str) -> Iterator[Served]:
    app = App()
    guard = Guard(app.routes, *settings, patience=PATIENCE)
    with served(guard) as port:
        yield Served(app, guard, port)


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


def answer_of(connection: socket.socket) -> str:
    """What comes until the server closes."""
    with connection:
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received.decode()


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "127.0.0.1:1", "localhost:65535"]
)
def test_its_own_names_are_answered(name: str, local: Served) -> None:
    with local.client(host=name) as client:
        assert client.get("/x", params={"q": "a zoo"}).json() == {
            "path": "/x",
            "query": "q=a+zoo",
            "bytes": 0,
        }


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "192.168.0.7",
        "[::2]",
        "a b",
        "",
        "localhost:",
    ],
)
def test_a_foreign_host_fails(name: str, local: Served) -> None:
    answer = answer_of(local.raw(head("GET / HTTP/1.1", f"Host: {name}", "Connection: close")))
    assert answer.startswith(("HTTP/1.1 421", "HTTP/1.1 400"))
    assert "not called" in answer or "Invalid HTTP" in answer


def test_no_host_fails(local: Served) -> None:
    assert answer_of(local.raw(head("GET / HTTP/1.0"))).startswith("HTTP/1.1 421")


def test_an_address_of_another_server_fails(local: Served) -> None:
    """As a proxy would be asked."""
    asked = head("GET http://evil.example/ HTTP/1.1", "Host: localhost", "Connection: close")
    assert answer_of(local.raw(asked)).startswith("HTTP/1.1 400")


def test_any_address_of_the_machine_is_its_name_where_it_listens_on_all(reachable: Served) -> None:
    own = socket.gethostname()
    for name in ("192.168.0.7:80", "[fd00::2]", own):
        with reachable.client(host=name, authorization=f"Bearer {TOKEN}") as client:
            assert client.get("/").status_code == 200
    with reachable.client(host="evil.example", authorization=f"Bearer {TOKEN}") as client:
        assert client.get("/").status_code == 421


def test_the_token_of_an_address_becomes_a_cookie(reachable: Served) -> None:
    with reachable.client() as client:
        answer = client.get("/runs", params={"q": "a & b", "token": TOKEN, "by": ""})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/runs?q=a+%26+b&by="
        cookie = answer.headers["set-cookie"]
        assert (
            "HttpOnly" in cookie and "SameSite=strict" in cookie and f"tvr-token-{reachable.port}=" in cookie
        )
        followed = client.get(answer.headers["location"])
        assert followed.json() == {"path": "/runs", "query": "q=a+%26+b&by=", "bytes": 0}


def test_the_address_after_the_token_is_of_this_server(reachable: Served) -> None:
    """``//name`` and ``/\\name`` would lead a browser to another one."""
    for path in ("//evil.example/x", "/%5Cevil.example", "///evil.example", "/%0d%0aSet-Cookie:%20a=b"):
        asked = head(f"GET {path}?token={TOKEN} HTTP/1.1", "Host: 127.0.0.1", "Connection: close")
        lines = answer_of(reachable.raw(asked)).splitlines()
        (location,) = (line.split(" ", 1)[1] for line in lines if line.startswith("location: "))
        assert location.startswith("/") and not location.startswith("//") and "\\" not in location
        assert "Set-Cookie: a=b" not in lines


def test_a_link_of_another_site_is_followed_from_here(reachable: Served) -> None:
    """A browser sends the cookie only with what this server's own pages ask for: so a page of it asks."""
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    with reachable.client() as client:
        for address in ("/runs?q=a", f"/runs?q=a&token={TOKEN}"):
            answer = client.get(address, headers=link)
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["refresh"] == "0; url=/runs?q=a"
            assert ("set-cookie" in answer.headers) == ("token" in address)
        client.cookies.clear()
        own = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
        assert client.get("/runs?q=a", headers=own).status_code == 401


def test_without_the_token_fails(reachable: Served) -> None:
    for headers in (
        {},
        {"authorization": "Bearer no"},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": "a=b"},
    ):
        with reachable.client(**headers) as client:
            for path in ("/", "/api/search?q=x", "/static/page.js", "/?token=", "/?token=no"):
                assert client.get(path).status_code == 401
            refused = client.post(f"/?token={TOKEN}")
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"


def test_a_browser_without_the_token_fails_with_a_page(reachable: Served) -> None:
    with reachable.client(accept="text/html,*/*;q=0.8") as client:
        answer = client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "This server needs its token." in answer.text


def test_only_loopback_needs_none() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.0.1", "localhost", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.7", "archive.example")))
    assert len({new_token() for _ in range(9)}) == 9 and len(new_token()) >= 32


def test_every_answer_says_what_a_browser_may_do(local: Served) -> None:
    with local.client() as client:
        for answer in (client.get("/"), client.get("/", headers={"host": "evil.example"}), client.put("/")):
            policy = answer.headers["content-security-policy"]
            assert (
                "default-src 'none'" in policy
                and "unsafe" not in policy
                and "frame-ancestors 'none'" in policy
            )
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert "server" not in answer.headers


def test_its_own_page_may_send(local: Served) -> None:
    own = {
        "origin": f"http://127.0.0.1:{local.port}",
        "sec-fetch-site": "same-origin",
        "sec-fetch-mode": "cors",
    }
    with local.client() as client:
        for headers in (own, {"origin": own["origin"]}, {}, {"sec-fetch-site": "none"}):
            assert client.post("/", content=b"12345", headers=headers).json()["bytes"] == 5
        link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert client.get("/", headers=link).status_code == 200


def test_another_sites_page_fails(local: Served) -> None:
    with local.client() as client:
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:1"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        ):
            assert client.post("/", content=b"1", headers=headers).status_code == 403
        embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
        assert client.get("/api/videos/1/frame", headers=embedded).status_code == 403


def test_a_body_that_is_too_large_fails_while_it_arrives(local: Served) -> None:
    with local.client() as client:
        assert client.post("/", content=bytes(MOST_BODY_BYTES)).json()["bytes"] == MOST_BODY_BYTES
    sent = 0
    connection = local.raw(head("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"))
    with suppress(OSError):  # it is closed for what follows
        while sent < 4 * MOST_BODY_BYTES:  # nothing has said how much there is
            connection.sendall(b"10000\r\n" + ENDLESS + b"\r\n")
            sent += len(ENDLESS)
    assert sent < 4 * MOST_BODY_BYTES
    assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    connection.close()


def test_a_body_that_says_that_it_is_too_large_fails_before_it_arrives(local: Served) -> None:
    asked = head("POST / HTTP/1.1", "Host: localhost", f"Content-Length: {MOST_BODY_BYTES + 1}")
    assert answer_of(local.raw(asked)).startswith("HTTP/1.1 413")


def test_a_body_that_does_not_come_fails(local: Served) -> None:
    asked = head("POST / HTTP/1.1", "Host: localhost", "Content-Length: 100")
    assert answer_of(local.raw(asked + b"slow")).startswith("HTTP/1.1 408")


def test_a_long_address_fails(local: Served) -> None:
    with local.client() as client:
        longest = {"q": "\N{VIDEO CAMERA}" * LONGEST_TEXT, "by": "moment", "split": "test", "top": 100}
        assert client.get("/", params=longest).status_code == 200, "the limit of a text is in characters"
        assert client.get("/", params={"q": "a" * MOST_ADDRESS_BYTES}).status_code == 414
        assert client.get("/" + "a" * MOST_ADDRESS_BYTES).status_code == 414


def test_a_query_of_megabytes_fails(local: Served) -> None:
    """It is not even read to its end."""
    connection = local.raw(b"GET /?q=")
    answer = b""
    with suppress(ConnectionError):
        for _ in range(160):
            connection.sendall(ENDLESS)
        answer = connection.recv(4096)
    connection.close()
    assert not answer or answer.startswith(b"HTTP/1.1 400")
    with local.client() as client:
        assert client.get("/").status_code == 200


def test_more_requests_than_can_be_served_fail_at_once(local: Served) -> None:
    held = [local.raw(head("GET /hold HTTP/1.1", "Host: localhost", "Connection: close")) for _ in range(4)]
    for _ in held:
        assert local.app.held.acquire(timeout=30)
    with local.client() as client:
        answers = [client.get("/") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    for connection in held:
        connection.close()
    with local.client() as client:
        while client.get("/").status_code == 503:
            pass


def test_an_answer_that_nobody_takes_ends(local: Served) -> None:
    connection = local.raw(head("GET /endless HTTP/1.1", "Host: localhost"))
    assert local.app.ended.wait(30)
    connection.close()
