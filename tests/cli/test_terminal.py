"""Tables in a pipe and on a narrow terminal."""

import logging
import re
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.table import Table
from tvr.cli import terminal
from tvr.cli.output import waiting
from tvr.cli.output.verbosity import ASKED, LOG
from tvr.data.contracts.cautions import WEAK

NAME, FIGURE = "a head with a rather long name", "12.5-22.5"


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, on_terminal: bool) -> str:
    monkeypatch.setattr(terminal, "out", Console(force_terminal=on_terminal, width=60, color_system=None))
    table = Table("", *(f"R@{k}" for k in range(8)))
    table.columns[0].min_width = 12
    for column in table.columns[1:]:
        column.no_wrap = True
    table.add_row(NAME, *[FIGURE] * 8)
    terminal.print_table_whole(table)
    assert terminal.out.width == 60
    return capsys.readouterr().out


def test_a_pipe_gets_every_figure_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(monkeypatch, capsys, on_terminal=False).splitlines()
    assert any(NAME in line and line.count(FIGURE) == 8 for line in lines)


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "[/red]", "[link=http://x]y", ":warning: :smile:", "x\\"])
def test_a_name_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], name: str) -> None:
    terminal.out.print(name, soft_wrap=True)
    terminal.err.print(name, soft_wrap=True)
    assert capsys.readouterr() == (f"{name}\n", f"{name}\n")


def test_a_narrow_terminal_folds_names_and_cuts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(monkeypatch, capsys, on_terminal=True)
    assert NAME not in text
    assert all(word in text for word in NAME.split())
    assert text.count(FIGURE) == 8
    assert "…" not in text


def test_a_narrow_terminal_folds_names_behind_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "out", Console(force_terminal=True, width=40, color_system=None))
    table = Table(box=None, pad_edge=False)
    table.add_column("head", min_width=16, overflow="fold")
    table.add_column("figures", no_wrap=True)
    table.add_row("seq_transformer (demo-seq_transformer-2400)", "1.0 2.0 3.0 4.0 5.0")
    terminal.print_table_whole(table)
    first = [line[:20].rstrip() for line in capsys.readouterr().out.splitlines()[1:]]
    assert first == ["seq_transformer", "(demo-seq_", "transformer-2400)"]


def wide_table() -> Table:
    table = Table("", "MnR", "tied", "R@1")
    for column in table.columns:
        column.no_wrap = True
    table.add_row("n" * 40, "12345678", "12345", "50.0")
    return table


@pytest.mark.parametrize(("width", "left_out"), [(120, []), (66, ["MnR"]), (56, ["MnR", "tied"])])
def test_columns_to_spare_give_way_one_after_the_other_and_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, left_out: list[str]
) -> None:
    monkeypatch.setattr(terminal, "out", Console(force_terminal=True, width=width, color_system=None))
    terminal.print_table_whole(wide_table(), spare=("MnR", "tied"))
    told = capsys.readouterr()
    assert "50.0" in told.out
    assert max(map(len, told.out.splitlines())) <= width
    for header in ("MnR", "tied"):
        assert (header in told.out) == (header not in left_out)
        assert (header in told.err) == (header in left_out)


def test_the_log_says_nothing_of_columns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has all the room there is."""
    monkeypatch.setattr(terminal, "out", Console(force_terminal=True, width=56, color_system=None))
    with caplog.at_level(logging.INFO, LOG.name):
        terminal.print_table_whole(wide_table(), spare=("MnR", "tied"))
        terminal.err.print("a remark")
    assert caplog.messages == ["a remark"]


def test_the_log_gets_texts_and_nothing_that_is_drawn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rich draws its bars ten times a second through the console that remarks are printed with."""
    with caplog.at_level(logging.INFO, LOG.name):
        metered(monkeypatch, [(1.0, 1), (2.0, 2)], 10, "epochs", remark="a remark")
        terminal.out.print("10 videos")
        terminal.out.print(r"[red]failed[/] \[why]", markup=True)
        terminal.out.print(wide_table())
    assert caplog.messages == ["a remark", "10 videos", "failed [why]"]


