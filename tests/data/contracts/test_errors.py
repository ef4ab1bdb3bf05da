"""Words of messages."""

import os
import subprocess
from pathlib import Path

import pytest
from tvr.data.contracts.errors import UsageError, counted, known_names, one_line, pasteable, unknown_name


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


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("folder-my", ["folder-cap", "folder-my clips [x]"], "folder-my clips [x]"),
        ("fodler-cap/words", ["folder-cap/words", "other/words"], "folder-cap/words"),
        ("folder-cap/wrods", ["folder-cap/words", "folder-cap/other"], "folder-cap/words"),
        ("folder-cap/w", ["folder-cap/words", "folder-cap/words-2"], "folder-cap/words"),
        ("hcmi-3", ["hcmi-1", "msrvtt/wti-1"], "hcmi-1"),
    ],
)
def test_the_name_that_was_probably_meant_is_offered(name: str, known: list[str], near: str) -> None:
    assert f" Did you mean {near!r}?" in unknown_name("store", name, known)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (
            "folder-cap/words-imagenet-minilm",
            ["folder-my clips [x]/words-imagenet-minilm", "folder-my clips [x]"],
        ),
        ("folder-cap/words", ["folder-cap", "folder-cap/xy"]),
        ("zz", ["zzz-and-more"]),
        ("", ["model"]),
    ],
)
def test_a_name_of_something_else_fails_to_be_offered(name: str, known: list[str]) -> None:
    """Such as the store of another data set, where the one that was asked for is deleted."""
    assert "Did you mean" not in unknown_name("store", name, known)


def test_long_lists_of_names_are_shortened_to_the_nearest_five() -> None:
    known = [f"setting_{number}" for number in range(40)]
    message = unknown_name("setting", "settin_7", known)
    assert "Nearest of 40: setting_7," in message
    assert message.count("setting_") == 6  # the suggestion, and five
    few = known[:20]
    assert all(name in unknown_name("setting", "settin_7", few) for name in few)


def test_no_name_near_is_a_list_all_the_same() -> None:
    assert known_names("zzz", map(str, range(30))).count(",") == 4
    assert known_names("zzz", []) == "Known: none."


@pytest.mark.parametrize(("number", "text"), [(0, "0 videos"), (1, "1 video"), (1200, "1,200 videos")])
def test_a_number_with_its_noun(number: int, text: str) -> None:
    assert counted(number, "video") == text
