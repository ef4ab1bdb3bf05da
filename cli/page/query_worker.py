"""One thread that answers queries, those that wait together in one batch: two threads on the same cores would only be
in each other's way, and media are sent meanwhile.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

import torch

from ...data.contracts.errors import TvrError
from ...heads.search.answers import Answer, Wish
from ...heads.search.query_features import QueryText
from ...heads.search.searcher import Searcher
from ...pipeline.machine import usable_cores
from .opened_store import OpenedStore

T = TypeVar("T")

AT_ONCE = 32
"""The most queries of a batch."""
MOST_WAITING = 1024
"""More are refused: who asks so much does not look at the answers."""
TEXTS_KEPT = 2048
"""Encoded texts of which the last ones are kept: people go back, and the player asks for what the search asked."""


class BusyError(TvrError):
    """More queries wait than can be answered soon."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    run: str | None
    text: str
    wish: Wish
    answer: "Future[Answer]" = field(default_factory=lambda: Future[Answer]())


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    do: Callable[[], Any]
    answer: "Future[Any]" = field(default_factory=lambda: Future[Any]())


class QueryWorker:
    """Answers what is asked of a store. A context manager; on leaving it, what still waits is cancelled."""

    def __init__(self, opened: OpenedStore) -> None:
        self._opened = opened
        self._queue: Queue[_Asked | _Task | None] = Queue(MOST_WAITING)
        self._texts: OrderedDict[str, QueryText] = OrderedDict()
        self._ending = Event()
        self._thread = Thread(target=self._work, name="queries", daemon=True)

    def __enter__(self) -> "QueryWorker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for waiting in self._waiting(MOST_WAITING):
            waiting.answer.cancel()
        self._queue.put(None)
        self._thread.join()

    def search(self, run: str | None, text: str, wish: Wish) -> "Future[Answer]":
        """Ask for a text.

        Raises:
            BusyError: too much waits.
        """
        asked = _Asked(run, text, wish)
        self._put(asked)
        return asked.answer

    def do(self, task: Callable[[], T]) -> "Future[T]":
        """Do something else that needs a head or the encoder.

        Raises:
            BusyError: too much waits.
        """
        asked = _Task(task)
        self._put(asked)
        return asked.answer

    async def done(self, task: Callable[[], T]) -> T:
        """The same for routes, which wait for it.

        Raises:
            BusyError: too much waits.
        """
        return await asyncio.wrap_future(self.do(task))

    def kept(self, text: str) -> QueryText | None:
        """A text that was encoded lately; None of any other. For every thread."""
        return self._texts.get(text)

    def encoded(self, texts: Sequence[str]) -> list[QueryText]:
        """Texts as the encoder reads them; for tasks in the thread."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            self._texts.update(zip(new, self._opened.queries.of_texts(new), strict=True))
        for text in texts:
            self._texts.move_to_end(text)
        found = [self._texts[text] for text in texts]
        while len(self._texts) > TEXTS_KEPT:
            self._texts.popitem(last=False)
        return found

    def _put(self, asked: _Asked | _Task) -> None:
        try:
            self._queue.put_nowait(asked)
        except Full:
            raise BusyError("too many queries wait for an answer; ask again in a moment") from None

    def _work(self) -> None:
        """Queries before all else: nobody sees anything until they are answered, and a task is done meanwhile."""
        tasks: deque[_Task] = deque()
        with _half_the_cores():
            while not self._ending.is_set():
                if tasks:
                    batch = self._waiting(AT_ONCE)
                elif (first := self._queue.get()) is not None:
                    batch = [first, *self._waiting(AT_ONCE - 1)]
                else:
                    break
                tasks.extend(one for one in batch if isinstance(one, _Task))
                asked = [one for one in batch if isinstance(one, _Asked)]
                for run in dict.fromkeys(one.run for one in asked):
                    self._answer(run, [one for one in asked if one.run == run])
                if tasks:
                    task = tasks.popleft()
                    _settle([task.answer], lambda task=task: [task.do()])
        for task in tasks:
            task.answer.cancel()

    def _waiting(self, most: int) -> list[_Asked | _Task]:
        """What waits now, up to a sentinel, which is put back."""
        found: list[_Asked | _Task] = []
        while len(found) < most:
            try:
                asked = self._queue.get_nowait()
            except Empty:
                break
            if asked is None:
                self._queue.put(None)
                break
            found.append(asked)
        return found

    def _answer(self, run: str | None, asked: Sequence[_Asked]) -> None:
        def answers() -> list[Answer]:
            searcher: Searcher = self._opened.searcher(run)
            return searcher.by_texts(self.encoded([one.text for one in asked]), [one.wish for one in asked])

        if not _settle([one.answer for one in asked], answers, alone=len(asked) == 1):
            # One query that cannot be answered takes nobody else's answer away.
            for one in asked:
                self._answer(run, [one])


@contextmanager
def _half_the_cores() -> Generator[None]:
    """What is computed meanwhile takes half of the cores: what is shared among all of them waits for the last one, and
    that one is sending or decoding a picture."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, len(usable_cores()) // 2)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settle(
    futures: Sequence["Future[Any]"], answers: Callable[[], Sequence[Any]], *, alone: bool = True
) -> bool:
    """Give each its answer, or the error; whether they are settled. Not alone, an error is left to be told each."""
    try:
        found = answers()
    except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to whoever asked
        if alone:
            why = error
            _give(futures, lambda future, _: future.set_exception(why))
        return alone
    _give(futures, lambda future, place: future.set_result(found[place]))
    return True


def _give(futures: Sequence["Future[Any]"], give: Callable[["Future[Any]", int], None]) -> None:
    for place, future in enumerate(futures):
        if future.set_running_or_notify_cancel():
            give(future, place)
