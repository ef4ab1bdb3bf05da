"""Long lines on a terminal: prose ends between words, and what can be pasted stays whole."""

import logging
import sys
from io import StringIO

import pytest
from rich.text import Text
from tvr.cli import terminal
from tvr.cli.output.verbosity import LOG
from tvr.cli.output.wrapping import folded_name, for_standard_error, lines_of
from tvr.data.contracts.cautions import DRAWINGS_ONLY

COMMAND = "tvr train-head --run 'tvr-workspace/runs/folder-holiday pictures/seq_transformer-1'"
LEFT = f"note: not finished: run seq_transformer-1 (stopped after 1 of 20 epochs); to go on: {COMMAND}"


class Screen(StringIO):
    """Standard error of a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """What stands on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    shown = Screen()
    for name, kind in (("err", terminal.Remarks), ("out", terminal.Lines), ("_warnings", terminal.Lines)):
        monkeypatch.setattr(terminal, name, kind(file=shown, width=80, color_system=None, markup=False))
    return shown


@pytest.mark.parametrize("said", ["print_caution", "warn", "remark", "result"])
def test_prose_ends_between_words(screen: Screen, said: str) -> None:
    if said == "print_caution":
        terminal.print_caution(DRAWINGS_ONLY)
    else:
        speak = {"warn": terminal.warn, "remark": terminal.err.print, "result": terminal.out.print}[said]
        speak(str(DRAWINGS_ONLY), **({} if said == "warn" else {"soft_wrap": True}))
    lines = screen.getvalue().splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).endswith(str(DRAWINGS_ONLY))


def test_a_command_stays_whole_on_a_line_of_its_own() -> None:
    *prose, command = (line.plain for line in lines_of(Text(LEFT), 80))
    assert command == COMMAND
    assert " ".join(prose).endswith("; to go on:")
    assert max(map(len, prose)) <= 80
    (only,) = lines_of(Text(f"next: {COMMAND}"), 60)
    assert only.plain == f"next: {COMMAND}"
    assert [line.plain for line in lines_of(Text("the very same `tvr extract --dataset x` again"), 30)] == [
        "the very same",
        "`tvr extract --dataset x`",
        "again",
    ]


def test_a_command_in_prose_fails_to_stay_whole_without_a_colon() -> None:
    """So it must have one, or backticks: everything else is words."""
    assert COMMAND not in [line.plain for line in lines_of(Text(f"as it was begun by {COMMAND}"), 60)]


@pytest.mark.parametrize(
    "before", ["-q", "--log-file /tmp/a-long-name.log", "'--log-file=a b'", r"$'--log-file=\x09'"]
)
@pytest.mark.parametrize("label", ["to go on", "next"])
def test_a_command_behind_global_options_is_whole(before: str, label: str) -> None:
    command = f"tvr {before} extract --config a-workspace/features/folder-holiday-pictures/ViT-B-32-openai/extract.toml"
    *prose, last = (line.plain for line in lines_of(Text(f"tvr: {label}: {command}"), 80))
    assert last.removeprefix(f"tvr: {label}: ") == command
    assert not prose


def test_a_command_behind_a_prompt_is_whole() -> None:
    assert [line.plain for line in lines_of(Text(f"$ {COMMAND}"), 20)] == [f"$ {COMMAND}"]


def test_what_stands_below_a_label_is_indented() -> None:
    lines = [line.plain for line in lines_of(Text(f"caution    {DRAWINGS_ONLY}"), 60)]
    assert all(line.startswith(" " * 11) for line in lines[1:])
    assert all(len(line) <= 60 for line in lines)
    assert lines_of(Text("  3 x /no/such/" + "x" * 90), 40)[-1].plain.endswith("/no/such/" + "x" * 90)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("demo-seq_transformer-2400", ["demo-seq_", "transformer-", "2400"]),
        ("folder-my clips/hcmi-1", ["folder-my", "clips/hcmi-1"]),
        ("a_very_long-name", ["a_very_long-", "name"]),
        ("short", ["short"]),
        ("x" * 30, ["x" * 30]),
    ],
)
def test_names_end_behind_words(name: str, lines: list[str]) -> None:
    assert folded_name(name, 12).split("\n") == lines


def test_styles_stay_where_they_are() -> None:
    first, *_ = lines_of(Text.assemble(("random weights", "yellow"), ": ", "words " * 20), 40)
    assert [(span.start, span.end) for span in first.spans] == [(0, 14)]


def test_errors_end_between_words_too(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    lines = for_standard_error(f"tvr: {DRAWINGS_ONLY}\nsecond").splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
    monkeypatch.setattr(sys, "stderr", StringIO())
    assert for_standard_error(f"tvr: {LEFT}") == f"tvr: {LEFT}"


def test_a_pipe_and_the_log_get_long_lines_whole(
    screen: Screen, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, LOG.name):
        terminal.err.print(LEFT, soft_wrap=True)
    assert caplog.messages == [LEFT]
    terminal.Lines(width=40, force_terminal=False).print(LEFT, soft_wrap=True)
    assert capsys.readouterr().out == f"{LEFT}\n"
