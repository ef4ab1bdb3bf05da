"""UniVTG, lighthouse and Moment-DETR: an npz a video, an npz a query, and QVHighlights' lines of queries.

Their word features (``last_hidden_state``) are what CLIP's text network has before its projection: not in the space of
frames. ``pooler_output`` is projected. Source: UniVTG's ``run_on_video``, https://github.com/showlab/UniVTG.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ....data.base import Caption
from ....data.contracts.errors import DataError, UsageError, counted
from ...store.shards import TextRow, VideoRow
from ..arrays import feature_rows, read_npy, read_npz
from ..captions import CaptionTable, ListedSource, matched
from ..files import Files, json_line_of, write_lines
from ..names import files_below, path_of_id
from ..queries import read_queries
from ..rows import (
    checked_text,
    failed_video,
    file_digest,
    identity_of_file,
    imported_text,
    imported_video,
    shown_at,
)
from .base import TEXT, Held, ReadPlace, TextFeatureKind, Writing, without_frames

ABOUT = "vid_clip/<vid>.npz, txt_clip/<qid>.npz, *.jsonl (qid, query, vid, duration): UniVTG, lighthouse, Moment-DETR"
FOLDERS = (("vid_clip", "txt_clip"), ("clip", "clip_text"), ("clip_features", "clip_text_features"))
"""Of UniVTG, lighthouse and Moment-DETR, of videos and of queries."""
HIDDEN = ("last_hidden_state", "token", "features")
"""Keys of the words of a query: usually, of TVSum, and as UniVTG's own demo keeps them."""
CLIP_SECONDS = (1.0, 2.0)
"""Lengths of clips that are in use."""
_POOLED_APART = 0.02
"""Relative distance of a projected end token from ``pooler_output``; half precision makes less than a tenth of it."""


def open_source(place: ReadPlace) -> "UniVTGSource":
    """Look at the folder.

    Raises:
        DataError: it is not laid out so, or what lies there cannot be.
    """
    found = [
        (place.path / video, place.path / text) for video, text in FOLDERS if (place.path / video).is_dir()
    ]
    if len(found) != 1:
        names = ", ".join(f"{video}/" for video, _ in FOLDERS)
        raise DataError(
            f"{place.path}: holds {len(found)} of the folders {names}; features of videos lie in one of them"
        )
    videos, texts = found[0]
    names = {path: place.names.get(path, path) for path in sorted(files_below(videos, ".npz"))}
    if not names:
        raise DataError(f"{videos}: holds no .npz file")
    files = place.options.captions or sorted(
        [*place.path.glob("*.jsonl"), *place.path.glob("metadata/*.jsonl")]
    )
    table = CaptionTable() if place.options.without_captions else read_queries(files)
    met = matched(
        list(names.values()), table, place.failed_ids, videos, allow_missing=place.options.allow_missing
    )
    source = UniVTGSource(place, (videos, texts), table, {video: path for path, video in names.items()}, met)
    for file in () if place.options.without_captions else files:
        source.files[file.name] = file_digest(file, "whole")
    return source


