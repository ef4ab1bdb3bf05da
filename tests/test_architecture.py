"""Rules of the house that import-linter's contracts cannot state: no circle of files, rooms that one can overlook, and
one thing for each word."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from tvr.data.contracts.plug_ins import plug_in_names

ROOT = Path(__file__).parents[1]
FOLDERS = ("api", "cli", "data", "heads", "pipeline")
PLUG_INS = ("data", "heads", "pipeline/decoders", "pipeline/encoders", "pipeline/exchange/layouts")
"""Folders each module of which is a plug-in, but for its base."""
MAX_MODULES, MAX_LINES = 17, 350
SHORT_LINES, MAX_SHORT = 40, 8

GRAPH = """
import json, sys, grimp

graph = grimp.build_graph("tvr", cache_dir=None)
json.dump({name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules}, sys.stdout)
"""


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """What each module imports. grimp takes a package for one folder, so it reads a tree of links, as a wheel is."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "tvr").mkdir()
    for entry in [*(ROOT / "api").glob("*.py"), *(ROOT / name for name in FOLDERS[1:])]:
        (tree / "tvr" / entry.name).symlink_to(entry)
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    answer = subprocess.run(
        [sys.executable, "-c", GRAPH], cwd=tree, env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(answer.stdout)


def modules() -> list[Path]:
    """Every module of the package, below the root of the repository."""
    files = (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))
    return [file.relative_to(ROOT) for file in files]


def is_plug_in(module: Path) -> bool:
    return module.parent.as_posix() in PLUG_INS and module.stem not in ("base", "__init__")


def num_lines(module: Path) -> int:
    return len((ROOT / module).read_text(encoding="utf-8").splitlines())


def circle_of(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle of modules that import each other; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_files_import_each_other_in_a_circle(imports: Mapping[str, list[str]]) -> None:
    assert len(imports) > 100
    assert circle_of(imports) == []


def test_a_circle_is_found() -> None:
    assert set(circle_of({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})) == {"a", "b", "c"}


def test_every_folder_of_heads_has_its_floor() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = (each["layers"] for each in contracts if each.get("containers") == ["tvr.heads"])
    folders = {path.parent.name for path in (ROOT / "heads").glob("*/__init__.py")}
    assert folders == set(floors) - {"base"}


def test_heads_are_imported_by_their_name_alone(imports: Mapping[str, list[str]]) -> None:
    """So that a new one is a new file: nothing else names it."""
    heads = {f"tvr.heads.{name}" for name in plug_in_names("tvr.heads")}
    assert heads <= set(imports)
    assert {module: imported for module, imported in imports.items() if heads.intersection(imported)} == {}


@pytest.mark.parametrize(
    ("module", "story", "last_line"),
    [("pipeline/extract.py", "run_extraction", 80), ("heads/training/loop.py", "train", 100)],
)
def test_a_story_is_told_on_the_first_page(module: str, story: str, last_line: int) -> None:
    """Of each stage: its path comes before any type."""
    body = ast.parse((ROOT / module).read_text(encoding="utf-8")).body
    defined = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert defined[0].name == story
    assert (defined[0].end_lineno or 0) <= last_line


def test_a_folder_can_be_overlooked() -> None:
    counts: dict[Path, int] = defaultdict(int)
    for module in modules():
        counts[module.parent] += module.name != "__init__.py"
    assert {folder.as_posix(): count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_a_module_can_be_read_at_once() -> None:
    assert {str(module): lines for module in modules() if (lines := num_lines(module)) > MAX_LINES} == {}


def test_few_modules_are_scraps() -> None:
    own = [module for module in modules() if module.name != "__init__.py" and not is_plug_in(module)]
    scraps = [str(module) for module in own if num_lines(module) < SHORT_LINES]
    assert len(scraps) <= MAX_SHORT, scraps


def test_a_name_stands_for_one_thing() -> None:
    """Public classes, functions and types; not those of plug-ins, which share the names of their contract, nor the
    function that is a command, which is called as the user types it, in Python too."""
    places: dict[str, list[str]] = defaultdict(list)
    of_programs = public_functions((ROOT / "api" / "__init__.py").read_text(encoding="utf-8"))
    for module in modules():
        command = module.stem if module.parts[0] == "cli" else None
        if not is_plug_in(module):
            for name in public_names((ROOT / module).read_text(encoding="utf-8")):
                if name not in (command, *of_programs):
                    places[name].append(str(module))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def public_functions(source: str) -> set[str]:
    """What a program may call: the members of ``__all__`` that begin in lower case."""
    lists = [node.value for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    names = {name for one in lists if isinstance(one, ast.List) for name in ast.literal_eval(one)}
    return {name for name in names if name[0].islower()}


def public_names(source: str) -> Iterable[str]:
    """Classes, functions and names of types that a module defines for others; constants are qualified by their use."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            names = [name for name in names if not name.isupper()]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def test_public_names_are_classes_functions_and_types() -> None:
    source = "class A: ...\ndef b(): ...\nCut = int\nLIMIT = 3\n_D = str\nclass _E: ...\n"
    assert list(public_names(source)) == ["A", "b", "Cut"]
