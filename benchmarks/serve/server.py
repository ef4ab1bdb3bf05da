"""`tvr serve` as a child process, over a real socket; how long it takes to start, and how much memory it comes to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

TVR = str(Path(sys.executable).with_name("tvr"))


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers."""

    process: "subprocess.Popen[str]"
    port: int
    start_seconds: float
    """From the command to its first answer."""

    def memory_mb(self) -> dict[str, float]:
        """The most memory that the server, and that its children, had at once, each at its own peak."""
        children = _descendants(self.process.pid)
        return {
            "server": round(_peak_mb(self.process.pid), 1),
            "children": round(sum(map(_peak_mb, children)), 1),
            "num_children": len(children),
        }


@contextmanager
def served(arguments: list[str], log: IO[str], environment: Mapping[str, str]) -> Generator[Served]:
    """Run ``tvr serve`` and wait until it answers.

    Args:
        arguments: behind ``tvr serve``.
        log: where what it says on standard error goes.
        environment: of the process.

    Raises:
        RuntimeError: it ends before it answers.
    """
    started = time.perf_counter()
    command = [TVR, "serve", *arguments, "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, env={**environment}
    ) as process:
        try:
            assert process.stdout is not None, "it is a pipe"
            said = _whole_json(process.stdout)
            if not said:
                raise RuntimeError(f"tvr serve ended with {process.wait()}: {' '.join(command)}")
            port = urlsplit(json.loads(said)["address"]).port
            assert port is not None, "an address has its port"
            connection = HTTPConnection("127.0.0.1", port, timeout=600)
            connection.request("GET", "/api/about")
            connection.getresponse().read()
            connection.close()
            yield Served(process, port, time.perf_counter() - started)
        finally:
            process.send_signal(signal.SIGINT)


def _whole_json(output: IO[str]) -> str:
    """Lines until they are a JSON document, or end."""
    said = ""
    for line in output:
        said += line
        try:
            json.loads(said)
        except ValueError:
            continue
        break
    return said


def _descendants(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _peak_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), 0.0)


def quiet_environment(state: Path) -> dict[str, str]:
    """In which what is asked for is remembered apart from what the user did."""
    return {**os.environ, "XDG_STATE_HOME": str(state)}
