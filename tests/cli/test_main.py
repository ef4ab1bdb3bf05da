"""The command itself: its help, its version, its sub-commands, and what it imports for them."""

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import tvr
from tvr.cli.input import options
from tvr.cli.main import COMMANDS, app
from typer.testing import CliRunner

from ..fixtures.shell import tvr_cold

ANSI_CODES = re.compile(r"\x1b\[[0-9;]*m")
CLI = Path(__file__).resolve().parents[2] / "cli"
PANELS = {
    "extract": ["What", "Model", "Sampling", "Machine", "Cluster", "Failures"],
    "train-head": ["What", "Model", "Training", "Machine"],
    "eval": ["What", "Figures", "Scores of any system", "Report", "Machine"],
    "sweep": ["What", "Model", "Training", "Cluster", "Failures"],
    "search": ["What", "Model"],
    "import-checkpoint": ["Model", "What"],
}
IN_FUNCTIONS = {
    ("estimates.py", "pipeline.cluster.connection"),
    ("eval.py", "heads.report.report"),
    ("main.py", "terminal"),
    ("main.py", "input.config_file"),
    ("main.py", "output.wrapping"),
    ("main.py", "output.interruptions"),
    ("datasets.py", "pipeline.options"),
    ("datasets.py", "output.missing_weights"),
    ("config_file.py", "heads.sweep.grid"),
    ("config_file.py", "heads.runs.find_store"),
    ("config_file.py", "pipeline.workspace"),
    ("offered_stores.py", "heads.runs.newest"),
    ("search.py", "heads.report.hits_page"),
    ("demo.py", "heads.report.hits_page"),
    ("missing_weights.py", "pipeline.encoders.words"),
}
"""Imports that would cost every run of a command what only some of them use: Dask, matplotlib, rich."""


def shown(*arguments: str, width: int = 100) -> str:
    """What the command prints on a terminal that is so many characters wide."""
    answer = CliRunner().invoke(app, arguments, env={"COLUMNS": str(width)}, prog_name="tvr")
    assert answer.exit_code == 0, answer.output
    return ANSI_CODES.sub("", answer.output)


def function_of(command: str) -> object:
    module, name = COMMANDS[command][0].split(":")
    return getattr(import_module(f"tvr.cli.{module}"), name)


def heavy_after(arguments: list[str], environment: dict[str, str] | None = None) -> tuple[list[str], str]:
    """Which large modules a command had imported when it ended, and what it wrote to stdout."""
    program = (
        "import json, os, sys\n"
        "arguments, environment = json.loads(sys.argv[1])\n"
        "sys.argv = ['tvr', *arguments]\n"
        "os.environ.update(environment)\n"
        "from tvr.cli.main import run\n"
        "try:\n    run()\n"
        "except SystemExit:\n    pass\n"
        "large = ('torch', 'h5py', 'numpy', 'av', 'dask', 'open_clip', 'matplotlib')\n"
        "sys.stderr.write('\\n' + json.dumps([name for name in large if name in sys.modules]))"
    )
    given = json.dumps([arguments, environment or {}])
    done = subprocess.run([sys.executable, "-c", program, given], capture_output=True, text=True, check=True)
    return json.loads(done.stderr.splitlines()[-1]), done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_the_line_of_help_is_the_first_of_the_docstring(command: str) -> None:
    assert COMMANDS[command][1] == (function_of(command).__doc__ or "").splitlines()[0]


def test_help_lists_the_commands_in_their_order() -> None:
    lines = shown("--help", width=200).splitlines()
    listed = [next(i for i, line in enumerate(lines) if line.startswith(f"│ {name} ")) for name in COMMANDS]
    assert listed == sorted(listed)
    for line, (_, help_) in zip(listed, COMMANDS.values(), strict=True):
        assert help_ in lines[line]


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal(command: str, width: int) -> None:
    text = shown(command, "--help", width=width)
    assert f"Usage: tvr {command}" in text
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text, "something was cut"


