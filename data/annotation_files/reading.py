"""Annotation files as text, lines, records. What is wrong is told by file, line or key, with the remedy."""

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ..contracts.errors import DataError
from ..contracts.strict_json import json_of

CODECS_BY_MARK = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "gzip", b"PK": "ZIP"}
"""First bytes of what is mistaken for UTF-8 text."""


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """One annotation file that was read."""

    path: Path
    text: str
    sha256: str
    """Digest of the bytes on disk."""


def read_annotation(path: Path) -> AnnotationFile:
    """Read a UTF-8 text file, gzipped where its name ends in ``.gz``; a byte order mark is accepted.

    Raises:
        DataError: it cannot be read, or is not UTF-8; the message names the line.
    """
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}. Check the file and fetch it again.") from error
    return AnnotationFile(path, decoded(data, path), hashlib.sha256(raw).hexdigest())


def decoded(data: bytes, path: Path) -> str:
    """UTF-8 bytes as text, or a DataError that names the line and how to convert the file."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        kind = next((name for mark, name in CODECS_BY_MARK.items() if data.startswith(mark)), None)
        raise DataError(not_utf8(path, line, error, kind)) from None


def not_utf8(path: Path, line: int, error: UnicodeDecodeError, kind: str | None = None) -> str:
    """The message for bytes that are not UTF-8."""
    byte = error.object[error.start]
    looks = f" (it looks like {kind})" if kind else ""
    return (
        f"{path}: line {line}: annotation files must be UTF-8, found byte 0x{byte:02x}{looks}. Save the file "
        f"as UTF-8, for instance with: iconv -f {'UTF-16' if kind == 'UTF-16' else 'CP1252'} -t UTF-8"
    )


def id_list(file: AnnotationFile) -> list[str]:
    """The ids of a list with one id a line; blank lines and surrounding blanks do not count.

    Raises:
        DataError: an id stands there twice, or there is none.
    """
    lines = ((number, line.strip()) for number, line in enumerate(file.text.splitlines(), 1))
    return unique_ids(((number, line) for number, line in lines if line), file.path)


def unique_ids(numbered: Iterable[tuple[int, str]], path: Path) -> list[str]:
    """Ids in order, or a DataError naming both lines of one that stands there twice."""
    first: dict[str, int] = {}
    for number, name in numbered:
        if name in first:
            raise DataError(
                f"{path}: line {number}: duplicate id {name!r}, first on line {first[name]}. Remove one."
            )
        first[name] = number
    if not first:
        raise DataError(f"{path}: holds no id. It must hold one video id a line; fetch the file again.")
    return list(first)


def json_value(file: AnnotationFile) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it is not JSON, and then the message names line and column, or no annotation in any case: a key twice
            in one object, of which JSON would keep the last, NaN, numbers of thousands of digits, lists in lists in ...
    """
    try:
        return json_of(file.text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file.path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}. "
            "The file may be cut off; fetch it again."
        ) from None
    except ValueError as error:
        raise DataError(f"{file.path}: {error}. Is it the right file? Then remove what is wrong.") from None


def json_object(file: AnnotationFile) -> Mapping[str, Any]:
    """What a JSON file of one object by video id holds.

    Raises:
        DataError: it is not what ``json_value`` reads, or not an object.
    """
    return mapping_at(json_value(file), str(file.path))