class UniVTGSource(ListedSource):
    """The videos and queries of such a folder."""

    def __init__(
        self,
        place: ReadPlace,
        folders: tuple[Path, Path],
        table: CaptionTable,
        paths: Mapping[str, str],
        met: Any,
    ) -> None:
        super().__init__(table, met)
        self._options, self._paths = place.options, paths
        self._videos, self._texts = folders
        self._own = {
            own: path.removeprefix(TEXT) for path, own in place.names.items() if path.startswith(TEXT)
        }
        first = next((i for i in range(len(self.video_ids)) if self.has_features(i)), 0)
        self.dim = self._features(first)[0].shape[1]
        self._projection = self._projected_by()
        self.text_features: TextFeatureKind = self._kind()

    def video(self, place: int) -> VideoRow:
        """A video; one that is missing as a row without frames."""
        if not self.has_features(place):
            return failed_video(self.video_ids[place], self.dim)
        video = self.video_ids[place]
        frames, arrays, path = self._features(place)
        seconds = shown_at(
            len(frames), self._clip_seconds(video, len(frames), arrays), self._options.fps,
            arrays.get("frame_seconds"), str(path),
        )  # fmt: skip
        index = arrays.get("frame_index")
        return imported_video(
            video, frames, seconds, index=index, file=identity_of_file(path, self._options.file_digest)
        )

    def text(self, place: int) -> TextRow:
        """A query with its features."""
        path = self._text_path(place)
        arrays = read_npz(path)
        ids, text = (self.caption_ids[place], self._table.videos[place]), self._table.texts[place]
        if "sentence_row" in arrays:
            return _as_written(ids, text, arrays, self.dim, path)
        pooled = arrays.get("pooler_output")
        if self.text_features == "pooled" and pooled is not None:
            return imported_text(ids, text, feature_rows(pooled.reshape(-1), self.dim, str(path)))
        hidden = _hidden(arrays, path)
        if self._projection is not None:
            return imported_text(ids, text, self._projected(hidden, pooled, path))
        words = feature_rows(hidden, self.dim, str(path))
        if pooled is not None:
            words = np.concatenate([words, feature_rows(pooled.reshape(-1), self.dim, str(path))])
        return imported_text(ids, text, words)

    def _features(
        self, place: int
    ) -> tuple[Float[np.ndarray, "frame dim"], Mapping[str, NDArray[Any]], Path]:
        path = self._videos / f"{self._paths[self.video_ids[place]]}.npz"
        arrays = read_npz(path)
        if "features" not in arrays:
            raise DataError(f"{path}: has the keys {', '.join(arrays) or 'none'}, and no features")
        return feature_rows(arrays["features"], getattr(self, "dim", None), str(path)), arrays, path

    def _clip_seconds(self, video: str, count: int, arrays: Mapping[str, Any]) -> float | None:
        """How long a clip is: as a person says; else, unless the file has the seconds, by how long the video is."""
        options, duration = self._options, self._table.places.get(video)
        if options.clip_seconds is not None or options.fps is not None or "frame_seconds" in arrays:
            return options.clip_seconds
        fitting = (
            [] if duration is None else [one for one in CLIP_SECONDS if abs(duration / one - count) <= 1]
        )
        if len(fitting) != 1:
            known = "nothing says how long it is" if duration is None else f"it is {duration:g} s long"
            raise UsageError(
                f"{self._videos / video}.npz has {counted(count, 'row')}, and {known}: clips of 1 s and of 2 s are in "
                "use. Say --clip-seconds 1 or --clip-seconds 2"
            )
        return fitting[0]

    def _text_path(self, place: int) -> Path:
        own = self.caption_ids[place]
        for name in (self._own.get(own, own), f"qid{own}"):
            if (path := self._texts / f"{name}.npz").is_file():
                return path
        raise DataError(
            f"{self._texts}: neither {own}.npz nor qid{own}.npz is there, the features of the query "
            f"{self._table.texts[place]!r}. Put it there, or leave the texts out: --no-captions"
        )

    def _projected_by(self) -> Float[np.ndarray, "width dim"] | None:
        if (file := self._options.text_projection) is None:
            return None
        matrix = feature_rows(read_npy(file), self.dim, str(file)).astype(np.float32)
        self.files[file.name] = file_digest(file, "whole")
        return matrix

    def _kind(self) -> TextFeatureKind:
        """What the queries have, by the first of them."""
        if not self.caption_ids or not self._texts.is_dir():
            return "none"
        path = self._text_path(0)
        arrays = read_npz(path)
        if "sentence_row" in arrays:
            return "words"
        if not any(key in arrays for key in HIDDEN):
            return "pooled"
        if self._projection is not None:
            return "words"
        return self._unprojected(has_pooled="pooler_output" in arrays)

    def _unprojected(self, *, has_pooled: bool) -> TextFeatureKind:
        """What is made of words that are not in the space of frames, which is said."""
        are = f"words in {self._texts.name}/ are hidden states before CLIP's projection, not in the frames' space"
        if self._options.hidden_states == "keep":
            end = "" if has_pooled else ", and so is the row that stands for the whole text"
            self.notes.append(f"{are}{end}")
            return "words" if has_pooled else "hidden"
        if has_pooled:
            self.notes.append(f"{are}: left out (--hidden-states keep takes them); pooler_output is kept")
            return "pooled"
        self.why_no_text_features = (
            f"{are}, and there is no pooler_output. Say --text-projection FILE (.npy, CLIP's text_projection "
            "[width, dim]) to project them, or --hidden-states keep to keep them as they are"
        )
        return "none"

    def _projected(self, hidden: NDArray[Any], pooled: NDArray[Any] | None, path: Path) -> NDArray[Any]:
        assert self._projection is not None
        words = feature_rows(hidden, len(self._projection), str(path)).astype(np.float32) @ self._projection
        if pooled is not None:
            wanted = feature_rows(pooled.reshape(-1), self.dim, str(path))[0].astype(np.float32)
            apart = float(np.linalg.norm(words[-1] - wanted) / max(np.linalg.norm(wanted), 1e-6))
            if apart > _POOLED_APART:
                raise DataError(
                    f"{path}: its end token under --text-projection is {apart:.0%} away from its pooler_output: the "
                    "projection is of another encoder, or is to be transposed"
                )
        return words