@pytest.mark.parametrize("command", COMMANDS)
def test_options_stand_in_panels(command: str) -> None:
    titles = [
        line.split("─ ")[1].split(" ─")[0] for line in shown(command, "--help").splitlines() if "─ " in line
    ]
    panels = [title for title in titles if title not in ("Arguments", "Options")]
    known = [value for name, value in vars(options).items() if name.isupper() and isinstance(value, str)]
    assert set(panels) <= set(known)
    if command in PANELS:
        assert panels == PANELS[command]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_speaks_no_python(command: str) -> None:
    assert not re.search(r"<(bool|str|int|float|path|list.*?)>", shown(command, "-h"))


@pytest.mark.parametrize(
    ("command", "option", "listed"),
    [
        ("search", "--run", "tvr runs"),
        ("train-head", "--run", "tvr runs"),
        *((command, "--store", "tvr stores") for command in ("search", "index", "inspect", "eval", "sweep")),
    ],
)
def test_help_says_that_names_are_accepted(command: str, option: str, listed: str) -> None:
    line = next(line for line in shown(command, "--help", width=400).splitlines() if f" {option} " in line)
    assert listed in line


def test_h_is_help() -> None:
    assert shown("-h") == shown("--help")
    assert shown("eval", "-h") == shown("eval", "--help")


def test_version(tmp_path: Path) -> None:
    answer = tvr_cold("--version", cwd=tmp_path)
    assert (answer.code, answer.out, answer.err) == (0, f"tvr {tvr.__version__}\n", "")


def test_an_unknown_command_fails_with_a_near_miss(tmp_path: Path) -> None:
    answer = tvr_cold("extrct", "--dataset", "didemo", cwd=tmp_path)
    assert answer.code == 2
    assert "No such command 'extrct'. Did you mean 'extract'" in answer.err
    assert "Traceback" not in answer.err


def test_no_command_is_help(tmp_path: Path) -> None:
    answer = tvr_cold(cwd=tmp_path)
    assert answer.code == 2
    assert "Exit codes: 0 done" in answer.out + answer.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["extrct"], ["datasets", "--help"]])
def test_imports_nothing_large(arguments: list[str]) -> None:
    assert heavy_after(arguments)[0] == []


@pytest.mark.parametrize("command", ["extract", "inspect", "verify", "doctor"])
def test_help_of_stage_one_imports_no_torch_and_no_dask(command: str) -> None:
    large, text = heavy_after([command, "--help"])
    assert f"Usage: tvr {command}" in text
    assert set(large) <= {"numpy", "h5py"}


def completed(words: str) -> tuple[list[str], list[str]]:
    """What bash is offered for the last of these words, and the large modules that this took."""
    number = str(len(words.split(" ")) - 1)
    environment = {"_TVR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": number}
    large, text = heavy_after([], environment)
    return text.split(), large


def test_completes_commands_without_importing_them() -> None:
    assert completed("tvr in") == (["inspect", "index"], [])


def test_completes_options_of_a_command() -> None:
    assert completed("tvr extract --deco")[0] == ["--decoder", "--decoding-processes"]


def test_completes_fails() -> None:
    assert completed("tvr extrct --deco")[0] == []


def test_commands_import_at_the_top() -> None:
    found: set[tuple[str, str]] = set()
    for file in CLI.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inner = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in set(inner) - set(tree.body):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
            found.add((file.name, module))
    assert found == IN_FUNCTIONS


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (("sweep", "--epochs", "2"), "--train epochs=..."),
        (("sweep", "--batch-size", "2"), "--train batch_size=..."),
        (("index", "--run", "wti-1"), "the run without --run"),
    ],
)
def test_an_option_of_another_command_fails_with_what_this_one_takes(
    line: tuple[str, ...], meant: str
) -> None:
    answer = CliRunner().invoke(app, line, env={"COLUMNS": "200"})
    assert answer.exit_code == 2
    assert f"No such option: {line[1]} (Possible options: {meant}" in answer.output
