"""What stands in front of every request: who may ask, for how much, and what a browser may do with the answer.

The server is for the person at this machine. A page of somebody else that is open in the same browser must neither read
from it (a foreign name that resolves to 127.0.0.1 is refused by its ``Host``) nor change anything (cross-site requests
are refused), and whoever reaches it over a network has to know its token.
"""

import asyncio
import re
import secrets
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .refusals import Refusal

MOST_BODY_BYTES = 10_000_000
"""Of one request."""
MOST_ADDRESS_BYTES = 26_000
"""Of path and query together: the longest text that is searched with takes 24,000, of characters that are four bytes,
each of which an address spells with three."""
STATUSES = (400, 401, 403, 408, 413, 414, 421, 503)
"""Of the answers to what may not pass."""

_MOST_BODIES_BYTES = 128_000_000
"""Of the bodies of all requests that are under way."""
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@]+)(?::\d{1,5})?")
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How much is taken at once, and how long somebody is waited for."""

    requests: int = 512
    """Under way at the same time. A browser opens six connections: those of 50 people are 300."""
    body_seconds: float = 60.0
    """Until the body of a request has come."""
    send_seconds: float = 60.0
    """Until somebody takes the next piece of an answer. A browser that has paused asks again from where it was."""


class _StalledError(Exception):
    """Nobody takes the answer."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on this host; any other needs a token."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_every_address(host: str) -> bool:
    """Whether a server that listens on this host has no address of its own, but all of the machine's."""
    try:
        return ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def new_token() -> str:
    """A secret that nobody guesses, for an address."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware that lets through what may pass, and gives every answer its security headers.

    Args:
        app: what is guarded.
        host: on which it listens, as it was named.
        token: what a request has to know, by cookie, by ``Authorization: Bearer`` or once as ``?token=`` of an address;
            None: nothing, as on loopback.
        patience: limits.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str = "127.0.0.1",
        token: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._app = app
        self._token = token
        self._patience = patience or Patience()
        self._names, self._is_any_address = _names_of(host)
        self._under_way = 0
        self._body_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the app do it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._guarded(scope, receive, self._with_headers(send))

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._under_way >= self._patience.requests:
            busy = f"{self._under_way:,} requests are under way. Ask again in a second."
            refusal = Refusal(503, busy, {"retry-after": "1"})
            await refusal.answer(Request(scope))(scope, receive, send)
            return
        self._under_way += 1
        try:
            answer = self._refused(Request(scope)) or await self._with_body(scope, receive, send)
            if answer is not None:
                await answer(scope, receive, send)
        except _StalledError:
            return  # unfinished: the server closes the connection
        finally:
            self._under_way -= 1

    def _refused(self, request: Request) -> Response | None:
        """The answer to what may not pass; None: it may."""
        refusal = self._refused_address(request) or _refused_origin(request)
        if refusal is not None:
            return refusal.answer(request)
        return self._refused_stranger(request) if self._token is not None else None

    def _refused_address(self, request: Request) -> Refusal | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._is_own_name(hosts[0]):
            named = ", ".join(hosts)[:200] or "nothing"
            return Refusal(
                421, f"this server is not called {named!r}. Open it under the address that it printed."
            )
        path, query = request.scope["path"], request.scope["query_string"]
        if len(request.scope.get("raw_path") or path.encode()) + len(query) > MOST_ADDRESS_BYTES:
            return Refusal(
                414, f"an address has at most {MOST_ADDRESS_BYTES:,} bytes. Ask for something shorter."
            )
        if not path.startswith("/"):
            return Refusal(400, "an address begins with a slash.")
        return None

    def _is_own_name(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found[1].lower().removesuffix(".")
        return name in self._names or (self._is_any_address and _is_address(name))

    def _refused_stranger(self, request: Request) -> Response | None:
        """The answer to who does not know the token, or who has just shown it in an address."""
        assert self._token is not None, "asked only where there is one"
        # Cookies know no ports: two servers of one machine must not forget each other's.
        cookie = f"tvr-token-{(request.scope.get('server') or ('', 0))[1]}"
        shown = request.query_params.getlist("token")
        if shown and request.method in ("GET", "HEAD"):
            if _is_same(shown[0], self._token):
                answer = (
                    _again(request)
                    if _is_foreign_link(request)
                    else RedirectResponse(_without_token(request), 303)
                )
                answer.set_cookie(cookie, self._token, httponly=True, samesite="strict")
                return answer
        else:
            kind, _, bearer = request.headers.get("authorization", "").partition(" ")
            known = bearer.strip() if kind.lower() == "bearer" else request.cookies.get(cookie, "")
            if _is_same(known, self._token):
                return None
            if _is_foreign_link(request):
                return _again(request)
        sentence = "this server needs its token. Open the address that it printed when it started."
        return Refusal(401, sentence, {"www-authenticate": "Bearer"}).answer(request)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Let the app answer as soon as the body is here; the answer of the guard where it does not come so."""
        claimed = _claimed_bytes(Request(scope))
        if claimed == 0:
            await self._app(scope, receive, send)
            return None
        if claimed > MOST_BODY_BYTES:
            return _TOO_LARGE.answer(Request(scope))
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self._patience.body_seconds):
                refusal = await self._read(receive, pieces)
            if refusal is None:
                await self._app(scope, _given(b"".join(pieces), receive), send)
        except TimeoutError:
            seconds = self._patience.body_seconds
            refusal = Refusal(
                408, f"what was sent did not come within {seconds:g} s. Send it again.", _CLOSING
            )
        finally:
            self._body_bytes -= sum(map(len, pieces))
        return refusal and refusal.answer(Request(scope))

    async def _read(self, receive: Receive, pieces: list[bytes]) -> Refusal | None:
        """Take a body piece by piece, as long as it is small enough."""
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _StalledError
            piece = message.get("body", b"")
            size += len(piece)
            if size > MOST_BODY_BYTES:
                return _TOO_LARGE
            pieces.append(piece)
            self._body_bytes += len(piece)
            if self._body_bytes > _MOST_BODIES_BYTES:
                return Refusal(503, "too much is being sent at once. Try again in a second.", _BUSY)
            if not message.get("more_body", False):
                return None

    def _with_headers(self, send: Send) -> Send:
        """Give each answer its security headers, and do not wait for ever for who takes it."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in _HEADERS}
                own = [
                    (name, value) for name, value in message.get("headers", ()) if name.lower() not in names
                ]
                message["headers"] = [*own, *_HEADERS]
            try:
                async with asyncio.timeout(self._patience.send_seconds):
                    await send(message)
            except TimeoutError:
                raise _StalledError from None

        return guarded


_CLOSING = {"connection": "close"}
_TOO_LARGE = Refusal(
    413, f"at most {MOST_BODY_BYTES // 1_000_000} MB may be sent. Send something smaller.", _CLOSING
)
_BUSY = {"connection": "close", "retry-after": "1"}


def _names_of(host: str) -> tuple[frozenset[str], bool]:
    """By which names a server may be called, and whether by any address of the machine."""
    named = host.lower().strip("[]")
    names = {*_LOOPBACK_NAMES, f"[{named}]" if ":" in named else named}
    is_any = is_every_address(named)
    if is_any:
        own = socket.gethostname().lower()
        names |= {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
    return frozenset(names), is_any


def _is_address(name: str) -> bool:
    """Whether a name is numbers, which no name server can point elsewhere."""
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _refused_origin(request: Request) -> Refusal | None:
    """Why a request that another site's page makes does not pass: all but a link that is followed."""
    is_read = request.method in ("GET", "HEAD", "OPTIONS")
    site = request.headers.get("sec-fetch-site", "none")
    is_followed = is_read and request.headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not is_followed:
        return Refusal(403, "another site's page asked for this. Open the address of this server itself.")
    origin = request.headers.get("origin")
    if not is_read and origin is not None and urlsplit(origin).netloc != request.headers["host"]:
        return Refusal(403, "another site's page sent this. Open the address of this server itself.")
    return None


