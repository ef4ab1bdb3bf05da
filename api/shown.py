"""How results look: tables of text and of HTML, and bars of progress in terminals and notebooks."""

import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from .heads.report.escaping import in_html

OnDone = Callable[[int, int], None]
"""Told how much is done, and how much there is."""


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what is in them: the first to the left, numbers to the right."""
    lines = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    numbers = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in lines
    )


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> str:
    """The same for a notebook; nothing of it is read as markup."""
    heads = "".join(f"<th>{in_html(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{in_html(cell)}</td>' for cell in row)}</tr>" for row in rows)
    caption = f"<p><b>{in_html(title)}</b></p>" if title else ""
    return f"{caption}<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def facts_table(title: str, facts: Mapping[str, str]) -> str:
    """Names and values for a notebook."""
    return html_table(("", ""), list(facts.items()), title)


def _is_number(cell: str) -> bool:
    return not cell or cell.lstrip("-").replace(".", "").replace(",", "").rstrip("*").isdigit()


@contextmanager
def progress_bar(title: str, unit: str, *, shown: bool) -> Generator[OnDone]:
    """A bar that appears with the first of what is done, in a notebook as a widget where it has these.

    Args:
        title: what is done.
        unit: of what is counted.
        shown: whether there is one at all.
    """
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar
        if not shown:
            return
        if bar is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are no widgets: the bar is text then
                from tqdm.auto import tqdm

                bar = tqdm(total=total, desc=title, unit=f" {unit}")
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def bar_a_stage(
    open_bar: Callable[[str], AbstractContextManager[OnDone]],
) -> Generator[Callable[[str, int, int], None]]:
    """A bar for each stage, one after another; what is given is told the stage, how much is done and how much there is.

    Args:
        open_bar: gives the bar of a stage.
    """
    with ExitStack() as stack:
        begun: dict[str, OnDone] = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in begun:
                stack.close()
                begun[stage] = stack.enter_context(open_bar(stage))
            begun[stage](done, total)

        yield told
