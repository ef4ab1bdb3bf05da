"""Rows of a user's own manifest (csv, tsv, jsonl, parquet), streamed: a tuple of fields a row, with its line."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from ..annotation_files.reading import json_line, kind_of, not_utf8, wrong_width
from ..contracts.errors import DataError
from ..contracts.strict_json import json_of

FIELDS = ("path", "id", "start", "end", "split", "caption_id", "caption")
"""What a row is made of, in this order."""

COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": ("path", "video", "file", "video_path", "filename", "file_name", "filepath"),
    "id": ("id", "video_id", "clip_id", "videoid"),
    "start": ("start", "start_seconds", "start_time"),
    "end": ("end", "end_seconds", "end_time"),
    "split": ("split", "subset"),
    "caption_id": ("caption_id", "sentence_id", "text_id"),
    "caption": ("caption", "captions", "text", "texts", "sentence", "sentences", "description"),
}
"""Names by which each field is known, in lower case; the first is the usual one."""

Row = tuple[int, tuple[Any, ...]]
"""The line (or row) number, and the value of each of ``FIELDS``, None where there is no such column."""

MANIFEST_SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet")
PARQUET_ROWS = 65_536
"""Rows of a parquet file that are in memory at once."""


def manifest_rows(path: Path) -> Iterator[Row]:
    """Rows of a manifest, one at a time, so that a million of them fit in memory.

    Raises:
        DataError: the file cannot be read, is empty, lacks a column or breaks its format.
    """
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".tsv": _csv_rows, ".parquet": _parquet_rows}
    try:
        if not path.stat().st_size:
            raise DataError(f"{path}: is empty. {needed()}")
        yield from readers[path.suffix.lower()](path)
    except UnicodeDecodeError as error:
        raise DataError(_where_not_utf8(path, error)) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}. Check the file and who may read it.") from error


def needed() -> str:
    """What a manifest must hold, for messages."""
    return (
        "A manifest needs a column `path` (or video, file) or, where files are found by name, `id`; it may have "
        "`caption` (or captions, text, sentence), `start`, `end`, `split` and `caption_id`."
    )


def columns_of(names: Iterable[str], place: str) -> tuple[str | None, ...]:
    """The name of each field's column among those there are.

    Raises:
        DataError: neither a path nor an id is there, or a field has two columns.
    """
    there = list(names)
    by_name = {name.strip().lower(): name for name in there}
    chosen: list[str | None] = []
    for field in FIELDS:
        known = [by_name[name] for name in COLUMN_NAMES[field] if name in by_name]
        if len(known) > 1:
            raise DataError(
                f"{place}: the columns {' and '.join(known)} both mean {field}. Rename or remove one."
            )
        chosen.append(known[0] if known else None)
    if chosen[0] is None and chosen[1] is None:
        raise DataError(f"{place}: found the columns {', '.join(map(repr, there)) or 'none'}. {needed()}")
    return tuple(chosen)


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        rows = csv.reader(file, delimiter=_delimiter(first), strict=True)
        try:
            header = next(rows, [])
            columns = columns_of(header, f"{path}: line 1")
            positions = [len(header) if name is None else header.index(name) for name in columns]
            fields = itemgetter(*positions)
            width = len(header)
            for row in rows:
                if len(row) != width:
                    if not row:
                        continue
                    raise DataError(wrong_width(path, rows.line_num, len(row), width))
                row.append("")
                yield rows.line_num, fields(row)
        except csv.Error as error:
            raise DataError(f"{path}: line {rows.line_num}: not CSV: {error}. Check the quotes.") from None


def _delimiter(header: str) -> str:
    """Comma, semicolon (spreadsheets of many countries) or tab: whichever stands most often in the header."""
    return max(",;\t", key=header.count)


def _jsonl_rows(path: Path) -> Iterator[Row]:
    columns: dict[tuple[str, ...], tuple[str | None, ...]] = {}
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            record = json_line(line, f"{path}: line {number}")
            keys = tuple(record)
            names = columns.get(keys)
            if names is None:
                names = columns[keys] = columns_of(keys, f"{path}: line {number}")
            yield number, tuple([None if name is None else record[name] for name in names])


def _parquet_rows(path: Path) -> Iterator[Row]:
    # Heavy, and only needed for this format.
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = columns_of(file.schema_arrow.names, str(path))
            wanted = [name for name in names if name is not None]
            done = 0
            for batch in file.iter_batches(PARQUET_ROWS, columns=wanted):
                values = {name: batch.column(name).to_pylist() for name in wanted}
                absent: list[None] = [None] * batch.num_rows
                fields = zip(*(absent if name is None else values[name] for name in names), strict=True)
                yield from enumerate(fields, done + 1)
                done += batch.num_rows
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: holds text that is not UTF-8: {error}. Write it again.") from None
    except (pyarrow.ArrowException, ArithmeticError, ValueError) as error:
        # Dates and durations that Python has no object for are no exceptions of Arrow.
        raise DataError(f"{path}: not a parquet file that can be read: {error}. Write it again.") from None


def _where_not_utf8(path: Path, error: UnicodeDecodeError) -> str:
    """Find the line of the first byte that is not UTF-8: the stream that met it only knows its own buffer."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as found:
                kind = "UTF-16" if number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff") else None
                return not_utf8(path, number, found, kind)
    return not_utf8(path, 1, error)


def captions_in(value: Any, path: Path, line: int) -> Sequence[str]:
    """The captions of a row: a string, a list of strings (in a cell: as JSON), or nothing. Blank ones are none.

    Raises:
        DataError: it is something else.
    """
    if isinstance(value, str):
        return _listed(value) if value[:1] == "[" else [value] if value and not value.isspace() else ()
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return [text for text in value if text and not text.isspace()]
    raise DataError(
        f"{path}: line {line}: a caption must be a string or a list of strings, found {kind_of(value)}."
    )


def _listed(cell: str) -> list[str]:
    """A cell that begins with a bracket: a JSON list of captions, or a caption such as ``[music] a man sings``."""
    try:
        values = json_of(cell)
    except ValueError:
        return [cell]
    is_list = isinstance(values, list) and all(isinstance(text, str) for text in values)
    return [text for text in values if text.strip()] if is_list else [cell]
