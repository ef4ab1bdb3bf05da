"""People in front of the page, as far as a server sees them: each types, looks at what was found, and plays a hit."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

TOP = 12
CONNECTIONS = 6
"""That a browser opens to one server."""
FIRST_BYTES = 1 << 16
"""Of a span: what is asked for before anything is shown."""
HEIGHT = 180
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Thinking:
    """Seconds, from and to, of which each person takes some by chance."""

    typing: tuple[float, float]
    """Before each query."""
    looking: tuple[float, float]
    """At what was found, before a hit is clicked."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server."""

    what: str
    status: int
    """0: none came."""
    body: bytes
    seconds: float
    """From the request to the last byte."""


@dataclass(slots=True)
class Visit:
    """One query, and what was looked at of its answer."""

    text: str
    search: dict[str, Any] = field(default_factory=dict[str, Any])
    thumbnails: dict[tuple[int, float], bytes] = field(default_factory=dict[tuple[int, float], bytes])
    """By video and second."""
    opened: int | None = None
    """The video that was clicked."""
    alignment: dict[str, Any] = field(default_factory=dict[str, Any])
    span: bytes = b""
    """Its first bytes."""
    replies: list[Reply] = field(default_factory=list[Reply])
    first_bytes_seconds: float | None = None
    """From the click to the first bytes of what plays."""


class Browser:
    """A few connections that stay open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mine = threading.local()
        self._opened: list[HTTPConnection] = []
        self._threads = ThreadPoolExecutor(CONNECTIONS)

    def get(self, what: str, path: str, query: Mapping[str, Any], **headers: str) -> "Future[Reply]":
        """Ask as soon as a connection is free; waiting for one counts."""
        asked = time.perf_counter()
        return self._threads.submit(self._get, what, f"{path}?{urlencode(query)}", headers, asked)

    def close(self) -> None:
        """End its threads and their connections."""
        self._threads.shutdown()
        for connection in self._opened:
            connection.close()

    def _get(self, what: str, address: str, headers: Mapping[str, str], asked: float) -> Reply:
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
            self._mine.connection = connection
            self._opened.append(connection)
        try:
            connection.request("GET", address, headers=dict(headers))
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        except (OSError, HTTPException) as error:
            connection.close()
            status, body = 0, repr(error).encode()
        return Reply(what, status, body, time.perf_counter() - asked)


def visits(port: int, texts: Sequence[str], people: int, thinking: Thinking | None) -> list[Visit]:
    """Everything that so many people did until every text was looked for once.

    Args:
        port: of the server.
        texts: each for one of them.
        people: at once.
        thinking: None: nobody thinks, and each asks on as soon as the last answer is there.
    """
    left, lock, done = iter(texts), threading.Lock(), list[Visit]()
    threads = [
        threading.Thread(target=_person, args=(port, _shared(left, lock), thinking, number, done.append))
        for number in range(people)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def _shared(left: Iterator[str], lock: threading.Lock) -> Callable[[], str | None]:
    def following() -> str | None:
        with lock:
            return next(left, None)

    return following


def _person(
    port: int,
    following: Callable[[], str | None],
    thinking: Thinking | None,
    number: int,
    keep: Callable[[Visit], None],
) -> None:
    browser, chance = Browser(port), random.Random(number)
    while (text := following()) is not None:
        visit = Visit(text)
        if thinking:
            time.sleep(chance.uniform(*thinking.typing))
        _look_for(browser, visit)
        if thinking:
            time.sleep(chance.uniform(*thinking.looking))
        if hits := visit.search.get("hits"):
            _open(browser, visit, chance.choice(hits))
        keep(visit)
    browser.close()


def _look_for(browser: Browser, visit: Visit) -> None:
    reply = browser.get("search", "/api/search", {"q": visit.text, "top": TOP}).result()
    visit.replies.append(reply)
    if reply.status != 200:
        return
    visit.search = json.loads(reply.body)
    asked = {
        (hit["video"], hit["moment"]["frame_seconds"]): browser.get(
            "thumbnail",
            f"/api/videos/{hit['video']}/frame",
            {"seconds": hit["moment"]["frame_seconds"], "height": HEIGHT},
        )
        for hit in visit.search["hits"]
    }
    for place, future in asked.items():
        reply = future.result()
        visit.replies.append(reply)
        if reply.status == 200:
            visit.thumbnails[place] = reply.body


def _open(browser: Browser, visit: Visit, hit: Mapping[str, Any]) -> None:
    """Both at once: the curves under the player, and what is played."""
    number, moment = hit["video"], hit["moment"]
    visit.opened = number
    near = {"q": visit.text, "near": moment["frame_seconds"]}
    started = time.perf_counter()
    aligned = browser.get("alignment", f"/api/videos/{number}/alignment", near)
    span = {"start": moment["start_seconds"], "end": moment["end_seconds"]}
    playable = browser.get("playable", f"/api/videos/{number}/playable", span).result()
    visit.replies.append(playable)
    found = json.loads(playable.body) if playable.status == 200 else {}
    if found.get("state") == "ready":
        path, _, query = str(found["url"]).partition("?")
        window = dict(one.split("=") for one in query.split("&") if one)
        bytes_ = browser.get("media", path, window, Range=f"bytes=0-{FIRST_BYTES - 1}").result()
        visit.replies.append(bytes_)
        if bytes_.status == 206:
            visit.span = bytes_.body
            visit.first_bytes_seconds = time.perf_counter() - started
    reply = aligned.result()
    visit.replies.append(reply)
    if reply.status == 200:
        visit.alignment = json.loads(reply.body)
