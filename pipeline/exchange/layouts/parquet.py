"""Parquet: one row a video, one row a caption. Read by pandas, polars, DuckDB, Spark and Hugging Face datasets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from ....data.base import Caption
from ....data.contracts.errors import DataError
from ...store.shards import TextRow, VideoRow
from ..arrays import feature_rows
from ..names import path_of_id
from ..rows import checked_text, failed_video, file_digest, imported_text, imported_video, shown_at
from ..tables import ParquetRows, cell_rows, feature_column, number_column, numbers_of_cell, write_table
from .base import Held, ReadPlace, TextFeatureKind, Writing

ABOUT = "videos*.parquet (id, frames, seconds), captions*.parquet (id, video_id, text, words)"
_IDS, _VIDEO_IDS = ("id", "video_id", "videoid", "vid"), ("video_id", "video", "vid", "videoid")
_FRAMES, _SECONDS = (
    ("frames", "features", "embeddings", "embedding"),
    ("seconds", "frame_seconds", "timestamps"),
)
_TEXTS, _CAPTION_IDS = ("text", "caption", "sentence", "query"), ("id", "caption_id", "text_id", "qid")
_WORDS = ("words", "features", "embedding", "text_embedding")


def open_source(place: ReadPlace) -> "ParquetSource":
    """Look at the files.

    Raises:
        DataError: there are none, or they lack a column.
    """
    path, options = place.path, place.options
    videos = [path] if path.is_file() else sorted(path.glob("videos*.parquet"))
    if not videos:
        raise DataError(
            f"{path}: holds no videos*.parquet. Name the file of videos, with --captions that of captions"
        )
    texts = options.captions or ([] if path.is_file() else sorted(path.glob("captions*.parquet")))
    return ParquetSource(place, videos, () if options.without_captions else texts)


class ParquetSource:
    """Tables of videos and captions."""

    def __init__(self, place: ReadPlace, videos: Sequence[Path], texts: Sequence[Path]) -> None:
        self._options = place.options
        self._videos, self._texts = ParquetRows(videos), ParquetRows(texts)
        own = [self._options.id_column] if self._options.id_column else _IDS
        self._names = {
            "id": _column(self._videos, own, videos[0]),
            "frames": _column(self._videos, _FRAMES, videos[0]),
            "seconds": _column(self._videos, _SECONDS, videos[0], needed=False),
        }
        self.video_ids = list(self._videos.ids(self._names["id"]))
        self.notes: list[str] = []
        self.why_no_text_features = ""
        kind = self._options.file_digest
        self.files = {path.name: file_digest(path, kind) for path in (*videos, *texts)}
        self.dim = self._width()
        self._open_texts(texts)

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """As a column ``split`` or ``splits`` says."""
        name = _column(self._videos, ("splits", "split"), Path(), needed=False)
        found: dict[str, list[str]] = {}
        for video, splits in zip(self.video_ids, self._videos.values(name), strict=True) if name else ():
            for split in [splits] if isinstance(splits, str) else splits or []:
                found.setdefault(str(split), []).append(video)
        return found

    def video(self, place: int) -> VideoRow:
        """A video; one without frames as a row with its reason."""
        row, video = self._videos.row(place), self.video_ids[place]
        where = f"{self._videos.file_of(place)}: row of {video!r}"
        said = {name: _text(row.get(name)) for name in ("status", "reason", "decoder")}
        found = cell_rows(row[self._names["frames"]], where)
        if found is None or not len(found):
            reason = said["reason"] or "its features have no rows"
            return failed_video(video, self.dim, reason, said["decoder"])
        frames = feature_rows(found, self.dim, where)
        known = numbers_of_cell(row.get(self._names["seconds"]), where)
        seconds = shown_at(len(frames), self._options.clip_seconds, self._options.fps, known, where)
        made = imported_video(video, frames, seconds, index=numbers_of_cell(row.get("frame_index"), where))
        status = said["status"] or made.status
        return _replaced(made, status, said["reason"], said["decoder"])

    def caption(self, place: int) -> Caption:
        """What a caption says."""
        row, names = self._texts.row(place), self._text_names
        video = self.video_ids[self.caption_videos[place]]
        return Caption(self.caption_ids[place], video, (_text(row[names["text"]]),))

    def text(self, place: int) -> TextRow:
        """A caption with its features."""
        row, names = self._texts.row(place), self._text_names
        own, video = self.caption_ids[place], self.video_ids[self.caption_videos[place]]
        where = f"{self._texts.file_of(place)}: row of {own!r}"
        found = cell_rows(row[names["words"]], where)
        if found is None:
            raise DataError(
                f"{where}: has no features, as others have. Leave it out, or all captions: --no-captions"
            )
        made = imported_text((own, video), _text(row[names["text"]]), feature_rows(found, self.dim, where))
        tokens, parts = numbers_of_cell(row.get("token_ids"), where), cell_rows(row.get("sentences"), where)
        pooled = row.get("sentence_row")
        changed = TextRow(
            own,
            video,
            made.text,
            made.words,
            made.token_ids if tokens is None else np.asarray(tokens, np.int32),
            made.sentence_row if pooled is None or not pooled.is_valid else int(pooled.as_py()),
            truncated=bool(row["truncated"].as_py()) if "truncated" in row else False,
            parts=None if parts is None else feature_rows(parts, self.dim, where),
        )
        return checked_text(changed, where)

    def _width(self) -> int:
        for place in range(len(self.video_ids)):
            where = f"{self._videos.file_of(place)}: row of {self.video_ids[place]!r}"
            found = cell_rows(self._videos.row(place)[self._names["frames"]], where)
            if found is not None and len(found):
                return feature_rows(found, None, where).shape[1]
        raise DataError(f"{self._videos.file_of(0)}: no video of it has features")

    def _open_texts(self, files: Sequence[Path]) -> None:
        self.caption_ids: list[str] = []
        self.caption_videos: Int[np.ndarray, " caption"] = np.zeros(0, np.int32)
        self.text_features: TextFeatureKind = "none"
        self._text_names: dict[str, str] = {}
        if not len(self._texts):
            return
        self._text_names = {
            "video": _column(self._texts, _VIDEO_IDS, files[0]),
            "text": _column(self._texts, _TEXTS, files[0]),
            "words": _column(self._texts, _WORDS, files[0], needed=False),
        }
        places = {video: place for place, video in enumerate(self.video_ids)}
        owners = list(self._texts.ids(self._text_names["video"]))
        if strange := next((video for video in owners if video not in places), None):
            raise DataError(f"{files[0]}: captions name the video {strange!r}, which is not among the videos")
        self.caption_videos = np.fromiter((places[video] for video in owners), np.int32, len(owners))
        self.caption_ids = self._own_ids(owners)
        if self._text_names["words"]:
            first = cell_rows(self._texts.row(0)[self._text_names["words"]], str(files[0]))
            self.text_features = "none" if first is None else "words" if len(first) > 1 else "pooled"

    def _own_ids(self, owners: Sequence[str]) -> list[str]:
        """Ids of captions, or numbers behind those of their videos."""
        name = _column(self._texts, _CAPTION_IDS, Path(), needed=False)
        if name:
            return list(self._texts.ids(name))
        counts: dict[str, int] = {}
        ids: list[str] = []
        for video in owners:
            ids.append(f"{video}#{counts.get(video, 0)}")
            counts[video] = counts.get(video, 0) + 1
        return ids


def _column(rows: ParquetRows, names: Sequence[str], file: Path, *, needed: bool = True) -> str:
    """The first of these names that is a column's; empty: none is, and none is needed."""
    found = next((name for name in names if name in rows.columns), "")
    if not found and needed:
        raise DataError(
            f"{file}: has the columns {', '.join(rows.columns) or 'none'}, and none of {', '.join(names)}"
        )
    return found