def _hidden(arrays: Mapping[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    for key in HIDDEN:
        if key in arrays:
            return arrays[key]
    raise DataError(f"{path}: has the keys {', '.join(arrays) or 'none'}, and none of {', '.join(HIDDEN)}")


def _as_written(
    ids: tuple[str, str], text: str, arrays: Mapping[str, NDArray[Any]], dim: int, path: Path
) -> TextRow:
    """A query that tvr has written: its words are in the space of frames."""
    row = imported_text(ids, text, feature_rows(_hidden(arrays, path), dim, str(path)))
    parts = arrays.get("sentences")
    row = replace(
        row,
        sentence_row=int(arrays["sentence_row"]),
        token_ids=np.asarray(arrays.get("token_ids", row.token_ids), np.int32),
        parts=None if parts is None else feature_rows(parts, dim, str(path)),
        truncated=bool(arrays.get("truncated", False)),
    )
    return checked_text(row, str(path))


def losses(held: Held, writing: Writing) -> list[str]:
    """What such a folder cannot hold, or holds otherwise than others do."""
    lost = without_frames(held)
    lost.append(
        "how long a video is and which of its windows are relevant: not in a store, and not in the lines"
    )
    if held.has_words:
        lost.append(
            "words stand in the space of frames, where others have hidden states before the text projection"
        )
    return lost


def kept(held: Held, writing: Writing) -> tuple[str, ...]:
    """Which digests of a store are the same again when such a folder is read."""
    return ("videos", "texts", "words")


class Sink:
    """Writes such a folder."""

    name_of = staticmethod(path_of_id)

    def __init__(self, writing: Writing) -> None:
        self._writing, self._files = writing, Files(writing.path)

    def write_videos(self, part: int, rows: Sequence[VideoRow]) -> None:
        """An npz a video; its seconds stand under a key of their own."""
        for row in rows:
            if len(row.frames):
                arrays = {
                    "features": row.frames,
                    "frame_seconds": row.frame_seconds,
                    "frame_index": row.frame_index,
                }
                self._files.write_npz(f"{FOLDERS[0][0]}/{path_of_id(row.id)}.npz", arrays)
        self._files.flush()

    def write_texts(self, part: int, rows: Sequence[TextRow]) -> None:
        """An npz a query."""
        for row in rows:
            arrays: dict[str, Any] = {
                "last_hidden_state": row.words,
                "pooler_output": row.words[row.sentence_row],
                "sentence_row": np.int64(row.sentence_row),
                "token_ids": row.token_ids,
                "truncated": np.bool_(row.truncated),
            }
            if row.parts is not None:
                arrays["sentences"] = row.parts
            self._files.write_npz(f"{FOLDERS[0][1]}/{path_of_id(row.id)}.npz", arrays)
        self._files.flush()

    def finish(self) -> None:
        """The lines of queries, a file a split; of those whose video is in none, one more."""
        splits = self._writing.splits_of()
        for name in [*self._writing.splits, None]:
            chosen = (
                one
                for one in self._writing.captions()
                if (name in splits[one.video_id] if one.video_id in splits else not name)
            )
            lines = [json_line_of(_line(caption)) for caption in chosen]
            if lines:
                write_lines(self._writing.path / f"{path_of_id(name or 'queries')}.jsonl", lines)


def _line(caption: Caption) -> dict[str, str]:
    vid = path_of_id(caption.video_id)
    other = {} if vid == caption.video_id else {"video_id": caption.video_id}
    return {"qid": caption.id, "query": caption.text, "vid": vid, **other}
