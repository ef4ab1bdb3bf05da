"""Ctrl-C ends a command whenever it comes."""

import subprocess
import sys

INTERRUPTED_IN_DEL = """
import os, signal, time
from tvr.cli.output.interruptions import interruptible

class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

with interruptible("all is kept", lambda: "tvr extract"):
    Swallows()
    while True:
        time.sleep(0.05)
"""


def test_an_interrupt_while_python_cleans_up_is_not_lost() -> None:
    """There it can raise nothing, and Python would go on."""
    line = [sys.executable, "-c", INTERRUPTED_IN_DEL]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr.startswith("tvr: interrupted: all is kept\ntvr: to go on: tvr extract\n")
