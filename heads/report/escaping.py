"""Captions, ids and settings as text of a document: nothing in them is markup, a formula or a line's end."""

import html
import re

from ...data.contracts.errors import one_line

LONGEST = 4000
"""Characters of a text that a document repeats."""
LONGEST_LABEL = 40
"""Characters of a label in a picture, which has no more room."""

_MARKUP = re.compile(r"[\\`*\[\]<>|~$&#]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown (CommonMark, with GitHub's tables, strikethrough and formulas) may read as more than a letter. An
underscore between letters is none."""


def in_markdown(text: str) -> str:
    """The text as Markdown shows it literally, in a line, a table's cell or a picture's description."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", _shown(text, LONGEST))


def in_html(text: str) -> str:
    """The text as HTML shows it literally, between tags or in an attribute's double quotes."""
    return html.escape(_shown(text, LONGEST))


def in_picture(text: str) -> str:
    """The text as a label, short enough for one. matplotlib must be told apart that it holds no formula."""
    return _shown(text, LONGEST_LABEL)


def _shown(text: str, longest: int) -> str:
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
