"""Clips decoded in turns by several processes: what each takes, in seconds of processor time."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
PLAIN = "plain"
"""Instead of a decoder: sequential decoding by PyAV alone."""


class MeasuredProcess:
    """A process of one interpreter that decodes the clips it is asked for."""

    def __init__(self, python: str) -> None:
        # A file, as for a decoding child, which asks it what the decoder has said.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [python, "-m", f"{__package__}.measured_child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def measured(self, **wanted: Any) -> dict[str, Any]:
        """The answer to one question.

        Raises:
            RuntimeError: the process died; the message is what it had said.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(wanted) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{wanted} ended the process: {self._errors.read().decode(errors='replace')}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        self._errors.close()


@contextlib.contextmanager
def processes(pythons: Mapping[str, str]) -> Generator[dict[str, MeasuredProcess]]:
    """A process of each interpreter, by its name; none is left afterwards."""
    with contextlib.ExitStack() as stack:
        begun: dict[str, MeasuredProcess] = {}
        for name, python in pythons.items():
            begun[name] = MeasuredProcess(python)
            stack.callback(begun[name].close)
        yield begun


@dataclass
class Cost:
    """One clip with one N and one decoder."""

    seconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Of each version and of plain decoding, a number for each repeat."""
    outcome: dict[str, str] = field(default_factory=dict[str, str])
    """Of each version: the decoder that served the clip, or its status where that is not ok."""

    def typical(self, version: str) -> float:
        """The median of its repeats."""
        return median(self.seconds[version])


def costs_of(
    path: Path,
    versions: Mapping[str, MeasuredProcess],
    questions: Sequence[tuple[str, int]],
    repeats: int,
) -> dict[tuple[str, int], Cost]:
    """What decoding one clip costs, for each decoder and number of frames.

    The versions and plain decoding take turns, in an order that alternates: what else the machine does, and what the
    one before has left in its caches, meets all of them.
    """
    costs = {question: Cost() for question in questions}
    path.read_bytes()  # whoever comes first would wait for the disk
    for repeat in range(repeats):
        turn = list(versions)[:: -1 if repeat % 2 else 1]
        for (decoder, num_frames), cost in costs.items():
            indices: list[int] = []
            for version in turn:
                answer = versions[version].measured(path=str(path), decoder=decoder, num_frames=num_frames)
                cost.seconds.setdefault(version, []).append(answer["seconds"])
                cost.outcome[version] = answer["decoder"] if answer["status"] == "ok" else answer["status"]
                indices = answer["indices"]
            answer = versions[turn[0]].measured(path=str(path), decoder=PLAIN, indices=indices)
            cost.seconds.setdefault(PLAIN, []).append(answer["seconds"])
    return costs
