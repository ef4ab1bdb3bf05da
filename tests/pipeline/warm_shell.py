"""A shell in which ``tvr`` starts in a fraction of a second: what has imported everything forks for each command.

Run as a script it is that process; imported, it is the way to talk to it. Every command is a process group of its
own, so that it can be killed with all its children, as a scheduler or the kernel kills.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    shell: "WarmShell"
    pid: int
    log: Path

    def kill(self) -> None:
        """``kill -9`` of the command and its children."""
        os.killpg(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = 120) -> int | None:
        """Its exit code, negative for a signal; None if it still runs after so many seconds."""
        return self.shell.ask({"wait": self.pid, "seconds": seconds})

    @property
    def said(self) -> str:
        """What it has written to stdout and stderr."""
        return self.log.read_text()


class WarmShell:
    """Starts commands. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "WarmShell":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def start(self, *arguments: str | Path, **setting: Any) -> Running:
        """Start ``tvr`` with these arguments; ``setting`` is what ``_prepare`` understands."""
        self._count += 1
        log = self._folder / f"{self._count}.log"
        pid = self.ask({"start": [str(a) for a in arguments], "log": str(log), "setting": setting})
        return Running(self, pid, log)

    def run(self, *arguments: str | Path, **setting: Any) -> tuple[int, str]:
        """Run ``tvr`` to its end: its exit code and what it said."""
        running = self.start(*arguments, **setting)
        code = running.wait()
        assert code is not None, "the command hangs"
        return code, running.said

    def ask(self, question: dict[str, Any]) -> Any:
        """Send one line, get one line."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


def _serve() -> None:
    import tvr.cli.main
    import tvr.pipeline.decoding
    import tvr.pipeline.encoders.clip
    import tvr.pipeline.repair  # noqa: F401

    for line in sys.stdin:
        question = json.loads(line)
        answer = _waited(**question) if "wait" in question else _forked(**question)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _forked(start: list[str], log: str, setting: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["tvr", *start]
    _prepare(**setting)
    try:
        tvr_main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)
    except BaseException:  # noqa: BLE001 - a crash is to be read in the log
        import traceback

        traceback.print_exc()
    os._exit(1)


def tvr_main() -> None:
    """The command itself."""
    from tvr.cli.main import run

    run()
    sys.exit(0)


def _prepare(
    kill_at_change: int | None = None, folder: str = "", file_bytes: int | None = None, bound: bool = False
) -> None:
    """Set the scene in the forked process.

    Args:
        kill_at_change: ``kill -9`` of the whole group just before so many changes of ``folder`` have happened.
        folder: where changes count.
        file_bytes: the largest file that may be written: a full disk, for whoever may not mount one.
        bound: whether permissions bind it, as they bind everybody but root.
    """
    if kill_at_change is not None:
        left = kill_at_change

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            is_change = event in ("os.rename", "os.remove", "os.link", "os.truncate", "os.mkdir") or (
                event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            )
            if is_change and str(arguments[0]).startswith(folder):
                left -= 1
                if left < 0:
                    os.killpg(0, signal.SIGKILL)

        sys.addaudithook(count)
    if file_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    if bound:
        _give_up_privileges()


def _give_up_privileges() -> None:
    """Let permissions bind this process and its children though they stay root; for others nothing changes."""
    import ctypes

    override, read_search = 1, 2
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable of the lower 32, then of the upper 32
    libc.capget(header, sets)
    for which in range(3):
        sets[which] &= ~(1 << override | 1 << read_search)
    for capability in (override, read_search):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: children that are started do not get it back
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _waited(wait: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(wait, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            return None
        time.sleep(0.002)


if __name__ == "__main__":
    _serve()
