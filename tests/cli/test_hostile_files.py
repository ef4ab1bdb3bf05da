"""Stores and runs of strangers that are whole but for one value: each command ends well, or in a sentence.

What carries a checksum has a fitting one: whoever changes a value can compute it again.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tvr.cli.main import app
from tvr.data.contracts.errors import LONGEST_MESSAGE, TvrError, one_line
from tvr.pipeline.store.checksummed_json import read_checksummed, write_checksummed
from typer.testing import CliRunner

from ..fixtures.fuzz import cases
from ..fixtures.hostile import HOSTILE_JSON, with_one_changed

WRITTEN = Path(__file__).parents[1] / "fixtures" / "before_rooms"

CHECKSUMMED = ("store.json", "request.json", "video-00000-of-00003.json", "text-00000-of-00001.json")
OF_STORE = (*CHECKSUMMED, "splits.json")
OF_RUN = ("config.json", "metrics.jsonl", "result.json")

COMMANDS: dict[str, Callable[[Path], list[str | Path]]] = {
    "inspect": lambda place: ["inspect", "--store", place / "store", "--failed"],
    "inspect --untrusted": lambda place: [
        *("inspect", "--store", place / "store", "--untrusted", "--root", place / "videos", "--json")
    ],
    "verify": lambda place: ["verify", "--store", place / "store"],
    "eval": lambda place: ["eval", place / "run", "--store", place / "store", "--device", "cpu", "--json"],
    "search": lambda place: ["search", "--run", place / "run", "--store", place / "store", "a ring grows"],
    "index": lambda place: ["index", place / "run", "--store", place / "store"],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return shutil.copytree(WRITTEN, tmp_path / "written", ignore=shutil.ignore_patterns("*_int8", "*_dim16"))


def ends_well(place: Path, command: str) -> bool:
    """Whether the command succeeded; that it ended in another way than a sentence is the test's failure."""
    answer = CliRunner().invoke(app, [str(word) for word in COMMANDS[command](place)])
    if isinstance(answer.exception, TvrError):
        told = one_line(str(answer.exception))
        assert len(told) > 20
        assert len(str(answer.exception)) < LONGEST_MESSAGE + 50
    elif not isinstance(answer.exception, SystemExit | OSError | None):
        raise answer.exception
    if answer.exit_code == 0 and "--json" in COMMANDS[command](place):
        json.loads(answer.stdout)
    return answer.exit_code == 0


def change(file: Path, random: Random) -> None:
    """Change one value of a file, and its checksum with it."""
    if file.name in CHECKSUMMED:
        write_checksummed(file, with_one_changed(read_checksummed(file), random))
    elif file.suffix == ".jsonl":
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(line) + "\n" for line in with_one_changed(lines, random)))
    else:
        file.write_text(json.dumps(with_one_changed(json.loads(file.read_text()), random)))


def drawn(count: int, names: tuple[str, ...], commands: tuple[str, ...]) -> Iterator[tuple[Random, str, str]]:
    for seed in range(cases(count)):
        random = Random(seed)
        yield random, names[seed % len(names)], random.choice(commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_on_what_is_whole(command: str, place: Path) -> None:
    assert ends_well(place, command)


def test_a_store_with_one_hostile_value(place: Path) -> None:
    for random, name, command in drawn(60, OF_STORE, tuple(COMMANDS)):
        change(place / "store" / name, random)
        ends_well(place, command)
        shutil.copy(WRITTEN / "store" / name, place / "store" / name)


def test_a_run_with_one_hostile_value(place: Path) -> None:
    for random, name, command in drawn(60, OF_RUN, ("eval", "search", "index")):
        change(place / "run" / name, random)
        ends_well(place, command)
        shutil.copy(WRITTEN / "run" / name, place / "run" / name)


@pytest.mark.parametrize("name", [*OF_STORE, "config.json"])
def test_a_file_that_is_no_json_fails(name: str, place: Path) -> None:
    file = place / ("run" if name == "config.json" else "store") / name
    reading = {"request.json": "inspect --untrusted", "config.json": "eval", "splits.json": "verify"}
    command = reading.get(name, "inspect")
    for hostile in random_part([*HOSTILE_JSON.values()]):
        file.write_bytes(hostile if isinstance(hostile, bytes) else hostile.encode())
        # A shard whose receipt says nothing of it counts as absent.
        assert ends_well(place, command) == name.startswith(("video", "text"))


def random_part(values: list[Any]) -> list[Any]:
    return Random(0).sample(values, cases(len(values)))
