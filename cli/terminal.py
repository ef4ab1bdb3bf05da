"""What every command prints with: one console for results, one for progress, and both quiet in a pipe."""

import json
import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from ..data.contracts.cautions import Caution
from ..data.contracts.errors import one_line

# What a line says comes from files of any name: only a line that is printed with markup=True has [bold] in it.
out = Console(highlight=False, markup=False, emoji=False)
"""Results: standard output."""
err = Console(stderr=True, highlight=False, markup=False, emoji=False)
"""Progress and remarks: standard error."""

WIDEST = 400
"""Characters of the widest table."""
LOG_SECONDS = 30
"""Without a terminal, one line in so many seconds."""


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
    """What must be known of an encoder before hours are spent on its features, as a remark; nothing for None."""
    if caution is not None:
        err.print(Text.assemble((caution.label, "yellow"), f": {caution.sentence}"), soft_wrap=True)


def print_row(*cells: str) -> None:
    """One line of a table for other programs, its cells set apart by tabs, which rich would turn into spaces."""
    out.file.write("\t".join(map(one_line, cells)) + "\n")


def print_table_whole(table: Table) -> None:
    """A table with every figure, beyond the right edge where there is no room for them.

    Into a file or a pipe it goes as wide as it is; on a terminal, columns that may fold do so first.
    """
    shown = out.width
    out.width = WIDEST
    size = Measurement.get(out, out.options, table)
    out.width = min(size.maximum, max(size.minimum, shown)) if out.is_terminal else size.maximum
    try:
        out.print(table, crop=False)
    finally:
        out.width = shown


class Meter:
    """Progress of one stage: a bar on a terminal, otherwise a log line every ``LOG_SECONDS``."""

    def __init__(self, title: str, unit: str) -> None:
        self.title, self.unit = title, unit
        self._started = self._logged = time.monotonic()
        self._bar: ProgressBar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Meter":
        if err.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = ProgressBar(
                *columns, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=err
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int, remark: str = "") -> None:
        """Show that ``done`` of ``total`` items are done, with the rate and a remark."""
        elapsed = max(time.monotonic() - self._started, 1e-6)
        rate = f"{done / elapsed:,.1f} {self.unit}/s {remark}"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(self.title, total=total, rate=rate)
            self._bar.update(self._task, completed=done, total=total, rate=rate)
        elif time.monotonic() - self._logged >= LOG_SECONDS:
            self._logged = time.monotonic()
            left = (total - done) * elapsed / max(done, 1)
            err.print(
                f"{self.title}: {done:,} of {total:,} ({rate.strip()}), {left:,.0f} s left", soft_wrap=True
            )

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since this meter was made."""
        return time.monotonic() - self._started