def _text(value: Any) -> str:
    said = None if value is None else value.as_py()
    return "" if said is None else str(said)


def _replaced(row: VideoRow, status: str, reason: str, decoder: str) -> VideoRow:
    return replace(row, status=status, reason=reason, decoder=decoder)


def losses(held: Held, writing: Writing) -> list[str]:
    """Nothing but what no layout holds."""
    return []


def kept(held: Held, writing: Writing) -> tuple[str, ...]:
    """Which digests of a store are the same again when such files are read."""
    return "videos", "texts", "words"


class Sink:
    """Writes such files: one for each part."""

    name_of = staticmethod(path_of_id)

    def __init__(self, writing: Writing) -> None:
        self._writing, self._splits = writing, writing.splits_of()

    def write_videos(self, part: int, rows: Sequence[VideoRow]) -> None:
        """A file of videos."""
        columns = {
            "id": [row.id for row in rows],
            "seconds": number_column([row.frame_seconds for row in rows], np.float32),
            "frames": feature_column([row.frames for row in rows], self._writing.manifest.dim),
            "frame_index": number_column([row.frame_index for row in rows], np.int32),
            "status": [row.status for row in rows],
            "reason": [row.reason for row in rows],
            "decoder": [row.decoder for row in rows],
            "splits": [self._splits.get(row.id, []) for row in rows],
        }
        write_table(self._writing.path / f"videos-{part:05d}.parquet", columns)

    def write_texts(self, part: int, rows: Sequence[TextRow]) -> None:
        """A file of captions."""
        dim = self._writing.manifest.dim
        columns: dict[str, Any] = {
            "id": [row.id for row in rows],
            "video_id": [row.video_id for row in rows],
            "text": [row.text for row in rows],
            "words": feature_column([row.words for row in rows], dim),
            "token_ids": number_column([row.token_ids for row in rows], np.int32),
            "sentence_row": np.array([row.sentence_row for row in rows], np.int32),
            "truncated": np.array([row.truncated for row in rows], np.bool_),
        }
        if self._writing.manifest.protocol == "paragraph":
            parts = [row.words[:0] if row.parts is None else row.parts for row in rows]
            columns["sentences"] = feature_column(parts, dim)
        write_table(self._writing.path / f"captions-{part:05d}.parquet", columns)

    def finish(self) -> None:
        """Every file is whole by itself."""
