"""Words of messages."""

import pytest
from tvr.data.contracts.errors import one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a plain café [0.0-4.5]", "a plain café [0.0-4.5]"),
        ("new\nline\ttab", r"new\nline\ttab"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\u2028lines", r"two\u2028lines"),
        ("bad\udcff", r"bad\udcff"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