def _is_foreign_link(request: Request) -> bool:
    """Whether a link on another site's page was followed: then a browser keeps the cookie back."""
    return request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def _again(request: Request) -> Response:
    """Has a browser ask for the address once more, this time from here, so that it sends the cookie if it has one."""
    return Response(
        status_code=200, headers={"refresh": f"0; url={_without_token(request)}", "cache-control": "no-store"}
    )


def _is_same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


def _without_token(request: Request) -> str:
    """The address again. Of slashes at its beginning one is left: two would be another server's name."""
    left = [
        (name, value)
        for name, value in parse_qsl(request.url.query, keep_blank_values=True)
        if name != "token"
    ]
    query = urlencode(left)
    return "/" + quote(request.scope["path"].lstrip("/")) + (f"?{query}" if query else "")


def _claimed_bytes(request: Request) -> int:
    """How long the body says that it is; 1 where it does not say it."""
    return 1 if "transfer-encoding" in request.headers else int(request.headers.get("content-length", 0))


def _given(body: bytes, receive: Receive) -> Receive:
    """A channel that gives a body which is here already, then what else comes."""
    state: dict[Literal["is_given"], bool] = {"is_given": False}

    async def given() -> Message:
        if state["is_given"]:
            return await receive()
        state["is_given"] = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given
