"""What a command prints where it is printed: encodings that lack letters, closed and full outputs, long messages."""

import json
import math
import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from tvr.cli import main, terminal
from tvr.data.contracts.errors import LONGEST_MESSAGE, DataError

from ..fixtures.hostile import HOSTILE_TEXTS
from ..fixtures.shell import tvr_command

ENCODINGS = ("ascii", "cp1252", "latin-1", "utf-8", "utf-16", "iso2022_jp")


def printed(value: object, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    target = BytesIO()
    # As ``run`` leaves standard output: what the encoding lacks is escaped.
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(target, encoding, errors="backslashreplace"))
    terminal.print_json(value)
    return target.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", [*HOSTILE_TEXTS, "citt\xe0", "\udcff", "\udcff\xe9中"])
def test_json_is_json_in_every_encoding(encoding: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {text: [text, {"figure": 1.5}]}
    assert json.loads(printed(value, encoding, monkeypatch)) == value


def test_json_stays_readable_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "città" in printed({"text": "città"}, "cp1252", monkeypatch)
    assert "citt\\u00e0" in printed({"text": "città"}, "ascii", monkeypatch)


def test_a_figure_that_is_not_finite_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed({"a": math.nan, "b": [1.0, (math.inf,)], "c": -math.inf}, "utf-8", monkeypatch)
    assert json.loads(text) == {"a": None, "b": [1.0, [None]], "c": None}


def test_nothing_is_printed_of_json_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an object would be read by whoever does not ask for the exit code."""
    target = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(target, "utf-8"))
    with pytest.raises(TypeError):
        terminal.print_json({"a": 1, "b": object()})
    sys.stdout.flush()
    assert target.getvalue() == b""


def test_a_long_message_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise DataError("the column \x1b[31m" + "x" * 1_000_000)

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 3
    said = capsys.readouterr().err
    assert said.startswith(r"tvr: the column \x1b[31mxxx")
    left = len("the column \x1b[31m") + 1_000_000 - LONGEST_MESSAGE
    assert said.endswith(f" ... ({left:,} characters more)\n")


def test_what_the_system_refuses_fails_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device", "report\n.html")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        r"tvr: the system refused: [Errno 28] No space left on device: 'report\n.html'. Check the disk, the path and "
        "who may use it, and run it again\n"
    )


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_outputs_that_take_nothing(options: list[str], tmp_path: Path) -> None:
    """Closed before the command starts, closed by ``head`` while it writes, and full."""
    command, environment = tvr_command("datasets", *options)
    settings = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE, "text": True}
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, stdout=writing, check=False, **settings)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, check=False, **settings)
    assert ended.returncode == 1
    assert ended.stderr.startswith("tvr: the system refused: [Errno 28] No space left on device")
    assert ended.stderr.count("\n") == 1
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    ended = subprocess.run(shell, stdout=subprocess.DEVNULL, check=False, **settings)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_ascii_terminal_gets_whole_json(tmp_path: Path) -> None:
    (tmp_path / "città").mkdir()
    command, environment = tvr_command("datasets", "folder", "--root", "città", "--json")
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 3
    assert json.loads(ended.stdout)["root"] == "città"
    assert ended.stderr.decode("ascii").startswith("tvr: citt\\xe0: no video file in it")
