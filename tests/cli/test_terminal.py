"""Tables in a pipe and on a narrow terminal."""

import pytest
from rich.console import Console
from rich.table import Table
from tvr.cli import terminal

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
