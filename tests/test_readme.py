"""What README shows works: its Python runs, its commands parse, its files exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from tvr.cli.main import app

from .fixtures.stores import manifest, video_row

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("tvr ")]


def test_the_store_snippet_reads_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tvr.pipeline.store.shards import write_video_shard

    write_video_shard(tmp_path / "video-00000-of-00001.h5", [video_row(1), video_row(2)], manifest().dim, {})
    monkeypatch.chdir(tmp_path)
    (snippet,) = (block for block in blocks("python") if "h5py" in block)
    assert "tvr" not in snippet
    exec(compile(snippet, "README.md", "exec"), {})
    assert capsys.readouterr().out == "v1 (2, 6) [0.  0.5] ok\n"


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_parse(command: list[str]) -> None:
    group = typer.main.get_command(app)
    name, *arguments = command
    sub = group.get_command(group.make_context("tvr", [name]), name)  # type: ignore[attr-defined]
    assert sub is not None, f"README names an unknown command: {name}"
    sub.make_context(name, arguments, resilient_parsing=False)


def test_every_command_is_in_the_table() -> None:
    table = README[README.index("| command | does |") :]
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"`tvr {name}" in table, f"README's table lacks tvr {name}"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (Path(__file__).resolve().parents[1] / target).exists(), target
