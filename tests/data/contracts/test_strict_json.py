"""JSON of anybody."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tvr.data.contracts.numbers import LARGEST_WHOLE
from tvr.data.contracts.strict_json import MAX_LEVELS, json_of, read_json, read_json_lines

from ...fixtures.fuzz import cases
from ...fixtures.hostile import HOSTILE_JSON

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_WHOLE, LARGEST_WHOLE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=cases(400), deadline=None)
@given(PLAIN, st.booleans())
@example(["[" * 200, '"[{' * 50, "\\" * 7, '\\"[' * 40], False)
@example({"{" * 200: [{"\\": "]]"}]}, True)
def test_plain_data_comes_back(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert json_of(text) == value
    if not ascii_only and not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert json_of(b"\xef\xbb\xbf" + text.encode()) == value


@pytest.mark.parametrize("name", HOSTILE_JSON)
def test_hostile_json_fails_in_one_short_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{10,150}$"):
        json_of(HOSTILE_JSON[name])


@settings(max_examples=cases(400), deadline=None)
@given(st.lists(st.sampled_from([*'[]{}",:\\ ', "1 ", "true", '\\"']), max_size=60).map("".join))
def test_any_brackets(part: str) -> None:
    """Text is counted before it is read, and what is counted wrong would be a RecursionError or a refusal."""
    text = part * 20
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            json_of(text)
    else:
        assert json_of(text) == expected


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_levels_are_counted(opening: str, closing: str) -> None:
    times = MAX_LEVELS // (opening + closing).count("]") if opening == "[" else MAX_LEVELS // len(closing)
    inside = opening * times + "1" + closing * times
    assert json_of(inside) == json.loads(inside)
    with pytest.raises(ValueError, match=f"more than {MAX_LEVELS} levels deep"):
        json_of(f"[{inside}]")
    with pytest.raises(ValueError, match=f"more than {MAX_LEVELS} levels deep"):
        json_of(opening * 100_000)


def test_a_file_and_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b'{"a": 1}\n\n{"a": 2.5}\r\n')
    assert read_json_lines(file) == [{"a": 1}, {"a": 2.5}]
    with pytest.raises(json.JSONDecodeError, match="line 3"):
        read_json(file)
    file.write_bytes(b'{"a": 1}')
    assert read_json(file) == {"a": 1}


def test_a_file_fails(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b"1\n[NaN]")
    with pytest.raises(ValueError, match=r"^line 2: NaN is no number of JSON$"):
        read_json_lines(file)
    file.write_bytes(b" " * (2 << 20))
    with pytest.raises(ValueError, match=r"^more than 1 MiB long$"):
        read_json(file, max_bytes=1 << 20)
    with pytest.raises(OSError):
        read_json(tmp_path / "absent.json")
