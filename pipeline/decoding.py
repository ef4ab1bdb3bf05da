"""Decoding in killable child processes: THE door to every frame.

A decoder can crash, hang with the interpreter lock held, or eat memory; none of that may reach the process that owns
the features. So each child decodes one video at a time and the parent can kill it: that costs one video.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from ..data.contracts.errors import DecodeError, UsageError, unknown_name
from ..data.contracts.plug_ins import plug_in_names
from .child_process import ChildGoneError, ChildProcess
from .decoded import DecodedVideo as DecodedVideo
from .decoded import DecodeTask as DecodeTask

_GIBIBYTE = 1 << 30
_WATCH_SECONDS = 0.1
_STARTS = 3


class DecoderPool:
    """Children that decode videos. A context manager; on leaving it, no child is left.

    Args:
        num_children: processes, each on one thread of a core.
        decoder: plug-in that decodes first; PyAV takes over where it fails, is in doubt, or is not installed.
        time_limit_seconds: wall-clock limit of one video; None: at least 30 s and twice its duration.
        memory_limit_bytes: what one child may allocate for a video (enforced on Linux).
        recycle_after: videos after which a child is replaced, because decoders leak.

    Raises:
        UsageError: no decoder has that name, or a number is not positive.
    """

    def __init__(
        self,
        num_children: int,
        decoder: str = "decord",
        time_limit_seconds: float | None = None,
        memory_limit_bytes: int = 4 * _GIBIBYTE,
        recycle_after: int = 500,
    ) -> None:
        known = plug_in_names("tvr.pipeline.decoders")
        if decoder not in known:
            raise UsageError(unknown_name("decoder", decoder, known))
        if min(num_children, memory_limit_bytes, recycle_after, time_limit_seconds or 1) <= 0:
            raise UsageError(
                "num_children, time_limit_seconds, memory_limit_bytes and recycle_after must be positive, got "
                f"{num_children}, {time_limit_seconds}, {memory_limit_bytes} and {recycle_after}"
            )
        self._decoder = decoder
        self._time_limit_seconds = time_limit_seconds
        self._memory_limit_bytes = memory_limit_bytes
        self._recycle_after = recycle_after
        self._look_ahead = 2 * num_children
        self._threads = ThreadPoolExecutor(num_children, thread_name_prefix="decoding")
        self._lock = threading.Lock()
        self._idle: list[ChildProcess] = []
        self._children: set[ChildProcess] = set()
        self._closed = threading.Event()
        threading.Thread(target=self._keep_time, name="decoding time limit", daemon=True).start()

    def __enter__(self) -> "DecoderPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill every child, busy or not."""
        self._closed.set()
        with self._lock:
            children = list(self._children)
        for child in children:
            child.kill("the pool was closed")
        self._threads.shutdown(wait=True, cancel_futures=True)
        for child in children:
            child.end()

    def decode(self, tasks: Iterable[DecodeTask]) -> Iterator[DecodedVideo]:
        """The videos in the order of the tasks; a bad file is a record with a reason, never an exception.

        At most twice as many videos as there are children are decoded ahead of the one that is taken.

        Raises:
            DecodeError: a child cannot start at all; the message holds what it wrote.
        """
        pending: deque[Future[DecodedVideo]] = deque()
        try:
            for task in tasks:
                pending.append(self._threads.submit(self._decode, task))
                if len(pending) > self._look_ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _decode(self, task: DecodeTask) -> DecodedVideo:
        for _ in range(_STARTS):
            child = self._taken()
            try:
                return child.decode(task, self._time_limit_seconds)
            except ChildGoneError:
                continue  # It died while it was idle, which is not this video's fault.
            finally:
                self._put_back(child)
        raise DecodeError(f"{_STARTS} decoding processes in a row died before they began with {task.path}")

    def _taken(self) -> ChildProcess:
        with self._lock:
            if self._closed.is_set():
                raise DecodeError("the decoder pool was closed")
            if self._idle:
                return self._idle.pop()
            child = ChildProcess(self._decoder, self._memory_limit_bytes)
            self._children.add(child)
        return child

    def _put_back(self, child: ChildProcess) -> None:
        with self._lock:
            if child.is_alive and child.videos < self._recycle_after and not self._closed.is_set():
                self._idle.append(child)
                return
            self._children.discard(child)
        child.end()

    def _keep_time(self) -> None:
        while not self._closed.wait(_WATCH_SECONDS):
            with self._lock:
                children = list(self._children)
            for child in children:
                child.kill_if_late(time.monotonic())
