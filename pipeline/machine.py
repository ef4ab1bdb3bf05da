"""What this machine has for this process: CPU cores, memory, devices of torch, and a parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.contracts.errors import UsageError

if TYPE_CHECKING:
    import torch


def usable_cores() -> tuple[int, ...]:
    """Numbers of the cores that the system lets this process run on: those of its job, not of the node."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


@contextmanager
def left_to_parent(*signals: signal.Signals) -> Generator[None]:
    """Let processes and threads that are started within leave signals to this process, from their first instruction on.

    Ctrl-C, and a queue that ends a job, reach every process of it. One that still imports what it needs would end with
    a traceback, or die and be taken for one that failed. Here the signals wait until the context is left, so that none
    is lost; it should be short.

    What ``multiprocessing`` keeps for all its processes (``resource_tracker.ensure_running``) lets signals through
    when it is started: who uses that starts it before.

    Args:
        signals: such as ``signal.SIGINT``.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Let this process, which ``multiprocessing`` has spawned, end as soon as its parent has ended, however it ended.

    What it writes is written as atomically as ever.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is the parent"
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def available_memory() -> int:
    """Bytes of memory that can be had, page cache included where the system tells."""
    info = Path("/proc/meminfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def torch_device(name: str, *, gpu: str = "cuda") -> "torch.device":
    """The device of that name.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` and so on, or ``mps``.
        gpu: what ``auto`` is where torch sees a CUDA device; elsewhere it is ``cpu``.

    Raises:
        UsageError: there is no such device, or not here.
    """
    import torch  # takes a second: who asks for cores alone does not wait for it

    if name == "auto":
        name = gpu if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"--device must be auto, cpu, cuda, cuda:1 and so on, or mps, got {name!r}: {error}"
        ) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"--device {name} is not there: torch {torch.__version__} sees no CUDA device; use --device cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps is not there: torch sees no Apple GPU; use --device cpu")
    return device
