"""What every command prints with: one console for results, one for progress, and both quiet in a pipe."""

import json
import logging
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Column, Table
from rich.text import Text

from ..data.contracts.cautions import Caution
from ..data.contracts.errors import one_line
from .output.verbosity import ASKED, LOG
from .output.wrapping import fitting, folded_name, lines_of


class Lines(Console):
    """A console that ends the lines of prose (``soft_wrap=True``) between words on a terminal, and nowhere else."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich prints, a long text on several lines; what is not one text is rich's own affair."""
        if not (self.is_terminal and how.get("soft_wrap") and len(objects) == 1):
            super().print(*objects, **how)
            return
        (said,) = objects
        text = said if isinstance(said, Text) else self.render_str(str(said), markup=how.pop("markup", None))
        super().print(Text("\n").join(lines_of(text, self.width)), **how)


class Logged(Lines):
    """A console whose texts go into the log as well."""

    def print(self, *objects: Any, logged: bool = True, **how: Any) -> None:
        """As rich prints; the log gets texts alone, without colours, and those not that are of the screen alone.

        What is drawn, tables and the bars of a progress, is rich's own to print several times a second.
        """
        self._show(*objects, **how)
        if logged and LOG.isEnabledFor(logging.INFO):
            markup = bool(how.get("markup"))
            texts = [_plain(said, markup=markup) for said in objects if isinstance(said, str | Text)]
            if said := " ".join(texts).strip():
                LOG.info("%s", said)

    def _show(self, *objects: Any, **how: Any) -> None:
        super().print(*objects, **how)


def _plain(said: str | Text, *, markup: bool) -> str:
    return Text.from_markup(said).plain if markup and isinstance(said, str) else str(said)


class Remarks(Logged):
    """Standard error: what it says goes into the log, however quiet it is."""

    def _show(self, *objects: Any, **how: Any) -> None:
        if not ASKED.quiet:
            super()._show(*objects, **how)


# What a line says comes from files of any name: only a line that is printed with markup=True has [bold] in it.
out = Logged(highlight=False, markup=False, emoji=False)
"""Results: standard output."""
err = Remarks(stderr=True, highlight=False, markup=False, emoji=False)
"""Progress and remarks: standard error; nothing under ``--quiet``."""
_warnings = Lines(stderr=True, highlight=False, markup=False, emoji=False)
"""Standard error under ``--quiet``, for what is said all the same."""

WIDEST = 400
"""Characters of the widest table."""
NAME_WIDTH = 16
"""Of a table's first column on a narrow terminal, where names are folded but never left out."""
LOG_SECONDS = 30
"""Without a terminal, one line in so many seconds."""
BAR = 20
"""Characters of a bar, so that count and time have room beside it on 80 columns."""
ECHO = len("^C")
"""Characters that a bar leaves free at the end of its line, where the terminal shows the keys of an interrupt: drawn
again, it takes these away; on the next line they would stay, and the bar above them."""
AT_ONCE = 0.5
"""Seconds: what is done by then was done before."""


def warn(message: str) -> None:
    """What somebody must know who reads the result, on standard error even under ``--quiet``."""
    line = one_line(message)
    LOG.warning("%s", line)
    _insist(Text("warning: ", style="yellow") + Text(line))


def print_json(value: Any) -> None:
    """Machine-readable output: nothing else goes to standard output, and this only as a whole.

    It is JSON whatever standard output's encoding is: what that lacks is written as ``\\u00e9``. A figure that is
    not finite is null, as JSON has no other word for it.
    """
    text = _json(value, ascii_only=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = _json(value, ascii_only=True)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _json(value: Any, *, ascii_only: bool) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=2, ensure_ascii=ascii_only, allow_nan=False)


