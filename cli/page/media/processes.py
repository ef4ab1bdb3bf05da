"""The processes in which files are opened for the page, as their parent sees them: start, ask, kill."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from ....data.sources.tar_member import TarMember
from ....pipeline.machine import left_to_parent
from .files import MediaError, OpenFile

NICENESS = 5
"""Of all processes that open files: pictures come after the answer that they illustrate."""
_START_SECONDS = 120.0
_GIBIBYTE = 1 << 30
_MOST_SUFFIX = 16
# As for decoding: the parent's paths, without importing its main module.
_PROGRAM = (
    "import os, sys; os.nice({niceness}); sys.path[:] = {path!r}; "
    "from {module} import serve_media; serve_media({channel}, {memory})"
)


class MediaProcesses:
    """Processes that open files, so many at a time, started when they are needed.

    Args:
        most: how many there may be; who asks for one more waits.
        memory_limit_bytes: what each may allocate (enforced on Linux).
    """

    def __init__(self, most: int, memory_limit_bytes: int = 2 * _GIBIBYTE) -> None:
        self._free = threading.Semaphore(most)
        self._memory_limit_bytes = memory_limit_bytes
        self._names = TemporaryDirectory(prefix="tvr-media-")
        self._lock = threading.Lock()
        self._idle: list[_MediaProcess] = []
        self._all: set[_MediaProcess] = set()
        self._closed = False

    def ask(self, opened: OpenFile, request: Mapping[str, Any], limit_seconds: float) -> dict[str, Any]:
        """What a process says of a file.

        Args:
            opened: the file.
            request: ``target`` None: look at it. Else where to write a proxy, and ``begin``, ``end`` and ``copy``.
            limit_seconds: how long it may take; then the process is killed.

        Raises:
            MediaError: it cannot be done; the message is the reason.
        """
        suffix = opened.path.suffix
        plain = suffix if suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= _MOST_SUFFIX else ""
        names: dict[str, Any] = {"folder": self._names.name, "suffix": plain}
        if isinstance(opened.path, TarMember):
            names["stretch"] = opened.begins_at, opened.bytes
        line = {**request, **names, "limit_seconds": limit_seconds}
        with self._free, self._taken() as process:
            answer = process.ask(opened.file.fileno(), line, limit_seconds)
        if "failed" in answer:
            raise MediaError(answer["failed"])
        return answer

    def close(self) -> None:
        """Kill every process, busy or not."""
        with self._lock:
            self._closed = True
            processes = list(self._all)
        for process in processes:
            process.end()
        self._names.cleanup()

    @contextmanager
    def _taken(self) -> "Generator[_MediaProcess]":
        with self._lock:
            if self._closed:
                raise MediaError("the server is ending")
            process = self._idle.pop() if self._idle else _MediaProcess(self._memory_limit_bytes)
            self._all.add(process)
        try:
            yield process
        finally:
            with self._lock:
                if process.is_alive and not self._closed:
                    self._idle.append(process)
                else:
                    self._all.discard(process)
                    process.end()


class _MediaProcess:
    def __init__(self, memory_limit_bytes: int) -> None:
        self._channel, theirs = socket.socketpair()
        program = _PROGRAM.format(
            niceness=NICENESS,
            path=sys.path,
            module=f"{__package__}.child",
            channel=theirs.fileno(),
            memory=memory_limit_bytes,
        )
        with theirs, left_to_parent(signal.SIGINT, signal.SIGTERM):
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._is_ready = False
        self._is_over = False

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked again."""
        return not self._is_over and self._process.poll() is None

    def ask(self, descriptor: int, request: Mapping[str, Any], limit_seconds: float) -> dict[str, Any]:
        """Its answer, or ``failed`` with why there is none."""
        try:
            if not self._is_ready and self._line(_START_SECONDS) is None:
                return self._gone("the process that opens files did not start")
            self._is_ready = True
            socket.send_fds(self._channel, [json.dumps(request).encode()], [descriptor])
            answer = self._line(limit_seconds)
        except TimeoutError:
            return self._gone(f"it took longer than its time limit of {limit_seconds:.0f} s")
        except OSError:
            answer = None
        if answer is None:
            return self._gone("")
        self._is_over = bool(answer.pop("ends", False))
        return answer

    def end(self) -> None:
        """Kill it and wait for it."""
        self._is_over = True
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _line(self, limit_seconds: float) -> dict[str, Any] | None:
        """One line; None where it ends before."""
        until, received = time.monotonic() + limit_seconds, b""
        while not received.endswith(b"\n"):
            self._channel.settimeout(max(1e-3, until - time.monotonic()))
            piece = self._channel.recv(65536)
            if not piece:
                return None
            received += piece
        return json.loads(received)

    def _gone(self, why: str) -> dict[str, Any]:
        self._is_over = True
        if not why:
            code = self._process.wait()
            why = f"whoever opens it dies ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
        return {"failed": why}
