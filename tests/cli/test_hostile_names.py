"""Names that are markup to rich, in every command: printed as they are, and every printed next command works."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tvr.cli.main import COMMANDS
from tvr.pipeline.video.sample_clip import write_sample

from ..fixtures.shell import Answer, tvr

ROOT, WORKSPACE = "fold [abc] it's", "work [b] place"
VIDEO, BROKEN = "Holiday [dQw4w9WgXcQ].mp4", "cut [i] off.mp4"
CAPTIONS = {
    VIDEO: ("a [/i] caption with a [bold]word", "train"),
    "b [red].mp4": ("[link=http://x]y[/link] and :smile:", "train"),
    "d.mp4": ("[/red]", "val"),
    "c.mp4": ("[/] a backslash at the end\\", "test"),
    BROKEN: ("[i]nothing", "test"),
}
WHOLE = {
    "Holiday": r" \[dQw4w9WgXcQ\]",
    "fold ": r"\[abc\] it",
    "work ": r"\[b\] place",
    "cut ": r"\[i\] off",
}
"""What has to follow each of these wherever it is printed."""
MODEL = ("--model", "tvr-storyboard", "--num-frames", "2")
"""The one that needs no weights of elsewhere."""
ALONE = {"demo", "doctor", "serve"}
"""The first two take no name but the workspace's; a server does not end. They have tests of their own."""


@dataclass(frozen=True)
class Typed:
    """A command, and what it said."""

    words: tuple[str, ...]
    answer: Answer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of hostile names."""
    place = tmp_path_factory.mktemp("place")
    root = place / ROOT
    root.mkdir()
    for name in CAPTIONS:
        write_sample(root / name)
    (root / BROKEN).write_bytes((root / BROKEN).read_bytes()[:200])
    rows = [f'"{name}","{caption}",{split}' for name, (caption, split) in CAPTIONS.items()]
    (root / "captions.csv").write_text("\n".join(["path,caption,split", *rows]) + "\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def typed(place: Path) -> Mapping[str, Typed]:
    """Every command on that archive, one after the other, by the name of the command and what is special of it."""
    here, root = ("--workspace", WORKSPACE), ("--root", ROOT)
    folder = ("--dataset", "folder", *root, *MODEL, *here)
    lines: dict[str, tuple[str, ...]] = {
        "datasets": ("datasets", "folder", *root),
        "extract --dry-run": ("extract", *folder, "--dry-run"),
        "extract": ("extract", *folder),
        "inspect": ("inspect", *here),
        "inspect --failed": ("inspect", "--failed", *here),
        "verify": ("verify", *here),
        "compact": ("compact", *here),
        "train-head": (
            "train-head",
            "--head",
            "seq_transformer",
            "--set",
            "layers=1",
            "--epochs",
            "1",
            *here,
        ),
        "eval": ("eval", *here),
        "eval --report": ("eval", "--report", *here),
        "index": ("index", *here),
        "search": ("search", "a [/i] caption", *here),
        "search --video": ("search", "--video", f"{ROOT}/{VIDEO}", *here),
        "search --html": ("search", "a [/i] caption", "--html", "hits [b].html", *here),
        "runs": ("runs", *here),
        "stores": ("stores", *here),
        "sweep": ("sweep", "--grid", "head=seq_transformer", "layers=1", "epochs=1", "--workers", "1", *here),
        "export": ("export", f"folder-{ROOT}", "parquet", "out [c]", *here),
        "import-features": ("import-features", "parquet", "out [c]", "--workspace", "other [d] place"),
        "import-checkpoint": ("import-checkpoint", "no [b] file.pt", *here),
    }
    return {name: Typed(words, tvr(*words, cwd=place)) for name, words in lines.items()}


def test_every_command_is_here(typed: Mapping[str, Typed]) -> None:
    assert {one.words[0] for one in typed.values()} | ALONE == set(COMMANDS)


def test_commands_end_as_they_should(typed: Mapping[str, Typed]) -> None:
    for name, one in typed.items():
        assert "Traceback" not in one.answer.err, f"{name}: {one.answer.err}"
        assert one.answer.code == (2 if name == "import-checkpoint" else 0), f"{name}: {one.answer}"


def test_names_are_printed_whole(typed: Mapping[str, Typed]) -> None:
    for name, one in typed.items():
        text = one.answer.out + one.answer.err
        for start, rest in WHOLE.items():
            for found in re.finditer(rf"(?<![\w/]){re.escape(start)}", text):
                after = text[found.end() :]
                assert re.match(rest, after), f"{name}: {start}{after[:40]!r}"


def test_a_report_finds_files_of_such_names(typed: Mapping[str, Typed]) -> None:
    assert "no thumbnails" not in typed["eval --report"].answer.err


def test_captions_are_printed_whole(typed: Mapping[str, Typed]) -> None:
    for name in ("search", "search --video"):
        assert "a [/i] caption with a [bold]word" in typed[name].answer.out, name


def test_what_is_printed_as_next_can_be_typed(typed: Mapping[str, Typed], place: Path) -> None:
    lines = {
        line.removeprefix("next: tvr ")
        for one in typed.values()
        for line in one.answer.out.splitlines()
        if line.startswith("next: tvr ")
    }
    assert len(lines) > 3
    for line in lines:
        words = shlex.split(line.split(", with ")[0])
        words += MODEL if words[0] == "extract" and "--model" not in words else ()
        answer = tvr(*words, cwd=place)
        assert answer.code == 0, f"tvr {line}: {answer.err}"
