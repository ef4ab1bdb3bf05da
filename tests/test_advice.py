"""What messages advise can be typed: every command and option that a string of the program names is one of tvr's."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from tvr.cli.main import COMMANDS, app

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("cli", "data", "heads", "pipeline")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
ADVICE = re.compile(r"\btvr ([a-z][a-z-]+)((?:[^`\n.;]|\.(?=\w))*)")
"""``tvr``, a command and what follows it in the same clause."""
OF_OTHERS = {
    *("--nthreads", "--dashboard-address", "--resources", "--protocol"),
    *("--dereference", "--hard-dereference", "--rm"),
    *("--scheduler-file", "--gres", "--array", "--nproc-per-node", "--cdcr"),
}
"""Of Dask, tar, zstd, Slurm, PBS, torchrun and authors' code."""
COUNTED = (
    "videos|texts|captions|sentences|words|frames|shards|files|folders|rows|pairs|runs|stores|trials|epochs"
)
BARE_COUNT = re.compile(rf"(?<!its )(?<!cosine of )\bX (?:published |listed |training )*(?:{COUNTED})\b(?!/)")
"""A value before a plural, which is wrong wherever the value is 1: ``counted`` writes both. Twice it is a name."""


@cache
def strings() -> tuple[tuple[str, str], ...]:
    """Every text of the program that may be shown, its values replaced by ``X``, and where it stands."""
    return tuple(_strings())


def _strings() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            inside = {
                id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
            }
            for node in ast.walk(tree):
                place = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                if isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
                    yield place, "".join(map(str, parts))
                elif (
                    isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside
                ):
                    yield place, node.value


@cache
def options_of(command: str) -> frozenset[str]:
    """Every spelling of an option of a command."""
    group: Any = typer.main.get_command(app)
    loaded = group.commands[command].loaded()
    context = loaded.context_class(loaded)
    return frozenset(name for parameter in loaded.get_params(context) for name in parameter.opts)


@cache
def known_options() -> frozenset[str]:
    """Every option of any command, and those of others that are advised as such."""
    own = frozenset[str]().union(*(options_of(command) for command in COMMANDS))
    return own | {"--version"} | OF_OTHERS


def unknown_in(text: str) -> list[str]:
    """What a text advises that cannot be typed."""
    wrong: list[str] = []
    for command, rest in ADVICE.findall(text):
        if command in COMMANDS:
            wrong += [
                f"tvr {command} {option}"
                for option in OPTION.findall(rest)
                if option not in options_of(command)
            ]
    wrong += [option for option in OPTION.findall(text) if option not in known_options()]
    quoted = re.findall(r"`tvr ([a-z][a-z-]+)", text)
    return wrong + [f"tvr {command}" for command in quoted if command not in COMMANDS]


def test_what_is_advised_can_be_typed() -> None:
    found = strings()
    assert sum("tvr train-head" in text for _, text in found) > 5
    assert {place: wrong for place, text in found if (wrong := unknown_in(text))} == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("see `tvr lists`", ["tvr lists"]),
        ("next: tvr eval X --candidates", ["tvr eval --candidates"]),
        ("leave out --no-such", ["--no-such"]),
    ],
)
def test_what_is_advised_fails(text: str, wrong: list[str]) -> None:
    assert unknown_in(text) == wrong


def test_a_number_stands_before_its_noun_in_one_way() -> None:
    assert {place: text for place, text in strings() if BARE_COUNT.search(text)} == {}


@pytest.mark.parametrize(
    "text", ["X videos", "X of X published videos are missing", "has X frames, X pixels"]
)
def test_a_number_stands_before_its_noun_in_one_way_fails(text: str) -> None:
    assert BARE_COUNT.search(text)
    assert not BARE_COUNT.search("X in X, of 2 videos, X frames/s")
