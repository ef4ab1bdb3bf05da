"""clip-retrieval: a table of vectors of unit length, with a table of what each stands for beside it.

``img_emb/img_emb_0.npy``, ``text_emb/text_emb_0.npy`` and ``metadata/metadata_0.parquet`` have a row for each picture:
for a video, or for a frame of one. Source: ``writer.py`` and ``mapper.py`` of clip-retrieval 2.45.0,
https://github.com/rom1504/clip-retrieval.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from ....data.base import Caption
from ....data.contracts.errors import DataError, UsageError, counted
from ...store.atomic_files import atomic_write
from ...store.shards import TextRow, VideoRow
from ..arrays import NpyRows, feature_rows
from ..names import path_of_id
from ..rows import UNKNOWN_INDEX, failed_video, file_digest, imported_text, imported_video, shown_at
from ..tables import ParquetRows, write_table
from .base import Held, ReadPlace, TextFeatureKind, Writing, without_frames

ABOUT = "img_emb/*.npy, text_emb/*.npy, metadata/*.parquet: a row a video or a frame"
VIDEOS, CAPTIONS = "videos", "captions"
"""Folders of an export: each is what clip-retrieval writes, of pictures and of texts."""
_IDS = ("video_id", "key", "image_path")
_UNIT = 2e-3
"""How far from 1 a vector of unit length may be in half precision."""


def open_source(place: ReadPlace) -> "ClipRetrievalSource":
    """Look at the tables.

    Raises:
        DataError: there are none, or they are not of the same rows.
        UsageError: nobody says what a row stands for.
    """
    inner = place.path / VIDEOS
    pictures = _Table.open(inner if inner.is_dir() else place.path, "img_emb", place)
    apart = place.path / CAPTIONS
    texts = None
    if not place.options.without_captions:
        texts = _Table.open(apart, "text_emb", place) if apart.is_dir() else None
    return ClipRetrievalSource(place, pictures, texts)


@dataclass(frozen=True)
class _Table:
    """Vectors in files of some rows each, and what each row stands for."""

    folder: Path
    vectors: Sequence[NpyRows]
    starts: Int[np.ndarray, " boundary"]
    metadata: ParquetRows
    paths: Sequence[Path]

    @classmethod
    def open(cls, folder: Path, kind: str, place: ReadPlace) -> "_Table":
        paths = sorted((folder / kind).glob("*.npy"))
        if not paths:
            raise DataError(f"{place.path}: holds no {kind}/*.npy")
        tables = [folder / "metadata" / f"{path.stem.replace(kind, 'metadata')}.parquet" for path in paths]
        for table in tables:
            if not table.is_file():
                raise DataError(f"{table}: there is no such file, which says what the rows of {kind}/ are")
        vectors = [NpyRows(path) for path in paths]
        metadata = ParquetRows(tables)
        starts = np.concatenate([[0], np.cumsum([len(one) for one in vectors], dtype=np.int64)])
        if starts[-1] != len(metadata):
            raise DataError(
                f"{folder}: {counted(int(starts[-1]), 'vector')} in {kind}/ and {counted(len(metadata), 'row')} in "
                "metadata/: these do not belong together"
            )
        return cls(folder, vectors, starts, metadata, [*paths, *tables])

    def rows(self, start: int, stop: int, dim: int | None) -> Float[np.ndarray, "row dim"]:
        """Vectors, checked."""
        parts: list[NDArray[Any]] = []
        for number, one in enumerate(self.vectors):
            first, last = int(self.starts[number]), int(self.starts[number + 1])
            if first < stop and start < last:
                cut = one.read(max(start - first, 0), stop - first)
                parts.append(feature_rows(cut, dim, f"{self.paths[number]}: rows from {start - first}"))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


class ClipRetrievalSource:
    """Videos whose vectors stand in consecutive rows, and their captions."""

    def __init__(self, place: ReadPlace, pictures: _Table, texts: _Table | None) -> None:
        self._options, self._pictures, self._path = place.options, pictures, place.path
        columns = pictures.metadata.columns
        self._id = place.options.id_column or next((name for name in _IDS if name in columns), "")
        if self._id not in columns:
            raise DataError(
                f"{pictures.folder / 'metadata'}: has the columns {', '.join(columns)}; name the one that tells a "
                "row's video with --id-column"
            )
        self.dim = pictures.rows(0, 1, None).shape[1]
        self._found, self._starts = self._grouped(place)
        there = set(self._found)
        self.video_ids = [*self._found, *(video for video in place.failed_ids if video not in there)]
        self._seconds, self._index = (self._numbers(name) for name in ("seconds", "frame_index"))
        self.notes: list[str] = []
        self.why_no_text_features = ""
        self.splits: Mapping[str, Sequence[str]] = {}
        self._beside = texts is None and "caption" in columns and not place.options.without_captions
        self._texts = self._texts_beside() if self._beside else texts
        self._read_captions()
        kind = place.options.file_digest
        paths = [*pictures.paths, *(texts.paths if texts else ())]
        self.files = {str(path.relative_to(place.path)): file_digest(path, kind) for path in paths}

    def video(self, place: int) -> VideoRow:
        """A video; one that is known to have failed as a row without frames."""
        if place >= len(self._found):
            return failed_video(self.video_ids[place], self.dim)
        start, stop = int(self._starts[place]), int(self._starts[place + 1])
        frames = self._pictures.rows(start, stop, self.dim)
        where = f"{self._pictures.folder}: row {start}"
        known = None if self._seconds is None else self._seconds[start:stop]
        if known is None and self._rows_are == "video":
            known = np.zeros(1, np.float32)  # it stands for all of the video, as the note says
        options = self._options
        seconds = shown_at(len(frames), options.clip_seconds, options.fps, known, where)
        index = None if self._index is None else self._index[start:stop].astype(np.int32)
        return imported_video(self.video_ids[place], frames, seconds, index=index)

    def caption(self, place: int) -> Caption:
        """What a caption says."""
        return Caption(
            self.caption_ids[place], self.video_ids[self.caption_videos[place]], (self._said[place],)
        )

    def text(self, place: int) -> TextRow:
        """A caption with its one vector."""
        assert self._texts is not None
        row = int(self._text_rows[place])
        words = self._texts.rows(row, row + 1, self.dim)
        one = self.caption(place)
        return imported_text((one.id, one.video_id), one.text, words)

    def _grouped(self, place: ReadPlace) -> tuple[list[str], Int[np.ndarray, " boundary"]]:
        """Ids of videos in the order of their rows, and where the rows of each begin."""
        ids, starts, count = list[str](), list[int](), 0
        for video in self._pictures.metadata.ids(self._id):
            if not ids or ids[-1] != video:
                ids.append(video)
                starts.append(count)
            count += 1
        known = place.options.rows or (place.sidecar.ways.get("rows") if place.sidecar else None)
        self._rows_are = known or ("video" if len(ids) == count else None) or self._refuse(count, len(ids))
        if self._rows_are == "video" and len(ids) < count:
            raise DataError(
                f"{self._pictures.folder}: {counted(count, 'row')} of {counted(len(ids), 'video')} (column {self._id}),"
                " so a row is no video: --rows frame"
            )
        return ids, np.array([*starts, count], np.int64)

    def _refuse(self, rows: int, videos: int) -> str:
        raise UsageError(
            f"{self._pictures.folder}: {counted(rows, 'row')} of {counted(videos, 'video')} (column {self._id}). Say "
            "--rows frame where each row is a frame of that video, or name another column with --id-column"
        )

    def _numbers(self, name: str) -> NDArray[Any] | None:
        if name not in self._pictures.metadata.columns:
            return None
        found = [np.nan if value is None else value for value in self._pictures.metadata.values(name)]
        try:
            numbers = np.asarray(found, np.float64)
        except (ValueError, TypeError) as error:
            raise DataError(f"{self._pictures.folder}: the column {name} holds no numbers: {error}") from None
        if name == "frame_index":
            return np.where(np.isfinite(numbers), numbers, UNKNOWN_INDEX)
        return numbers.astype(np.float32)

    def _texts_beside(self) -> "_Table | None":
        """The vectors of texts beside those of pictures, one for each."""
        if self._rows_are == "frame":
            self.notes.append("captions stand beside frames, not videos: left out")
            self._beside = False
            return None
        paths = sorted((self._pictures.folder / "text_emb").glob("*.npy"))
        if not paths:
            return None
        vectors = [NpyRows(path) for path in paths]
        starts = np.concatenate([[0], np.cumsum([len(one) for one in vectors], dtype=np.int64)])
        if not np.array_equal(starts, self._pictures.starts):
            raise DataError(f"{self._pictures.folder}: text_emb/ has other numbers of rows than img_emb/")
        return _Table(self._pictures.folder, vectors, starts, self._pictures.metadata, paths)

    def _read_captions(self) -> None:
        """Ids, videos and texts of captions; in a table of pictures, those that are not empty."""
        self.caption_ids: list[str] = []
        self._said: list[str] = []
        owners: list[int] = []
        rows: list[int] = []
        for row, (own, owner, text) in enumerate(self._caption_rows()):
            if text:
                self.caption_ids.append(own or f"{self.video_ids[owner]}#0")
                self._said.append(text)
                owners.append(owner)
                rows.append(row)
        self.caption_videos = np.array(owners, np.int32)
        self._text_rows = np.array(rows, np.int64)
        has_vectors = bool(owners) and self._texts is not None
        self.text_features: TextFeatureKind = "pooled" if has_vectors else "none"
        if self._rows_are == "video":
            self.notes.append("one vector a video, which stands for all of it: shown at 0 s")

    def _caption_rows(self) -> Iterator[tuple[str, int, str]]:
        if self._beside:
            for place, text in enumerate(self._pictures.metadata.values("caption")):
                yield "", place, text or ""
        elif self._texts is not None:
            table = self._texts.metadata
            places = {video: place for place, video in enumerate(self.video_ids)}
            columns = [table.values(name) for name in ("caption_id", "video_id", "caption")]
            for own, video, text in zip(*columns, strict=True):
                if video not in places:
                    raise DataError(f"{self._texts.folder}: names the video {video!r}, which has no rows")
                yield str(own), places[video], text or ""


def losses(held: Held, writing: Writing) -> list[str]:
    """What such tables cannot hold."""
    lost = without_frames(held)
    if held.failed and held.texts:
        lost.append("captions of videos without frames")
    lost.append(
        "the lengths of vectors: clip-retrieval compares vectors of unit length, and rounds them to float16"
    )
    if writing.rows == "video" and held.frames_a_video > 1:
        lost.append("frames and their seconds: a row is the mean of the directions of a video's frames")
    if held.has_words:
        lost.append("words of captions: a row is the one feature of the whole caption")
    return lost


def kept(held: Held, writing: Writing) -> tuple[str, ...]:
    """Which digests of a store are the same again when such tables are read."""
    return () if held.failed else ("texts",)


class Sink:
    """Writes two such folders: of videos, and of captions."""

    name_of = staticmethod(path_of_id)

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def write_videos(self, part: int, rows: Sequence[VideoRow]) -> None:
        """Vectors of frames, or of videos."""
        there = [row for row in rows if len(row.frames)]
        is_frames = self._writing.rows == "frame"
        vectors = [unit_length(row.frames) if is_frames else _mean(row.frames) for row in there]
        counts = [len(one) for one in vectors]
        ids = [row.id for row, count in zip(there, counts, strict=True) for _ in range(count)]
        columns: dict[str, Any] = {"image_path": ids, "video_id": ids}
        if is_frames:
            columns["seconds"] = np.concatenate(
                [np.zeros(0, np.float32), *(row.frame_seconds for row in there)]
            )
            columns["frame_index"] = np.concatenate(
                [np.zeros(0, np.int32), *(row.frame_index for row in there)]
            )
        self._write(VIDEOS, "img_emb", part, vectors, columns)

    def write_texts(self, part: int, rows: Sequence[TextRow]) -> None:
        """Vectors of captions."""
        failed = self._writing.failed
        there = [row for row in rows if row.video_id not in failed]
        vectors = [unit_length(row.words[row.sentence_row][None]) for row in there]
        columns: dict[str, Any] = {
            "caption": [row.text for row in there],
            "caption_id": [row.id for row in there],
            "video_id": [row.video_id for row in there],
        }
        self._write(CAPTIONS, "text_emb", part, vectors, columns)

    def finish(self) -> None:
        """Every file is whole by itself."""

    def _write(
        self, folder: str, kind: str, part: int, vectors: Sequence[NDArray[Any]], columns: Mapping[str, Any]
    ) -> None:
        place, dim = self._writing.path / folder, self._writing.manifest.dim
        (place / kind).mkdir(parents=True, exist_ok=True)
        rows = np.concatenate([np.zeros((0, dim), np.float16), *vectors]).astype(np.float16)
        with atomic_write(place / kind / f"{kind}_{part:05d}.npy") as beside, beside.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
        write_table(
            place / "metadata" / f"metadata_{part:05d}.parquet", dict(columns), row_group_size=1 << 16
        )


def unit_length(rows: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    """Rows of unit length; those that have it already as they are, to the last bit."""
    wide = rows.astype(np.float32)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    are = np.abs(norms - 1) < _UNIT
    return np.where(are, wide, wide / np.where(norms == 0, 1, norms)).astype(np.float16)


def _mean(frames: Float[np.ndarray, "frame dim"]) -> Float[np.ndarray, "1 dim"]:
    """The mean of the directions of frames, of unit length, as mean pooling compares videos."""
    if len(frames) == 1:
        return unit_length(frames)
    return unit_length(unit_length(frames).astype(np.float32).mean(axis=0, keepdims=True))