def _finite(value: Any) -> Any:
    """The value with None in place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_caution(caution: Caution | None) -> None:
    """What must be known of an encoder before hours are spent on its features; nothing for None."""
    if caution is not None:
        LOG.warning("%s", caution)
        _insist(Text.assemble((caution.label, "yellow"), f": {caution.sentence}"))


def _insist(said: Text) -> None:
    """Print above bars that are shown, which only the console that draws them can; ``--quiet`` has none."""
    if ASKED.quiet:
        _warnings.print(said, soft_wrap=True)
    else:
        err.print(said, soft_wrap=True, logged=False)


def print_row(*cells: str) -> None:
    """One line of a table for other programs, its cells set apart by tabs, which rich would turn into spaces."""
    out.file.write("\t".join(map(one_line, cells)) + "\n")


def print_table_whole(table: Table, spare: Sequence[str] = ()) -> None:
    """A table with every figure; what ``print_tables_whole`` says of several holds for it."""
    print_tables_whole([table], spare)


def print_tables_whole(tables: Sequence[Table], spare: Sequence[str] = ()) -> None:
    """Tables with every figure. On a terminal, columns that may fold do so where there is no room; then columns that
    can be spared are left out of all of them, and that is said once. Into a file or a pipe they go as wide as they are.

    Args:
        tables: what to print; where not even that makes room, it goes beyond the right edge.
        spare: headers of columns that may be left out, the first of them first.
    """
    shown, left_out = out.width, list[str]()
    for header in spare if out.is_terminal else ():
        if all(_measured(table).minimum <= shown for table in tables):
            break
        left_out += [header] if any([_left_out(table, header) for table in tables]) else []
    for table in tables:
        size = _measured(table)
        if out.is_terminal and size.maximum > shown:
            _fold(table, shown - size.minimum)
            _end_names_behind_words(table)
        out.width = min(size.maximum, max(size.minimum, shown)) if out.is_terminal else size.maximum
        try:
            out.print(table, crop=False)
        finally:
            out.width = shown
    if left_out:
        names = ", ".join(left_out)
        said = f"without {names}: no room in {shown} columns; a file, a pipe or --json has all"
        err.print(said, soft_wrap=True, logged=False)


def fit(tables: Sequence[Table]) -> bool:
    """Whether none of the tables has to fold anything, or leave anything out."""
    return not out.is_terminal or all(_measured(table).maximum <= out.width for table in tables)


def _left_out(table: Table, header: str) -> bool:
    """Leave a column out; whether there was one."""
    kept = [column for column in table.columns if column.header != header]
    had = len(kept) < len(table.columns)
    # rich gives the last column less room, and knows it by its number.
    table.columns = [replace(column, _index=number) for number, column in enumerate(kept)]
    return had


def _fold(table: Table, room: int) -> None:
    """Give columns that fold their widths: each the least it says, and of the room that is left a character at a time
    to the one that lacks most. (Left alone, rich makes some narrower than that, and then the table too wide.)
    """
    options = out.options.update(width=WIDEST)
    folding = [column for column in table.columns if _folds(column)]
    lacking = list[int]()
    for column in folding:
        column.width = column.min_width or 0
        widest = max(Measurement.get(out, options, cell).maximum for cell in (column.header, *column.cells))
        lacking.append(max(0, widest - column.width))
    for _ in range(min(max(0, room), sum(lacking))):
        most = lacking.index(max(lacking))
        column = folding[most]
        column.width = (column.width or 0) + 1
        lacking[most] -= 1


def _end_names_behind_words(table: Table) -> None:
    """In columns that fold, put the line ends where a reader does, before rich puts them anywhere."""
    for place, column in enumerate(table.columns):
        if _folds(column) and column.width:
            cells: list[RenderableType] = [
                folded_name(cell, column.width) if isinstance(cell, str) else cell for cell in column.cells
            ]
            table.columns[place] = replace(column, _cells=cells)


def _folds(column: Column) -> bool:
    return column.overflow == "fold" and column.min_width is not None and not column.no_wrap


def _measured(table: Table) -> Measurement:
    """The least and the greatest width of a table, the terminal's own put aside: a column that does not wrap needs all
    of its cells, one that folds no more than it says, however long its words are.
    """
    options = out.options.update(width=WIDEST)
    size = Measurement.get(out, options, table)
    least = size.minimum
    for column in table.columns:
        cells = [Measurement.get(out, options, cell) for cell in (column.header, *column.cells)]
        narrowest = column.min_width or 0
        counted = max(narrowest, *(cell.minimum for cell in cells))
        if column.no_wrap:
            least += max(narrowest, *(cell.maximum for cell in cells)) - counted
        elif _folds(column):
            least += narrowest - counted
    return Measurement(least, size.maximum)


class _TimeLeft(ProgressColumn):
    """How long the rest takes at the pace so far, counting down between two updates."""

    def render(self, task: Task) -> Text:
        """``0:05:10 left``; nothing while nobody knows, nor once nothing is left."""
        ends = task.fields["ends"]
        return Text("" if ends is None or task.finished else f"{_clock(ends - time.monotonic())} left")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


class Meter:
    """Progress of one stage: a bar on a terminal, otherwise a log line every ``LOG_SECONDS``."""

    def __init__(self, title: str, unit: str, *, at_once: bool = True) -> None:
        """
        Args:
            title: what is going on.
            unit: what is counted, in the plural.
            at_once: show the bar before anything is done, of which the first may take minutes.
        """
        self._at_once = at_once
        self.title, self.unit = title, unit
        self._started = self._logged = time.monotonic()
        self._done_before: int | None = None
        self._bar: ProgressBar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Meter":
        if err.is_terminal and not ASKED.quiet:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(BAR), MofNCompleteColumn())
            rate = TextColumn("{task.fields[rate]}", markup=False)
            self._bar = ProgressBar(*columns, _TimeLeft(), rate, console=err)
            if self._at_once:
                self._task = self._bar.add_task(self.title, total=None, ends=None, rate="")
            try:
                self._bar.start()
            except BaseException:  # Ctrl-C: what is said of it stands below no bar that goes on
                self._bar.stop()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            if self._task is not None and self._done_before is None:
                self._bar.remove_task(self._task)  # nothing was to be done
            self._bar.stop()

    def begin(self, seconds: float) -> None:
        """Say when its stage began, on the clock of ``time.monotonic``; nothing once some of it was shown."""
        if self._done_before is None:
            self._started = seconds

    def update(self, done: int, total: int, remarks: Iterable[str] = ()) -> None:
        """Show that ``done`` of ``total`` items are done, with the rate and as many remarks as there is room for."""
        if self._done_before is None:
            # What is reported at once was there already, and says nothing of the pace.
            self._done_before = done if self.elapsed_seconds < AT_ONCE else 0
        here = done - self._done_before
        left = (total - done) * self.elapsed_seconds / here if here else None
        parts = [*self._rate(here), *remarks]
        if self._bar is not None:
            self._show(done, total, left, parts)
        if time.monotonic() - self._logged >= LOG_SECONDS:
            self._logged = time.monotonic()
            line = f"{self.title}: {done:,} of {total:,} ({', '.join(parts)})"
            line += "" if left is None or done >= total else f", {_clock(left)} left"
            if self._bar is None:
                err.print(line, soft_wrap=True)
            else:
                LOG.info("%s", line)

    def _rate(self, done: int) -> list[str]:
        """``12.3 videos/s``; where that is less than one, ``4.2 s/video``."""
        if not done:
            return []
        rate = done / max(self.elapsed_seconds, 1e-6)
        return [
            f"{rate:,.1f} {self.unit}/s" if rate >= 1 else f"{1 / rate:,.1f} s/{self.unit.removesuffix('s')}"
        ]

    def _show(self, done: int, total: int, left: float | None, parts: list[str]) -> None:
        assert self._bar is not None
        ends = None if left is None else time.monotonic() + left
        taken = len(self.title) + BAR + len(f"{total}/{total}") + len("00:00:00 left") + 4
        rate = fitting(parts, err.width - taken - ECHO)
        if self._task is None:
            # With what is done: a task is drawn as soon as it is added.
            self._task = self._bar.add_task(self.title, total=total, completed=done, ends=ends, rate=rate)
        is_first = self._bar.tasks[0].total is None
        self._bar.update(self._task, completed=done, total=total, ends=ends, rate=rate, refresh=is_first)

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since this meter was made, or since its stage began."""
        return time.monotonic() - self._started
