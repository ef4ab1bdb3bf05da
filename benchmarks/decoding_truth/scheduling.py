"""What an encoder leaves behind of the process's priority."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")
"""On Linux alone, as is what happens."""


@contextmanager
def usual_scheduling() -> Generator[None]:
    """Every thread of this process takes turns with other processes again at the end of the block.

    Where root opens it, SVT-AV1 makes its threads, and with them the one that asked for it, real-time ones of the
    highest priority. Whatever that thread starts from then on is real-time as well, a browser for example, and all
    other processes of the machine share the twentieth of the time that is left to them.
    """
    try:
        yield
    finally:
        leave_real_time()


def leave_real_time() -> None:
    """Let every thread of this process take turns with other processes."""
    if not _THREADS.is_dir() or not os.sched_getscheduler(0):
        return
    for thread in _THREADS.iterdir():
        with suppress(ProcessLookupError):  # it has ended since
            os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
