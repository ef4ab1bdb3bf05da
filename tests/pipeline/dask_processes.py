"""A real Dask scheduler and real workers, each a process of its own, as a user starts them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60


class DaskProcesses:
    """A scheduler, and workers that are started and killed one by one."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        deadline = time.monotonic() + START_SECONDS
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)

    def worker(self, *options: str, path_first: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a worker process, which has a nanny, in a folder of its own.

        Args:
            options: of ``dask worker``.
            path_first: a folder whose packages hide those of the environment.
        """
        return self._start("worker", "--nthreads", "1", *options, path_first=path_first)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process and all that it started, at once, as a machine that goes down does."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        """Kill all that is left."""
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)

    def _start(self, *command: str, path_first: Path | None = None) -> subprocess.Popen[bytes]:
        folder = self._folder / f"{command[0]}-{len(self._processes)}"
        folder.mkdir()
        environment = os.environ | ({"PYTHONPATH": str(path_first)} if path_first else {})
        line = [sys.executable, "-m", "dask", *command, "--scheduler-file", str(self.file)]
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                line, cwd=folder, env=environment, start_new_session=True, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process


@contextmanager
def dask_processes(folder: Path, workers: int = 0) -> Generator[DaskProcesses, None, None]:
    """A scheduler and so many workers; none of them is left afterwards."""
    folder.mkdir()
    processes = DaskProcesses(folder)
    try:
        for _ in range(workers):
            processes.worker()
        yield processes
    finally:
        processes.end()
