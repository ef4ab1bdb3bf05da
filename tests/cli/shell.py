"""Types a command as a user would, in a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What the shell showed."""

    code: int
    out: str
    err: str


def tvr(*arguments: str | Path, cwd: Path, seconds: float = 240) -> Answer:
    """Run ``tvr`` with these arguments in a folder, without network and without a terminal."""
    command = [sys.executable, "-c", "from tvr.cli.main import run; run()", *map(str, arguments)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    environment.pop("TVR_WORKSPACE", None)
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
