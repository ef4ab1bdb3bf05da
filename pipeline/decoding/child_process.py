"""One decoding child as its parent sees it: start, ask, kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, BinaryIO, Protocol, cast, runtime_checkable
from weakref import WeakSet

import numpy as np
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from ..machine import left_to_parent
from .messages import (
    SERVER_SECONDS,
    Chunk,
    DecodedVideo,
    DecodeTask,
    failed,
    received_video,
    send_line,
    task_message,
    time_limit,
)
from .shared_frames import SharedFrames

_START_SECONDS = 120.0
_STDERR_TAIL_BYTES = 2000

# Not multiprocessing: its spawn imports the parent's main module, and with it torch, and a daemonic process (a Dask
# worker) may not use it at all.
_PROGRAM = (
    "import os, sys; os.nice({niceness!r}); sys.path[:] = {path!r}; "
    "from {module} import serve; serve({decoder!r}, {memory!r})"
)


_CHILDREN: "WeakSet[ChildProcess]" = WeakSet()


def kill_every_child() -> None:
    """End every decoding process of this one, whoever waits for it: for a command that ends at once."""
    for child in list(_CHILDREN):
        child.kill("the command was ended")


class ChildGoneError(Exception):
    """The child had died before it began with the task."""


@runtime_checkable
class ChunkTaker(Protocol):
    """Where the chunks of videos go."""

    def wait_for_slot(self) -> None:
        """Return as soon as one more chunk can be taken."""
        ...

    def take(self, chunk: Chunk) -> None:
        """Take a chunk, for which there is room."""
        ...


class ChildProcess:
    """A process that decodes one video at a time.

    Args:
        decoder: name of the first one that is asked.
        memory_limit_bytes: what it may allocate.
        niceness: by how much others go before it.
    """

    def __init__(self, decoder: str, memory_limit_bytes: int, niceness: int = 0) -> None:
        self.videos = 0
        """How many it has decoded."""
        self._killed_because = ""
        self._started = 0.0
        self._deadline: float | None = None
        self._left: float | None = None
        self._is_ready = False
        # A file, not a pipe: a decoder that writes and writes must not wait for a reader.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
        self._frames = SharedFrames()
        program = _PROGRAM.format(
            niceness=niceness,
            path=sys.path,
            module=f"{__package__}.child_main",
            decoder=decoder,
            memory=memory_limit_bytes,
        )
        with left_to_parent(signal.SIGINT, signal.SIGTERM):
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=(self._frames.descriptor,),
            )
        _CHILDREN.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether it can be given another video."""
        return self._process.poll() is None and not self._killed_because

    def decode(self, task: DecodeTask, time_limit_seconds: float | None, chunks: ChunkTaker) -> DecodedVideo:
        """Ask for one video and wait; a child that dies meanwhile makes it a failed one.

        Args:
            task: the video.
            time_limit_seconds: wall-clock limit; None: by its duration. Waiting for room takes nothing of it.
            chunks: where its chunks go.

        Raises:
            DecodeError: the child cannot start.
            ChildGoneError: the child had died before it began.
        """
        self._wait_until_ready()
        self._started = time.monotonic()
        self._deadline = self._started + time_limit(time_limit_seconds, 0.0)
        with contextlib.suppress(OSError):
            send_line(self._stdin, task_message(task, time_limit_seconds, self._frames.descriptor))
        if not self._line() and not self._killed_because:
            self.kill("it had died before")
            raise ChildGoneError
        video = self._answer(task, time_limit_seconds, chunks)
        self._deadline = None
        self.videos += 1
        return video or failed(task, self._exit_reason(), time.monotonic() - self._started)

    def kill(self, why: str) -> None:
        """End the process at once, whatever it is doing."""
        self._killed_because = self._killed_because or why
        self._process.kill()

    def kill_if_late(self, now: float) -> None:
        """Kill it if its video has taken longer than it may."""
        deadline = self._deadline
        if deadline is not None and now > deadline:
            self.kill(f"it took longer than its time limit of {deadline - self._started:.0f} s")

    def end(self) -> None:
        """Kill it, wait for it and free what it held."""
        self.kill("it is not needed any more")
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            # What could not be written to a dead child cannot be written on closing either.
            with contextlib.suppress(OSError):
                cast(BinaryIO, stream).close()
        self._frames.close()

    def _wait_until_ready(self) -> None:
        if self._is_ready:
            return
        self._deadline = time.monotonic() + _START_SECONDS
        if not self._line():
            words = self._stderr_tail()
            raise DecodeError(
                f"a decoding process could not start (exit code {self._process.wait()}): {words or 'it said nothing'}"
            )
        self._is_ready = True

    def _answer(
        self, task: DecodeTask, time_limit_seconds: float | None, chunks: ChunkTaker
    ) -> DecodedVideo | None:
        """The video, or None where the child died over it."""
        waiting_since = 0.0
        while line := self._line():
            if "chunk" in line:
                self._forward_chunk(task, line, chunks)
            elif "waits" in line:
                waiting_since = self._count_wait(waiting_since, begins=line["waits"])
            elif "video" in line:
                frames = self._pixels(task, line)
                return None if frames is None else received_video(self._stdout, line, frames)
            else:
                self._deadline = self._started + time_limit(time_limit_seconds, line["duration_seconds"])
        return None

    def _count_wait(self, since: float, *, begins: bool) -> float:
        """Take nothing of the video's time while the child waits for a server. Returns when it began to."""
        now = time.monotonic()
        if begins:
            self._left = None if self._deadline is None else self._deadline - now
            self._deadline = now + SERVER_SECONDS
            return now
        self._started += now - since
        self._deadline = None if self._left is None else now + self._left
        return now

    def _forward_chunk(self, task: DecodeTask, line: dict[str, Any], chunks: ChunkTaker) -> None:
        """Pass a chunk on as soon as there is room, and let the child go on."""
        waiting_since = time.monotonic()
        deadline, self._deadline = self._deadline, None
        chunks.wait_for_slot()
        frames = self._pixels(task, line)
        if frames is None:
            return
        chunks.take(Chunk(task.id, line["chunk"], frames))
        waited = time.monotonic() - waiting_since
        self._started += waited
        self._deadline = deadline and deadline + waited
        with contextlib.suppress(OSError):
            send_line(self._stdin, {"taken": line["chunk"]})

    def _pixels(
        self, task: DecodeTask, line: dict[str, Any]
    ) -> UInt8[np.ndarray, "frame height width 3"] | None:
        """The frames that the child says it has put into the memory."""
        size = task.preprocessing.height, task.preprocessing.width
        frames = self._frames.read((line["num_in_memory"], *size, 3))
        if frames is None:
            self.kill("it gave fewer frames than it said")
        return frames

    def _line(self) -> dict[str, Any] | None:
        line = self._stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    @property
    def _stdin(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdin)

    @property
    def _stdout(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    def _exit_reason(self) -> str:
        """Why the child is dead, in words for the user."""
        code = self._process.wait()
        if self._killed_because:
            return f"decoder stopped: {self._killed_because}"
        if code < 0:
            return f"decoder died (signal {-code})"
        words = self._stderr_tail()
        return f"decoder died (exit code {code}{': ' + words if words else ''})"

    def _stderr_tail(self) -> str:
        """The last line that the child wrote to stderr."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _STDERR_TAIL_BYTES))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