def json_lines(file: AnnotationFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each record of a JSON-lines file with its place (``FILE: line 3``) for messages."""
    for number, line in enumerate(file.text.split("\n"), 1):
        if line.strip():
            place = f"{file.path}: line {number}"
            yield place, json_line(line, place)


def json_line(line: str, place: str) -> Mapping[str, Any]:
    """The object that one line of a JSON-lines file holds.

    Raises:
        DataError: it holds something else, or none that ``json_of`` takes; the message begins with the place.
    """
    try:
        record = json_of(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error.msg}. Each line must be one JSON object.") from None
    except ValueError as error:
        raise DataError(f"{place}: {error}. Correct the line, or remove it.") from None
    return mapping_at(record, place)


def json_records(file: AnnotationFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each object of a JSON array with its place (``FILE: entry 17``) for messages.

    Raises:
        DataError: it is not JSON, or not an array of objects.
    """
    return records_in(json_value(file), str(file.path))


def records_in(array: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each object of an array with its place, or a DataError that says what stands there instead."""
    if not isinstance(array, list):
        raise DataError(f"{where}: must hold a JSON array, found {kind_of(array)}. Is it the right file?")
    for number, record in enumerate(array):
        place = f"{where}: entry {number}"
        yield place, mapping_at(record, place)


def texts_of(array: Any, where: str, keys: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The strings under some keys of each object of an array, with its number; made for hundreds of thousands.

    Raises:
        DataError: it is not an array of objects that have a string under each of these keys.
    """
    if not isinstance(array, list):
        raise DataError(f"{where}: must hold a JSON array, found {kind_of(array)}. Is it the right file?")
    for number, record in enumerate(array):
        try:
            texts = tuple([record[key] for key in keys])
            plain = "".join(texts)
        except (KeyError, TypeError):
            texts, plain = (), "\0"
        if not plain.isascii() or "\0" in plain:
            # Now the exact fault, or none: other alphabets are welcome.
            place = f"{where}: entry {number}"
            texts = tuple(text_at(mapping_at(record, place), key, place) for key in keys)
        yield number, texts


def csv_records(file: AnnotationFile, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row of a comma-separated file with a header, and its line.

    Raises:
        DataError: a column is missing, or a row has too few or too many fields.
    """
    rows = csv.reader(StringIO(file.text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        missing = [name for name in columns if name not in header]
        if missing:
            raise DataError(
                f"{file.path}: line 1: needs the columns {', '.join(columns)}; "
                f"found {', '.join(header) or 'nothing'}. Is it the right file?"
            )
        for row in rows:
            if row:
                if len(row) != len(header):
                    raise DataError(wrong_width(file.path, rows.line_num, len(row), len(header)))
                yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{file.path}: line {rows.line_num}: not CSV: {error}. Check the quotes.") from None


def wrong_width(path: Path, line: int, found: int, wanted: int) -> str:
    """The message for a row with another number of fields than the header."""
    return (
        f"{path}: line {line}: has {found} fields where the header has {wanted}. "
        'Quote fields that hold a comma or a line break ("like, this").'
    )


def mapping_at(value: Any, place: str) -> Mapping[str, Any]:
    """The value as a JSON object, or a DataError that says what it is instead."""
    if not isinstance(value, dict):
        raise DataError(f"{place}: must be a JSON object, found {kind_of(value)}.")
    return value


def text_at(record: Mapping[str, Any], key: str, place: str) -> str:
    """The string under a key, or a DataError that names the key and lists those there are."""
    value = value_at(record, key, place)
    if not isinstance(value, str):
        raise DataError(f"{place}: {key!r} must be a string, found {kind_of(value)}.")
    return storable(value, f"{place}: {key!r}")


def texts_at(record: Mapping[str, Any], key: str, place: str) -> list[str]:
    """The list of strings under a key, or a DataError."""
    value = value_at(record, key, place)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError(f"{place}: {key!r} must be a list of strings, found {kind_of(value)}.")
    return [storable(text, f"{place}: {key!r}") for text in value]


def value_at(record: Mapping[str, Any], key: str, place: str) -> Any:
    """The value under a key, or a DataError that lists the keys there are."""
    if key not in record:
        raise DataError(f"{place}: has no key {key!r}; found {', '.join(map(repr, record)) or 'none'}.")
    return record[key]


def storable(text: str, place: str) -> str:
    """The text itself. A NUL or half a surrogate pair cannot be stored: they are refused here, with the place."""
    if "\0" in text:
        raise DataError(f"{place}: holds a NUL character, which no store can keep. Remove it.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            bad = text[error.start]
            raise DataError(
                f"{place}: holds half of a surrogate pair ({bad!r}), not Unicode. Remove it."
            ) from None
    return text


def kind_of(value: Any) -> str:
    """What a JSON value is, in words for a message."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
