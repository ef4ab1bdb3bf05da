"""Words of messages."""

import os
import subprocess
from pathlib import Path

import pytest
from tvr.data.contracts.errors import UsageError, one_line, pasteable


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a plain café [0.0-4.5]", "a plain café [0.0-4.5]"),
        ("new\nline\ttab", r"new\nline\ttab"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\u2028lines", r"two\u2028lines"),
        ("bad\udcff", r"bad\udcff"),
        ("right-to-left \u200f mark", "right-to-left \u200f mark"),
        ("photo\u202egnp.exe \u2066x", r"photo\u202egnp.exe \u2066x"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    "text",
    [
        "runs/a b",
        "$(touch x)",
        "`touch x`",
        "a'b",
        'a"b',
        "*",
        "a;b",
        "a\nb",
        "it's\x1b[31mred\\n",
        "\udcff",
        "é中",
        "",
    ],
)
def test_a_pasted_word_is_that_word(text: str, tmp_path: Path) -> None:
    """What a message says to type is typed, whatever the folder is called."""
    command = f"printf %s {pasteable(text)}"
    assert one_line(command) == command
    shown = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True).stdout
    assert shown == os.fsencode(text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("length", "told"), [(4000, "x" * 4000), (4321, "x" * 4000 + " ... (321 characters more)")]
)
def test_a_message_is_cut(length: int, told: str) -> None:
    assert str(UsageError("x" * length)) == told
