"""Which text and which video each row and column of a matrix from elsewhere stands for."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ...data.annotation_files.reading import (
    AnnotationFile,
    id_list,
    json_lines,
    json_value,
    read_annotation,
    unique_ids,
)
from ...data.contracts.errors import DataError, UsageError, counted, cut_short

TEXT_COLUMNS = ("text_id", "text", "caption_id", "sentence_id", "qid", "id")
VIDEO_COLUMNS = ("video_id", "video", "vid")
"""Names of the columns of a table of ids, in lower case, of which the first that is there counts."""
SUFFIXES = (".txt", ".json", ".npy", ".csv", ".tsv", ".jsonl")
NUMBER_MARK = "#"
"""Between a video's id and the number of its caption: the ids of ``tvr``'s own texts."""

TextIds = Path | Sequence[str] | Mapping[str, str]
"""Texts in the order of the rows: a file, ids, or the video of each id."""
VideoIds = Path | Sequence[str]
"""Videos in the order of the columns: a file or ids."""


@dataclass(frozen=True)
class MatrixIds:
    """What rows and columns stand for."""

    texts: tuple[str, ...]
    videos: tuple[str, ...]
    text_video: Int[Tensor, " text"]
    """Which column holds the video that each text describes."""
    are_places: bool = False
    """Whether nothing is known but the places in the matrix."""

    @property
    def captions(self) -> bool:
        """Whether a video has several texts."""
        return bool((torch.bincount(self.text_video) > 1).any())


def diagonal_ids(count: int) -> MatrixIds:
    """Those of a square matrix of which nothing is known: text i describes video i."""
    names = tuple(str(place) for place in range(count))
    return MatrixIds(names, names, torch.arange(count), are_places=True)


def matrix_ids(texts: TextIds, videos: VideoIds) -> MatrixIds:
    """Ids of rows and columns, and which belong together.

    Args:
        texts: ids in the order of the rows. Where they come without their videos, an id is that of its video, or
            that with ``#`` and anything behind it.
        videos: ids in the order of the columns.

    Raises:
        UsageError: a file is of a kind that is not read.
        DataError: a file cannot be read, an id stands there twice, or a text describes none of the videos.
    """
    columns = _unique(_listed(videos), videos, "video")
    pairs = texts if isinstance(texts, Mapping) else _pairs(texts)
    rows = _unique(pairs if isinstance(pairs, Mapping) else _listed(texts), texts, "text")
    place = {video: column for column, video in enumerate(columns)}
    owners = [pairs[text] for text in rows] if isinstance(pairs, Mapping) else _owners(rows, place)
    lost = [text for text, owner in zip(rows, owners, strict=True) if owner not in place]
    if lost:
        raise DataError(
            f"{counted(len(lost), 'text')} of {_named(texts)} ({cut_short(lost)}) belong to none of the "
            f"{counted(len(columns), 'video')} of {_named(videos)}. Call texts as their video or VIDEO#NUMBER, or give "
            "--texts a .csv, .tsv or .jsonl with the columns text and video"
        )
    return MatrixIds(rows, columns, torch.tensor([place[owner] for owner in owners], dtype=torch.long))


def _owners(texts: Iterable[str], videos: Mapping[str, int]) -> list[str]:
    """The video of each text by its own id."""
    return [text if text in videos else text.rpartition(NUMBER_MARK)[0] for text in texts]


def _named(ids: TextIds) -> str:
    return str(ids) if isinstance(ids, Path) else "those that were given"


def _unique(ids: Iterable[str], source: TextIds, kind: str) -> tuple[str, ...]:
    found = tuple(ids)
    if len(set(found)) < len(found):
        seen: set[str] = set()
        twice = next(one for one in found if one in seen or seen.add(one))
        raise DataError(
            f"{_named(source)}: {kind} {twice!r} stands there twice. Each row and column has its own id"
        )
    return found


def _listed(ids: TextIds) -> Iterable[str]:
    """Ids one after the other."""
    if not isinstance(ids, Path):
        return [str(one) for one in ids]
    readers = {".npy": _of_array, ".json": _of_json, ".txt": lambda file: id_list(read_annotation(file))}
    if ids.suffix.lower() not in readers:
        raise UsageError(f"ids are read from {', '.join(readers)}, got {ids.name!r}")
    return readers[ids.suffix.lower()](ids)


def _of_array(file: Path) -> list[str]:
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{file} holds no ids: {error}. np.save(file, np.array(ids, dtype=str)) writes them; pickled objects are "
            "not read"
        ) from None
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise DataError(f"{file} must hold one row of strings, got {array.dtype} of shape {array.shape}")
    try:
        return [one.decode() if isinstance(one, bytes) else str(one) for one in array.tolist()]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: an id is not UTF-8: {error}. Write them as np.array(ids, dtype=str)"
        ) from None


def _of_json(file: Path) -> list[str]:
    values = json_value(read_annotation(file))
    if not isinstance(values, list) or not all(type(one) in (str, int) for one in values):
        raise DataError(f"{file} must hold a JSON list of ids")
    return [str(one) for one in values]


def _pairs(texts: Path | Sequence[str]) -> Mapping[str, str] | None:
    """The video of each text, from a table that says so; None where ids stand alone."""
    if not isinstance(texts, Path):
        return None
    kind = texts.suffix.lower()
    if kind not in SUFFIXES:
        raise UsageError(f"ids are read from {', '.join(SUFFIXES)}, got {texts.name!r}")
    if kind not in (".csv", ".tsv", ".jsonl"):
        return None
    file = read_annotation(texts)
    rows = list(_json_rows(file) if kind == ".jsonl" else _table_rows(file, "\t" if kind == ".tsv" else ","))
    unique_ids(((line, text) for line, text, _ in rows), texts)
    return {text: video for _, text, video in rows}


def _json_rows(file: AnnotationFile) -> Iterator[tuple[int, str, str]]:
    for number, (place, record) in enumerate(json_lines(file), 1):
        text, video = _columns(list(record), place)
        yield number, str(record[text]), str(record[video])


def _table_rows(file: AnnotationFile, delimiter: str) -> Iterator[tuple[int, str, str]]:
    rows = csv.reader(StringIO(file.text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(rows, [])
        text, video = (header.index(name) for name in _columns(header, f"{file.path}: line 1"))
        for row in rows:
            if row and len(row) != len(header):
                raise DataError(
                    f"{file.path}: line {rows.line_num}: has {len(row)} fields where the header has {len(header)}"
                )
            if row:
                yield rows.line_num, row[text], row[video]
    except csv.Error as error:
        raise DataError(f"{file.path}: line {rows.line_num}: not CSV: {error}. Check the quotes") from None


def _columns(names: Sequence[str], place: str) -> tuple[str, str]:
    """The columns of texts and videos among those there are."""
    there = {name.strip().lower(): name for name in reversed(names)}
    text, video = (
        next((there[name] for name in known if name in there), None)
        for known in (TEXT_COLUMNS, VIDEO_COLUMNS)
    )
    if text is None or video is None:
        raise DataError(
            f"{place}: needs a column text_id (or {', '.join(TEXT_COLUMNS[1:])}) and a column video_id (or "
            f"{', '.join(VIDEO_COLUMNS[1:])}); found {', '.join(map(repr, names)) or 'nothing'}"
        )
    return text, video
