"""Who writes into a run folder: one process at a time."""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ...data.contracts.errors import TrainingError, one_line
from ...pipeline.store.atomic_files import remove_leftovers
from ...pipeline.store.file_locks import LOOK_SECONDS, FileLock, is_held

RUN_LOCK = "run.lock"
"""Of a run folder: there while a process trains into it, or was killed while it did."""


class RunTakenError(TrainingError):
    """Another process writes into the run folder."""


@contextmanager
def run_lock(folder: Path) -> Generator[None]:
    """Have a run folder to oneself, however many processes want it; it is made where it is not there.

    Raises:
        RunTakenError: another living process has it; the message names that one.
        TrainingError: the folder cannot be written.
    """
    lock = FileLock(folder / RUN_LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        acquired = lock.acquire(LOOK_SECONDS)
    except OSError as error:
        raise TrainingError(
            f"cannot write to the run folder {folder}: {error.strerror or error}. Make room or allow writing, or name "
            "another folder"
        ) from error
    if not acquired:
        raise RunTakenError(
            f"{holder_of(folder)} trains into {folder}, and two would mix their files. Wait until it has ended and "
            "run the same command again, or name another run folder"
        )
    with lock:
        lock.sign(f"process {os.getpid()} on {socket.gethostname()}")
        remove_leftovers(folder)
        yield


def is_taken(folder: Path) -> bool:
    """Whether a living process writes into a run folder now."""
    return is_held(folder / RUN_LOCK)


def holder_of(folder: Path) -> str:
    """Who writes into a run folder, in words that mean something while somebody does."""
    lock = folder / RUN_LOCK
    try:
        return one_line(lock.read_text(encoding="utf-8", errors="replace")[:200]) or "another process"
    except PermissionError:
        return (
            f"a process of another user (who alone may open {lock}; if none of theirs runs, it is left over)"
        )
    except OSError:
        return "another process"
