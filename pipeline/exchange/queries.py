"""Queries about moments: QVHighlights' lines, of which UniVTG, lighthouse and Moment-DETR make their data sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...data.annotation_files.reading import json_line
from ...data.contracts.errors import DataError
from .captions import CaptionTable


def read_queries(files: Sequence[Path]) -> CaptionTable:
    """The queries of files of JSON lines (``qid``, ``query``, ``vid``, ``duration``), each file a split by its name.
    How long a video is stands in ``places``.

    Raises:
        DataError: a file cannot be read, a line breaks the format, or two queries have one id.
    """
    table, seen = CaptionTable(), dict[str, tuple[str, str]]()
    for file in files:
        split = _split_of(file)
        try:
            with file.open(encoding="utf-8-sig", newline="\n") as lines:
                for number, line in enumerate(lines, 1):
                    if not line.isspace():
                        _add_query(
                            table, seen, json_line(line, f"{file}: line {number}"), (file, number, split)
                        )
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: is not UTF-8: {error}") from None
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    return table


def _add_query(
    table: CaptionTable,
    seen: dict[str, tuple[str, str]],
    record: Mapping[str, Any],
    at: tuple[Path, int, str | None],
) -> None:
    where, split = f"{at[0]}: line {at[1]}", at[2]
    video, query, own = record.get("video_id", record.get("vid")), record.get("query"), record.get("qid")
    if not isinstance(video, str) or not video:
        raise DataError(f"{where}: has no vid")
    if query is not None and (
        not isinstance(query, str) or isinstance(own, bool) or not isinstance(own, str | int)
    ):
        raise DataError(f"{where}: a query needs a text and a qid")
    duration = record.get("duration")
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        table.places[video] = float(duration)
    if query is not None and str(own) in seen:  # a video of two splits stands in both files
        if seen[str(own)] != (video, query):
            raise DataError(
                f"{where}: duplicate qid {own!r}, which another line has with another query or vid"
            )
        query = None
    elif query is not None:
        seen[str(own)] = video, query
    table.add(video, query, None if own is None else str(own), split)


def _split_of(path: Path) -> str | None:
    """The split that a file is named after, such as ``highlight_val_release.jsonl``."""
    words = path.stem.lower().replace("-", "_").split("_")
    named = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
    return next((named[word] for word in words if word in named), None)
