"""How the server speaks HTTP/1.1: as uvicorn does, but nobody who connects and says nothing is waited for."""

import asyncio
import logging
import socket
from weakref import WeakKeyDictionary

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ...data.contracts.open_files import allow_open_files, most_open_files

HEAD_SECONDS = 10.0
"""Until the head of a request has come."""
MOST_CONNECTIONS = 4096
_MOST_HEAD_BYTES = 32 * 1024
_KEEP_ALIVE_SECONDS = 30
_LAST_SECONDS = 2
"""For answers that are under way when the server ends."""


_LINES: "WeakKeyDictionary[ServerState, dict[PatientProtocol, None]]" = WeakKeyDictionary()
"""Of each server the connections on which nothing is under way, those first that have said nothing for longest."""


class PatientProtocol(H11Protocol):
    """A connection that is closed if a request is begun and not ended, or if others need its place meanwhile."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        if len(self.connections) >= most_connections():
            self._make_room()
        assert isinstance(transport, asyncio.Transport), "of a stream socket"
        super().connection_made(transport)
        # asyncio does so only where a socket was made with the protocol's number. Else the second piece of an answer
        # waits 40 ms for the client's word on the first.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line[self] = None
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        self._line.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is not whole has its time."""
        super().data_received(data)
        if self._is_under_way:
            self._stop_waiting()
            self._line.pop(self, None)
        elif self._waiting is None and not self.transport.is_closing():
            self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def on_response_complete(self) -> None:
        """Wait for another request."""
        self._line[self] = None
        super().on_response_complete()
        if self._is_under_way:  # it had been sent already
            self._line.pop(self, None)

    @property
    def _line(self) -> "dict[PatientProtocol, None]":
        return _LINES.setdefault(self.server_state, {})

    @property
    def _is_under_way(self) -> bool:
        """Whether a request is being answered."""
        # Before the first one there is no cycle, whatever its type says.
        return bool(self.cycle) and not self.cycle.response_complete

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self._is_under_way:
            self.transport.abort()

    def _make_room(self) -> None:
        """Close the connection that has said nothing for longest."""
        longest = next(iter(self._line), None)
        if longest is not None:
            del self._line[longest]
            self.connections.discard(longest)
            longest.transport.abort()


def most_connections() -> int:
    """How many may be open: half of the files that this process may have open go to decoding and to files that are
    sent."""
    return min(MOST_CONNECTIONS, max(16, most_open_files() // 2 or MOST_CONNECTIONS))


def server_of(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    """A server that is ready to run.

    Args:
        app: what it serves, with its guard around it.
        host: on which it listens.
        port: on which it listens; 0: any that is free.
    """
    allow_open_files()
    logging.getLogger("uvicorn.error").addFilter(_is_worth_telling)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=PatientProtocol,
            ws="none",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LAST_SECONDS,
            h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
        )
    )


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Whether a record says more than that somebody did not take an answer to its end."""
    return "without completing response" not in record.getMessage()
