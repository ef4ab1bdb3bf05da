"""Decoding in killable child processes: THE door to every frame.

A decoder can crash, hang with the interpreter lock held, or eat memory; none of that may reach the process that owns
the features. So each child decodes one video at a time and the parent can kill it: that costs one video.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from types import TracebackType

import numpy as np

from ...data.contracts.errors import DecodeError, UsageError, unknown_name
from ...data.contracts.open_files import allow_open_files
from ...data.contracts.plug_ins import load_plug_in, plug_in_names
from ..decoders.base import DEFAULT_DECODER, FORMER_DECODER
from .child_process import ChildGoneError, ChildProcess
from .messages import Chunk as Chunk
from .messages import DecodedVideo as DecodedVideo
from .messages import DecodeTask as DecodeTask

_GIBIBYTE = 1 << 30
_WATCH_SECONDS = 0.1
_STARTS = 3
_WAITING_CHUNKS = 2
"""Chunks in the parent that nobody has taken; further ones wait in their children."""

MAX_AHEAD_BYTES = 1 << 29
"""Of decoded frames that wait for the turn of their video."""


class DecoderPool:
    """Children that decode videos. A context manager; on leaving it, no child is left.

    Args:
        num_children: processes, each on one thread of a core.
        decoder: plug-in that decodes first; PyAV takes over where it fails, is in doubt, or is not installed.
        time_limit_seconds: wall-clock limit of one video; None: at least 30 s and twice its duration.
        memory_limit_bytes: what one child may allocate for a video (enforced on Linux).
        recycle_after: videos after which a child is replaced, because decoders leak.
        niceness: by how much other processes go before the children.

    Raises:
        UsageError: no decoder has that name, or a number is not positive.
    """

    def __init__(
        self,
        num_children: int,
        decoder: str = DEFAULT_DECODER,
        time_limit_seconds: float | None = None,
        memory_limit_bytes: int = 4 * _GIBIBYTE,
        recycle_after: int = 500,
        niceness: int = 0,
    ) -> None:
        known = plug_in_names("tvr.pipeline.decoders")
        if decoder not in known:
            raise UsageError(unknown_name("--decoder", decoder, known))
        if decoder != FORMER_DECODER and (why := load_plug_in("tvr.pipeline.decoders", decoder).available()):
            raise UsageError(f"--decoder {decoder}: {why}. Leave the option out, and others take its place")
        if min(num_children, memory_limit_bytes, recycle_after, time_limit_seconds or 1) <= 0:
            raise UsageError(
                "num_children, time_limit_seconds, memory_limit_bytes and recycle_after must be positive, got "
                f"{num_children}, {time_limit_seconds}, {memory_limit_bytes} and {recycle_after}"
            )
        allow_open_files()
        self.decoder = decoder
        """The plug-in that decodes first."""
        self._time_limit_seconds = time_limit_seconds
        self._memory_limit_bytes = memory_limit_bytes
        self._recycle_after = recycle_after
        self._niceness = niceness
        self._num_children = num_children
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
        """The videos in the order of the tasks, each with all of its frames: not for hours of video.

        A bad file is a record with a reason, never an exception.

        Raises:
            DecodeError: a child cannot start at all; the message holds what it wrote.
        """
        chunks: dict[str, list[Chunk]] = {}
        for given in self.stream(tasks):
            if isinstance(given, Chunk):
                chunks[given.video_id] = [*chunks.get(given.video_id, [])[: given.number], given]
            else:
                yield _whole(given, chunks.pop(given.id, []))

    def stream(self, tasks: Iterable[DecodeTask]) -> Iterator[Chunk | DecodedVideo]:
        """Chunks of videos as they come, and the videos in the order of the tasks, each after its own chunks.

        So no video is ever in memory as a whole, and a long one delays no other. Children whose frames are not
        taken wait: what is decoded ahead stays below ``MAX_AHEAD_BYTES`` or, if that is more, a chunk a child.

        Args:
            tasks: with different ids.

        Raises:
            DecodeError: a child cannot start at all (the message holds what it wrote), or the pool was closed.
        """
        pending: deque[_PendingVideo] = deque()
        coming, results = iter(tasks), _ResultQueue()
        try:
            self._begin_more(pending, coming, results)
            while pending:
                given = results.get()
                if isinstance(given, Chunk):
                    yield given
                    results.release_slot()
                    continue
                given.finish()
                while pending and pending[0].is_finished:
                    video = pending.popleft().future.result()
                    self._begin_more(pending, coming, results)
                    yield video
        finally:
            results.close()
            for begun in pending:
                begun.future.cancel()

    def _begin_more(
        self, pending: "deque[_PendingVideo]", coming: Iterator[DecodeTask], results: "_ResultQueue"
    ) -> None:
        """Begin with the next videos, as long as not too many wait for their turn."""
        while len(pending) < self._num_children or (
            len(pending) <= 2 * self._num_children
            and sum(video.num_bytes for video in pending) < MAX_AHEAD_BYTES
        ):
            task = next(coming, None)
            if task is None:
                return
            video = _PendingVideo(self._threads.submit(self._decode, task, results), _chunk_bytes(task))
            pending.append(video)
            video.future.add_done_callback(partial(results.announce, video))

    def _decode(self, task: DecodeTask, results: "_ResultQueue") -> DecodedVideo:
        for _ in range(_STARTS):
            child = self._taken()
            try:
                video = child.decode(task, self._time_limit_seconds, results)
                # A child that was killed because nobody wants its video any more says nothing about the video.
                self._refuse_when_closed()
                return video
            except ChildGoneError:
                continue  # It died while it was idle, which is not this video's fault.
            except DecodeError:
                self._refuse_when_closed()  # nor can one start that was killed meanwhile
                raise
            finally:
                self._put_back(child)
        raise DecodeError(f"{_STARTS} decoding processes in a row died before they began with {task.path}")

    def _taken(self) -> ChildProcess:
        with self._lock:
            self._refuse_when_closed()
            if self._idle:
                return self._idle.pop()
            child = ChildProcess(self.decoder, self._memory_limit_bytes, self._niceness)
            self._children.add(child)
        return child

    def _refuse_when_closed(self) -> None:
        if self._closed.is_set():
            raise DecodeError("the decoder pool was closed")

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


@dataclass(eq=False)
class _PendingVideo:
    """A video that has been begun and not yet been given out."""

    future: Future[DecodedVideo]
    num_bytes: int
    """Of the frames that it holds; before it is finished, that it may come to hold."""
    is_finished: bool = False

    def finish(self) -> None:
        """Its last chunk has been given out."""
        self.is_finished = True
        self.num_bytes = self.future.result().frames.nbytes


class _ResultQueue:
    """What children have decoded, in the order in which it came. Implements ``ChunkTaker``."""

    def __init__(self) -> None:
        self._slots = threading.Semaphore(_WAITING_CHUNKS)
        self._is_closed = threading.Event()
        self._given: SimpleQueue[Chunk | _PendingVideo] = SimpleQueue()

    def wait_for_slot(self) -> None:
        while not self._slots.acquire(timeout=_WATCH_SECONDS) and not self._is_closed.is_set():
            pass

    def take(self, chunk: Chunk) -> None:
        self._given.put(chunk)

    def announce(self, video: _PendingVideo, future: Future[DecodedVideo]) -> None:
        """That video is done."""
        self._given.put(video)

    def get(self) -> Chunk | _PendingVideo:
        """Whatever comes next."""
        return self._given.get()

    def release_slot(self) -> None:
        """A chunk is not needed any more."""
        self._slots.release()

    def close(self) -> None:
        """Nobody takes anything any more: let no child wait."""
        self._is_closed.set()


def _whole(video: DecodedVideo, chunks: list[Chunk]) -> DecodedVideo:
    """The video with the frames of its chunks."""
    if not video.num_chunks:
        return video
    frames = [chunk.frames for chunk in chunks[: video.num_chunks]]
    return replace(video, frames=np.concatenate([*frames, video.frames]), num_chunks=0)


def _chunk_bytes(task: DecodeTask) -> int:
    return task.frames_per_chunk * task.preprocessing.height * task.preprocessing.width * 3
