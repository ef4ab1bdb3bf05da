"""The process in which videos are decoded: reads tasks from stdin, answers on stdout, and can be killed at any time.

It imports neither torch nor anything of ``heads``. It ends when its stdin ends, so also when its parent is killed.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ...data.contracts.identity import FileIdentity
from ...data.contracts.plug_ins import load_plug_in
from ...data.sources.fetching import tell_of_waits
from ..decoders.base import Decoder
from ..video.container import UNREADABLE, unreadable_because
from .decode_video import Watch, decode_video
from .forecast import claimed_duration, forecast
from .messages import (
    SERVER_SECONDS,
    DecodedVideo,
    DecodeTask,
    failed,
    send_line,
    send_video,
    task_of,
    time_limit,
)
from .shared_frames import FrameWriter

_ORPHAN_SECONDS = 30.0
_MAX_ERROR_BYTES = 64 * 1024
# swscale warns of the name by which a full-range pixel format is called.
_HARMLESS = ("[swscaler @",)


def serve(decoder: str, memory_limit_bytes: int) -> None:
    """Decode what stdin asks for until it ends."""
    # Whoever prints to stdout, prints to stderr: stdout itself belongs to the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform != "win32":
        # A parent that ignores the alarm would bequeath that.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    tell_of_waits(partial(_told_wait, answers))
    decoders = _decoders(decoder)
    limit_memory(memory_limit_bytes)
    send_line(answers, {"ready": True})
    for line in sys.stdin.buffer:
        _answer(json.loads(line), decoders, answers)


def _decoders(name: str) -> Sequence[tuple[str, Decoder]]:
    """The chosen plug-in where it is available, then PyAV, which has the last word."""
    names = [name, "pyav"] if name != "pyav" else [name]
    plug_ins = [(each, load_plug_in("tvr.pipeline.decoders", each)) for each in names]
    return [(each, plug_in.Decoder()) for each, plug_in in plug_ins if not plug_in.available()]


def _answer(message: dict[str, Any], decoders: Sequence[tuple[str, Decoder]], answers: BinaryIO) -> None:
    task = task_of(message)

    def announce(duration_seconds: float) -> None:
        end_if_orphaned(time_limit(message["time_limit_seconds"], duration_seconds))
        send_line(answers, {"duration_seconds": duration_seconds})

    def hand_over(number: int, num_frames: int) -> None:
        with _paused_alarm():
            send_line(answers, {"chunk": number, "num_in_memory": num_frames})
            if not sys.stdin.buffer.readline():
                sys.exit(0)  # the parent is gone

    # The first line says that this task has begun: a child that dies before it has spoilt no video.
    announce(0.0)
    _taken_errors()
    started = time.perf_counter()
    try:
        writer = FrameWriter(
            message["frames_descriptor"],
            task.preprocessing,
            task.frames_per_chunk,
            hand_over,
            task.pixels,
            task.resize,
        )
        watch = Watch(announce, _taken_errors)
        if task.header_only:
            video = claimed_duration(task)
        elif task.packets_only:
            video = forecast(task)
        else:
            video = decode_video(task, decoders, watch, writer)
    except MemoryError:
        send_video(
            answers, failed(task, "decoding takes more memory than its limit", time.perf_counter() - started)
        )
        # What took the memory may keep it; the parent starts another process.
        sys.exit(0)
    send_video(answers, _identified(task, video))
    end_if_orphaned(0.0)


def _identified(task: DecodeTask, video: DecodedVideo) -> DecodedVideo:
    """The video with which file it was, if that is asked for. Of one on a server that is what was fetched."""
    if task.identify is None or video.reason.startswith(UNREADABLE):
        return video
    try:
        return replace(video, file=str(FileIdentity.of(task.path, task.identify)))
    except OSError as error:
        if video.status == "failed":
            return video
        return failed(task, unreadable_because(error), video.decode_seconds)


@contextmanager
def _told_wait(answers: BinaryIO) -> Generator[None]:
    """Waiting for a server takes nothing of a video's time either."""
    send_line(answers, {"waits": True})
    try:
        with _paused_alarm(SERVER_SECONDS + _ORPHAN_SECONDS):
            yield
    finally:
        send_line(answers, {"waits": False})


@contextmanager
def _paused_alarm(seconds: float = 0.0) -> Generator[None]:
    """Waiting for the parent takes nothing of a video's time; that for others ends after so many seconds."""
    left = 0.0
    if sys.platform != "win32":
        left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if sys.platform != "win32" and (left or seconds):
            signal.setitimer(signal.ITIMER_REAL, left)


def end_if_orphaned(seconds: float) -> None:
    """Let the kernel end this process some time after its parent should have; 0 takes the order back.

    A decoder that hangs in native code holds the interpreter lock: no Python code here would notice that the
    parent is gone.
    """
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds and seconds + _ORPHAN_SECONDS)


def limit_memory(limit_bytes: int) -> None:
    """Let allocations beyond the limit fail, counted from what importing has taken."""
    if sys.platform == "linux":
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + limit_bytes, taken + limit_bytes))


def _taken_errors() -> str:
    """What was written to stderr, a temporary file of the parent, since this was last asked."""
    size = os.lseek(2, 0, os.SEEK_CUR)
    if not size:
        return ""
    os.lseek(2, 0, os.SEEK_SET)
    text = os.read(2, _MAX_ERROR_BYTES).decode(errors="replace")
    os.ftruncate(2, 0)
    os.lseek(2, 0, os.SEEK_SET)
    return "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith(_HARMLESS))
