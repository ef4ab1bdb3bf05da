"""What CONTRIBUTING shows is there: its paths, its map, its tools."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def paths() -> list[str]:
    named = re.findall(r"`([\w.][\w./-]*/[\w./-]*)`", TEXT) + re.findall(r"\]\(([\w./-]+)\)", TEXT)
    return sorted({path for path in named if not path.startswith("..")})


@pytest.mark.parametrize("path", paths())
def test_paths_are_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_map_has_every_folder() -> None:
    shown = TEXT[TEXT.index("## The map") : TEXT.index("**The way of a video**")]
    for top in ("api", "benchmarks", "cli", "data", "docs", "heads", "pipeline", "tests"):
        assert f"\n{top}/" in shown, top
    for top in ("data", "heads", "pipeline"):
        for folder in (ROOT / top).iterdir():
            if (folder / "__init__.py").is_file():
                assert f"{folder.name}/" in shown, folder


def test_nothing_else_lies_in_the_repository() -> None:
    """What a trial leaves behind is easily added with the rest."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: git cannot list the files")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tops = {path.partition("/")[0] for path in listed.splitlines() if "/" in path}
    assert tops == {
        ".ci",
        ".github",
        "api",
        "benchmarks",
        "cli",
        "data",
        "docs",
        "heads",
        "pipeline",
        "tests",
    }


def test_the_version_is_the_same_everywhere() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert version is not None
    assert citation["version"] == version.group(1)
    assert f"## {version.group(1)} - {citation['date-released']}" in (ROOT / "CHANGELOG.md").read_text()


def test_hooks_and_hosted_ci_run_what_ci_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        assert hook["entry"].removesuffix(" --fix") in script
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert yaml.safe_load(workflow)["jobs"]
    assert "bash .ci/run" in workflow
