"""An open file as an HTTP answer, whole or a range of it (RFC 9110, section 14): how players seek."""

import os
import re
from email.utils import formatdate
from typing import NamedTuple

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .files import OpenFile

_PIECE_BYTES = 1 << 18
_RANGE = re.compile(r"bytes=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*")


class ByteRange(NamedTuple):
    """Bytes of a file, the last one included."""

    first: int
    last: int


class UnsatisfiableError(Exception):
    """A range that begins behind the end of the file."""


class FileAnswer(Response):
    """Sends an open file, and closes it.

    Args:
        request: GET or HEAD, with what it says of ranges and of what it knows already.
        opened: the file, which is closed when the answer has been sent, or nobody takes it.
        media_type: of its content.
    """

    def __init__(self, request: Request, opened: OpenFile, media_type: str) -> None:
        self._opened = opened
        self._part: ByteRange | None = None
        status, size = 200, opened.bytes
        etag = f'"{opened.facts[1]:x}-{opened.begins_at:x}-{size:x}-{opened.facts[3]:x}"'
        modified = formatdate(opened.facts[3] // 1_000_000_000, usegmt=True)
        headers = {
            "accept-ranges": "bytes",
            "cache-control": "private, no-cache",
            "etag": etag,
            "last-modified": modified,
        }
        try:
            if etag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
                status = 304
            elif request.headers.get("if-range", etag) in (etag, modified):
                self._part = asked_range(request.headers.get("range", ""), size)
        except UnsatisfiableError:
            status, headers["content-range"] = 416, f"bytes */{size}"
        if self._part is not None:
            status, headers["content-range"] = 206, f"bytes {self._part.first}-{self._part.last}/{size}"
        if status == 200:
            self._part = ByteRange(0, size - 1)
        if status != 304:
            headers["content-length"] = str(self._part.last - self._part.first + 1 if self._part else 0)
        super().__init__(None, status, {"content-type": media_type, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, piece by piece, as somebody takes it."""
        with self._opened:
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            if self._part is not None and scope["method"] != "HEAD":
                await self._send_part(self._part, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_part(self, part: ByteRange, send: Send) -> None:
        descriptor, at = self._opened.file.fileno(), part.first
        while at <= part.last:
            count = min(_PIECE_BYTES, part.last + 1 - at)
            place = self._opened.begins_at + at
            piece = await anyio.to_thread.run_sync(os.pread, descriptor, count, place)
            if not piece:
                return  # it was cut short meanwhile
            at += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})


def asked_range(header: str, size: int) -> ByteRange | None:
    """The range that a ``Range`` header asks for; None where the whole is sent: it asks for several, or is none.

    Raises:
        UnsatisfiableError: there are no such bytes.
    """
    found = _RANGE.fullmatch(header)
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
        if found[2] and int(found[2]) < first:
            return None
    if first >= size:
        raise UnsatisfiableError
    return ByteRange(first, last)
