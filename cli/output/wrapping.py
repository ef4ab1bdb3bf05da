"""Where a line ends on a terminal: between words, with every command whole, so that it can be pasted."""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

LONGEST_LABEL = 16
"""Characters; what is longer than that is no label, but words of the sentence."""
_COMMAND = re.compile(r"(?:(?<=: )|^)(?:\$ )?tvr (?=[a-z'$-])")
"""A command begins at the line's start, with or without a prompt, or behind a colon, and goes on to the end of the
line."""
_UNIT = re.compile(r"(?:`[^`]*`|\S)+\s*")
"""What stays together: a word, a path, or a command between backticks."""
_PART = re.compile(r"\(*[^\s\-_/.,=()]+[\s\-_/.,=)]*|[\s\-_/.,=()]+")
"""Of a name: a word and the signs behind it."""
_LABEL = re.compile(r" *(?:[\w-]+(?: [\w-]+)? {2,})?")
"""What further lines are indented by: blanks, and a label with more than one blank behind it."""


def lines_of(text: Text, width: int) -> list[Text]:
    """A text as the lines of a terminal, each of which ends between two words.

    A command stays on one line, however long it is, and stands alone where there is no room beside the prose before
    it; so does a word that is wider than the terminal, such as a path. The terminal breaks these itself, and gives them
    back whole to whoever copies them.

    Args:
        text: one line or more of prose.
        width: columns of the terminal.
    """
    return [part for line in text.split("\n", allow_blank=True) for part in _folded(line, width)]


def folded_name(name: str, width: int) -> str:
    """A name on lines of so many columns, which end behind a sign or a blank where there is one, and not in a word.

    Args:
        name: of a run, a store or the like.
        width: columns; a word that is wider is cut by whoever prints it.
    """
    lines = [""]
    for part in _PART.findall(name):
        if lines[-1] and cell_len(lines[-1] + part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def for_standard_error(message: str) -> str:
    """A message as it is written there: in such lines where that is a terminal, as it is everywhere else."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return message
    return "\n".join(line.plain for line in lines_of(Text(message), console.width))


def _folded(line: Text, width: int) -> Iterator[Text]:
    """One line of prose; if it has room, as it is."""
    plain = line.plain
    if cell_len(plain) <= width:
        yield line
        return
    indent = _indent(plain)
    begin, used = 0, 0
    for start, stop in _units(plain):
        needed = cell_len(plain[start:stop].rstrip())
        if start > begin and used + needed > width and not _is_bare_label(plain[:start], begin):
            yield _part(line, begin, start, indent)
            begin, used = start, indent
        used += cell_len(plain[start:stop])
    yield _part(line, begin, len(plain), indent)


def _indent(plain: str) -> int:
    found = _LABEL.match(plain)
    indent = 0 if found is None else found.end()
    return indent if indent <= LONGEST_LABEL else 0


def _units(plain: str) -> Iterator[tuple[int, int]]:
    """Where each thing that stays together begins, and the next one."""
    found = _COMMAND.search(plain)
    prose = len(plain) if found is None else found.start()
    yield from (unit.span() for unit in _UNIT.finditer(plain, 0, prose))
    if found is not None:
        yield prose, len(plain)


def _is_bare_label(before: str, begin: int) -> bool:
    """Whether nothing stands before a word but ``see why:`` or the like, which says what the command beside it is."""
    return begin == 0 and len(before) <= LONGEST_LABEL and before.rstrip().endswith(":")


def _part(line: Text, begin: int, stop: int, indent: int) -> Text:
    part = line[begin:stop]
    part.rstrip()
    return Text.assemble(" " * indent, part) if begin else part


def fitting(parts: Sequence[str], room: int) -> str:
    """As many of the parts as there is room for, none of them cut."""
    text = ""
    for part in parts:
        longer = f"{text}, {part}" if text else part
        if len(longer) > room:
            break
        text = longer
    return text
