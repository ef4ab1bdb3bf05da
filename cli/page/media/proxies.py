"""Proxies: what browsers do not play, written once as what they do, and kept in a folder of bounded size.

``<folder>/<file>/<from>-<until>-<begins>-<ends>.mp4``: which file it was (its place, length and time), the span that
was asked for in seconds, and the one that is in it in microseconds. A proxy gets its name when it is whole, so any file
of that form is one, whoever made it; the one that nobody has played for longest goes first.
"""

import hashlib
import os
import re
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from .files import MediaError, OpenFile, opened_file
from .probing import MP4_TYPE, WEBM_TYPE
from .processes import MediaProcesses

MARGIN_SECONDS = 5
"""Before and behind a span, so that who looks around it needs no other proxy."""
LONGEST_SECONDS = 180
"""Of one proxy. Encoding an hour would keep everybody waiting; who plays on asks for the next part."""
_RULES = 1
"""Who changes how proxies are made raises it: those that were made before are not taken any more."""
_ENDINGS = {MP4_TYPE: ".mp4", WEBM_TYPE: ".webm"}
_TYPES = {ending: kind for kind, ending in _ENDINGS.items()}
_NAME = re.compile(r"(\d{1,9})-(\d{1,9})-(\d{1,15})-(\d{1,15})(\.mp4|\.webm)")
_MOST_WAITING = 64
_MOST_FAILURES = 10_000
_FAILED_SECONDS = 300.0
"""Until it is tried again by itself: a disk may have room by then, and a machine time."""
_LEFT_OVER_SECONDS = 24 * 3600.0
"""After which what a server that was killed had begun is removed."""
_MICRO = 1e6
_BEGUN = "making-"