def test_a_pipe_spares_no_column(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "out", Console(force_terminal=False, width=40, color_system=None))
    terminal.print_table_whole(wide_table(), spare=("MnR", "tied"))
    told = capsys.readouterr()
    assert "12345678" in told.out
    assert told.err == ""


def metered(
    monkeypatch: pytest.MonkeyPatch,
    updates: list[tuple[float, int]],
    total: int,
    unit: str,
    remark: str = "",
) -> str:
    """What stands on a terminal of 80 columns after updates at these seconds with so many done."""
    now = [0.0]
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: now[0]))  # not everybody's clock
    screen = StringIO()
    console = terminal.Remarks(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(terminal, "err", console)
    with terminal.Meter("training hcmi", unit) as meter:
        for seconds, done in updates:
            now[0] = seconds
            meter.update(done, total, [f"contrastive_frame_word {i}.123" for i in range(5)])
        if remark:
            console.print(remark)
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", line) for line in screen.getvalue().splitlines()]
    return [line for line in lines if line.strip()][-1]


def test_a_narrow_terminal_keeps_bar_count_and_time_of_a_slow_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = metered(monkeypatch, [(100.0, 1), (200.0, 2)], 10, "epochs")
    assert "training hcmi" in line
    assert "━" in line
    assert "2/10" in line
    assert "0:13:20 left" in line
    assert "100.0 s/epoch" in line
    assert "0.0" not in line.replace("100.0", "")
    assert len(line) <= 80


def test_what_was_done_before_does_not_count_as_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    line = metered(monkeypatch, [(0.1, 900), (10.0, 910)], 1000, "videos")
    assert "910/1000" in line
    assert "1.0 videos/s" in line
    assert "0:01:30 left" in line


def test_a_bar_is_first_drawn_with_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    console = terminal.Remarks(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(terminal, "err", console)
    with terminal.Meter("captions", "captions") as meter:
        meter.update(60, 60)
    assert "60/60" in screen.getvalue()
    assert "0/60" not in screen.getvalue().replace("60/60", "")


def screen_of(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """A terminal of 80 columns that takes remarks, and what is written on it."""
    screen = StringIO()
    console = terminal.Remarks(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(terminal, "err", console)
    monkeypatch.setattr(waiting, "err", console)
    return screen


def test_a_finished_bar_has_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    line = metered(monkeypatch, [(1.0, 1), (2.0, 2)], 2, "epochs")
    assert "2/2" in line
    assert "left" not in line


def test_a_warning_goes_above_a_running_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    with terminal.Meter("videos", "videos") as meter:
        meter.update(1, 10)
        before = screen.tell()
        terminal.warn("mind this")
        terminal.print_caution(WEAK)
        said = screen.getvalue()[before:]
    for words in ("warning: mind this", WEAK.label):
        line_start = said[: said.index(words)].rpartition("\n")[2]
        assert line_start.count("\r") or not line_start, "the bar's line was cleared first"
        assert "videos" not in line_start.rpartition("\r")[2]
    assert "1/10" in said.rpartition(WEAK.label)[2], "and it was drawn again below"


def test_a_bar_is_there_before_the_first_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    with terminal.Meter("training hcmi", "epochs"):
        pass
    assert "training hcmi" in screen.getvalue()


def test_a_bar_of_what_may_have_nothing_to_do_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    with terminal.Meter("looking at files", "files", at_once=False):
        pass
    assert "looking at files" not in screen.getvalue()


def test_who_waits_is_told_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    with waiting.waiting("loading [/i] words"):
        pass
    assert "loading [/i] words" in screen.getvalue()


@pytest.mark.parametrize(("on_terminal", "quiet"), [(True, True), (False, False)])
def test_who_asked_for_quiet_and_a_pipe_are_told_nothing(
    monkeypatch: pytest.MonkeyPatch, *, on_terminal: bool, quiet: bool
) -> None:
    screen = StringIO()
    monkeypatch.setattr(waiting, "err", terminal.Remarks(file=screen, force_terminal=on_terminal))
    monkeypatch.setattr(ASKED, "quiet", quiet)
    with waiting.waiting("loading words"):
        pass
    assert screen.getvalue() == ""
