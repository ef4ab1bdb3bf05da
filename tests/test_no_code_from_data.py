"""What a file says is never run: calls that could do so are nowhere in the tree, and audits fail on what they find."""

import ast
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("api", "benchmarks", "cli", "data", "heads", "pipeline", "tests")

SAFE = {"weights_only": True, "allow_pickle": False, "trust_remote_code": False, "shell": False}
"""Arguments, and the one value that may be given for each."""

MODULES = {"dill", "joblib", "cloudpickle", "marshal", "shelve", "runpy", "code"}
"""What has no other use than to keep or run code."""

CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "yaml.load",
    "yaml.unsafe_load",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.serialization.add_safe_globals",
    "torch.serialization.safe_globals",
}
"""What runs what it is given, by the name it is called by."""

REASONED = {
    (
        "pipeline/encoders/weights/checkpoint.py",
        "torch.jit.load",
    ): "asked for by the tag that was published so",
    ("data/annotation_files/plain_pickle.py", "pickle.Unpickler"): "its subclass imports nothing",
    ("tests/pipeline/encoders/weights/test_checkpoint.py", "torch.jit.load"): "shows that it runs code",
    (
        "tests/pipeline/encoders/weights/test_sources.py",
        "trust_remote_code=",
    ): "a repository that asks is refused",
    ("tests/test_benchmarks.py", "runpy"): "starts a benchmark as python -m does",
    ("tests/test_readme.py", "exec"): "a snippet of README",
    ("tests/test_readme.py", "compile"): "a snippet of README",
    ("tests/heads/test_docs.py", "exec"): "a snippet of docs/heads.md",
    ("tests/heads/test_docs.py", "compile"): "a snippet of docs/heads.md",
}
"""Where one of these stands nevertheless, and why."""


def dangers(source: str) -> Iterator[str]:
    """What of a module could run what a file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            yield from [name] if name in CALLS else []
            given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            yield from (f"{argument}=" for argument, value in given.items() if is_unsafe(argument, value))
            if name == "torch.load" and "weights_only" not in given:
                yield "torch.load without weights_only"
        elif isinstance(node, ast.ClassDef):
            yield from (base for base in map(ast.unparse, node.bases) if base in CALLS)
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            pairs = zip(keys, node.values, strict=True)
            yield from (f"{key}=" for key, value in pairs if isinstance(key, str) and is_unsafe(key, value))
        elif isinstance(node, ast.Import):
            yield from (name for alias in node.names if (name := alias.name.partition(".")[0]) in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = (node.module or "").partition(".")[0]
            yield from [module] if module in MODULES else []
            yield from (n for alias in node.names if (n := f"{node.module}.{alias.name}") in CALLS)


def is_unsafe(argument: str, value: ast.expr) -> bool:
    """Whether one of the arguments has another value than the safe one."""
    return argument in SAFE and not (isinstance(value, ast.Constant) and value.value is SAFE[argument])


def test_nothing_runs_what_a_file_says() -> None:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 300
    found = {
        (file.relative_to(ROOT).as_posix(), danger)
        for file in files
        for danger in dangers(file.read_text(encoding="utf-8"))
    }
    assert found - REASONED.keys() == set()
    assert REASONED.keys() - found == set(), "a reason for what is not there any more"


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("torch.load(f, weights_only=not scripted)", "weights_only="),
        ("open_clip.load_checkpoint(m, f, weights_only=False)", "weights_only="),
        ("torch.load(f)", "torch.load without weights_only"),
        ("np.load(f, allow_pickle=True)", "allow_pickle="),
        ("settings = {'trust_remote_code': trusted}", "trust_remote_code="),
        ("subprocess.run(line, shell=True)", "shell="),
        ("pickle.loads(data)", "pickle.loads"),
        ("from pickle import loads", "pickle.loads"),
        ("class Reader(pickle.Unpickler): ...", "pickle.Unpickler"),
        ("import joblib", "joblib"),
        ("from dill import load", "dill"),
        ("x = eval(text)", "eval"),
    ],
)
def test_each_is_found(source: str, danger: str) -> None:
    assert list(dangers(source)) == [danger]


def test_what_is_safe_is_not() -> None:
    source = (
        "torch.load(f, weights_only=True)\nnp.load(f)\nmodel.eval()\nsubprocess.run(words)\npickle.dumps(x)"
    )
    assert list(dangers(source)) == []


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """A folder of programs: bandit finds nothing, and pip-audit says what stands in ``answer``."""
    answering = (
        '#!/bin/sh\nfor word; do last=$before; before=$word; [ "$last" = --output ] && out=$word; done\n'
    )
    programs = {
        "bandit": "#!/bin/sh\n",
        "pip-audit": f'{answering}echo "nobody answers" >&2\ncp "{tmp_path}/answer" "$out"\nexit 1\n',
    }
    for name, program in programs.items():
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def audited(programs: Path) -> tuple[int, str]:
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    command = [str(ROOT / ".ci" / "audit")]
    done = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


SOUND = {"name": "a", "version": "1", "vulns": []}


def test_an_audit_that_finds_nothing_passes(audit: Path) -> None:
    editable = {"name": "tvr", "skip_reason": "distribution marked as editable"}
    (audit / "answer").write_text(json.dumps({"dependencies": [SOUND, editable]}))
    assert audited(audit) == (0, "1 installed packages audited, 0 findings\n")


def test_a_known_fault_of_a_package_fails(audit: Path) -> None:
    fault = {"name": "b", "version": "2", "vulns": [{"id": "GHSA-1", "fix_versions": ["3"]}]}
    (audit / "answer").write_text(json.dumps({"dependencies": [SOUND, fault]}))
    code, said = audited(audit)
    assert code == 1
    assert "b 2: GHSA-1, mended in 3" in said


def test_what_was_not_audited_is_said(audit: Path) -> None:
    unknown = {"name": "c", "skip_reason": "not found: c (1)"}
    (audit / "answer").write_text(json.dumps({"dependencies": [SOUND, unknown]}))
    code, said = audited(audit)
    assert (code, said.splitlines()[0]) == (0, "not audited: 1 of 2 installed packages. not found: c (1)")
    (audit / "answer").unlink()
    code, said = audited(audit)
    assert code == 0
    assert said.startswith("not audited: no installed package. pip-audit ended without an answer: cp:")


def test_a_finding_of_bandit_fails(audit: Path) -> None:
    (audit / "bandit").write_text("#!/bin/sh\nexit 1\n")
    assert audited(audit)[0] == 1