@dataclass(frozen=True, slots=True)
class Window:
    """Whole seconds of a file that a proxy is asked to hold."""

    begin: float
    end: float

    @classmethod
    def around(cls, start: float, end: float | None) -> "Window":
        """A span and its margin, no longer than a proxy may be."""
        begin = max(0, int(start) - MARGIN_SECONDS)
        until = begin + LONGEST_SECONDS
        if end is not None:
            until = min(until, max(begin + 1, int(end) + 1 + MARGIN_SECONDS))
        return cls(float(begin), float(until))

    def holds(self, start: float, end: float | None) -> bool:
        """Whether a span lies within, or all of it that a proxy may be long."""
        longest = start + LONGEST_SECONDS - 2 * MARGIN_SECONDS
        return self.begin <= start and (longest if end is None else min(end, longest)) <= self.end


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that is there."""

    path: Path
    window: Window
    type: str
    begins_at: float
    """The second of the source at which it begins."""
    ends_at: float


class Proxies:
    """The proxies of a folder, and those that are being made.

    Args:
        folder: where they are kept; made when the first one is.
        most_bytes: how much they may take together.
        processes: which open files.
        makers: how many of them make proxies at a time.
    """

    def __init__(self, folder: Path, most_bytes: int, processes: MediaProcesses, makers: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._processes = processes
        self._threads = ThreadPoolExecutor(makers, thread_name_prefix="proxies")
        self._lock = threading.Lock()
        self._making: dict[tuple[str, Window], Future[None]] = {}
        self._failed: OrderedDict[tuple[str, Window], tuple[float, str]] = OrderedDict()

    def close(self) -> None:
        """Begin no more, and wait for those that are being made: who ends the processes first waits for none."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def found(self, opened: OpenFile, start: float, end: float | None) -> Proxy | None:
        """The proxy that was asked for by exactly this window, else any that holds the span."""
        there = list(self._there(_key(opened)))
        exact = next((each for each in there if (each.window.begin, each.window.end) == (start, end)), None)
        return exact or next((each for each in there if each.window.holds(start, end)), None)

    def asked(self, opened: OpenFile, window: Window, *, copy: bool, again: bool = False) -> str:
        """See that a proxy is made.

        Args:
            opened: the file; it may be closed afterwards.
            window: what of it.
            copy: whether packets are copied where that is possible.
            again: whether to try it although it has just failed.

        Returns:
            Why it cannot be made; empty: it is being made, or is there by now.
        """
        place = _key(opened), window
        with self._lock:
            failed_at, reason = self._failed.get(place, (-float("inf"), ""))
            if not again and time.monotonic() - failed_at < _FAILED_SECONDS:
                return reason
            self._failed.pop(place, None)
            if place in self._making or len(self._making) >= _MOST_WAITING:
                return ""
            own = OpenFile(os.fdopen(os.dup(opened.file.fileno()), "rb", 0), opened.path, opened.facts)
            future = self._threads.submit(self._make, own, window, copy=copy)
            self._making[place] = future
        future.add_done_callback(partial(self._made, place, own))
        return ""

    def opened(self, proxy: Proxy) -> OpenFile:
        """The file of a proxy; whoever is asked for most stays.

        Raises:
            MediaError: it has just gone.
        """
        try:
            opened = opened_file(proxy.path)
        except OSError as error:
            raise MediaError(
                f"its proxy cannot be read ({error.strerror or error}). Ask for it again"
            ) from None
        with suppress(OSError):  # in a workspace that is only read nothing is removed either
            os.utime(opened.file.fileno())
        return opened

    def _make(self, opened: OpenFile, window: Window, *, copy: bool) -> None:
        folder = self._folder / _key(opened)
        if any(proxy.window == window for proxy in self._there(folder.name)):
            return  # it came while somebody asked
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=_BEGUN, dir=self._folder) as making:
            target = Path(making, "proxy")
            span = {"begin": window.begin, "end": window.end, "copy": copy, "target": str(target)}
            made = self._processes.ask(opened, span, _limit_seconds(window))
            inside = round(made["begins_at"] * _MICRO), round(made["ends_at"] * _MICRO)
            name = f"{window.begin:.0f}-{window.end:.0f}-{inside[0]}-{inside[1]}{_ENDINGS[made['type']]}"
            folder.mkdir(exist_ok=True)
            target.replace(folder / name)
        self._evict(folder / name)

    def _made(self, place: tuple[str, Window], opened: OpenFile, future: Future[None]) -> None:
        opened.file.close()
        with self._lock:
            del self._making[place]
            if future.cancelled() or (error := future.exception()) is None:
                return
            reason = str(error)
            if isinstance(error, OSError):
                reason = f"the copy that browsers play cannot be written ({error.strerror or error})"
            self._failed[place] = time.monotonic(), reason
            if len(self._failed) > _MOST_FAILURES:
                self._failed.popitem(last=False)

    def _there(self, key: str) -> Iterator[Proxy]:
        with suppress(OSError):  # who makes one tells what is wrong with the folder
            for path in sorted((self._folder / key).iterdir()):
                if found := _NAME.fullmatch(path.name):
                    begin, end, begins_at, ends_at = (int(found[group]) for group in range(1, 5))
                    window, inside = Window(float(begin), float(end)), (begins_at / _MICRO, ends_at / _MICRO)
                    yield Proxy(path, window, _TYPES[found[5]], *inside)

    def _evict(self, newest: Path) -> None:
        """Remove proxies until the others have room, those first that nobody has played for longest."""
        there: list[tuple[int, int, Path]] = []
        for folder in self._folder.iterdir():
            with suppress(OSError):  # another server has removed it
                if folder.name.startswith(_BEGUN):
                    _remove_if_left_over(folder)
                    continue
                for path in folder.iterdir():
                    facts = path.stat()
                    if _NAME.fullmatch(path.name):
                        there.append((facts.st_mtime_ns, facts.st_size, path))
        left = sum(size for _, size, _ in there)
        for _, size, path in sorted(there):
            if left <= self._most_bytes:
                return
            if path != newest:
                with suppress(OSError):  # another server has removed it, or its folder holds others
                    left -= size
                    path.unlink()
                    path.parent.rmdir()


def _remove_if_left_over(folder: Path) -> None:
    if time.time() - folder.stat().st_mtime > _LEFT_OVER_SECONDS:
        shutil.rmtree(folder, ignore_errors=True)


def _key(opened: OpenFile) -> str:
    """Which file it is a proxy of, by which rules."""
    words = f"{_RULES}\n{opened.path.absolute()}\n{opened.facts[2]}\n{opened.facts[3]}"
    return hashlib.blake2b(os.fsencode(words), digest_size=12).hexdigest()


def _limit_seconds(window: Window) -> float:
    """How long making it may take: a file whose frames have to be counted is decoded from its beginning."""
    return 120.0 + 6.0 * (window.end - window.begin) + 0.25 * window.begin
