"""A plain npy a video: video_features, CLIP4Clip's derivatives, HCMC AI Challenge with its table of key frames."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ....data.base import Caption
from ....data.contracts.errors import DataError
from ...store.shards import TextRow, VideoRow
from ..arrays import feature_rows, read_npy
from ..captions import CaptionTable, ListedSource, Matched, matched, read_caption_table
from ..files import Files, csv_line, write_lines
from ..names import files_below, path_of_id
from ..rows import UNKNOWN_INDEX, failed_video, file_digest, identity_of_file, imported_video, shown_at
from .base import Held, ReadPlace, TextFeatureKind, Writing, without_frames

ABOUT = "<id>.npy [frame, dim], captions.csv (id, caption, split), map-keyframes/<id>.csv: CLIP4Clip, HCMC"
FEATURES, KEYFRAMES = "clip-features", "map-keyframes"
_COLUMNS = ("n", "pts_time", "fps", "frame_idx")


def open_source(place: ReadPlace) -> "NpySource":
    """Look at the folder.

    Raises:
        DataError: it is not laid out so.
    """
    inner = sorted(path for path in place.path.glob(f"{FEATURES}*") if path.is_dir())
    if len(inner) > 1:
        raise DataError(
            f"{place.path}: features lie in {' and '.join(path.name for path in inner)}: give one of them"
        )
    folder = inner[0] if inner else place.path
    names = {path: place.names.get(path, path) for path in sorted(files_below(folder, ".npy"))}
    if not names:
        raise DataError(f"{folder}: holds no .npy file")
    options = place.options
    files = options.captions or [
        path
        for suffix in ("csv", "tsv", "jsonl", "parquet")
        if (path := place.path / f"captions.{suffix}").is_file()
    ]
    table = CaptionTable() if options.without_captions else read_caption_table(files)
    met = matched(list(names.values()), table, place.failed_ids, folder, allow_missing=options.allow_missing)
    source = NpySource(place, folder, table, {video: path for path, video in names.items()}, met)
    for file in () if options.without_captions else files:
        source.files[file.name] = file_digest(file, "whole")
    return source


class NpySource(ListedSource):
    """The videos of such a folder, and captions without features."""

    text_features: TextFeatureKind = "none"

    def __init__(
        self, place: ReadPlace, folder: Path, table: CaptionTable, paths: Mapping[str, str], met: Matched
    ) -> None:
        super().__init__(table, met)
        self._place, self._folder, self._paths = place, folder, paths
        self._keyframes = place.path / KEYFRAMES
        first = next((i for i in range(len(self.video_ids)) if self.has_features(i)), 0)
        self.dim = self._features(first, None)[0].shape[1]

    def video(self, place: int) -> VideoRow:
        """A video; one that is missing as a row without frames."""
        video, options = self.video_ids[place], self._place.options
        if not self.has_features(place):
            return failed_video(video, self.dim)
        frames, path = self._features(place, self.dim)
        table = self._keyframes / f"{self._paths[video]}.csv"
        known = _keyframes(table) if table.is_file() else None
        own = None if known is None else known[0]
        seconds = shown_at(len(frames), options.clip_seconds, options.fps, own, str(path))
        index = None if known is None or len(known[1]) != len(frames) else known[1]
        return imported_video(
            video, frames, seconds, index=index, file=identity_of_file(path, options.file_digest)
        )

    def text(self, place: int) -> TextRow:
        """Captions have no features here."""
        raise DataError(f"{self._place.path}: captions have no features")

    def _features(self, place: int, dim: int | None) -> tuple[Float[np.ndarray, "frame dim"], Path]:
        path = self._folder / f"{self._paths[self.video_ids[place]]}.npy"
        return feature_rows(read_npy(path), dim, str(path)), path


def _keyframes(table: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Seconds and numbers of the frames of a video, in the order of the rows.

    Raises:
        DataError: the table cannot be read.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        seconds = np.array([np.float32(row["pts_time"]) for row in rows], np.float32)
        index = np.array([int(row.get("frame_idx") or UNKNOWN_INDEX) for row in rows], np.int64)
        return seconds, index.astype(np.int32)
    except KeyError as error:
        raise DataError(
            f"{table}: has no column {error}; it needs pts_time, and may have n, fps, frame_idx"
        ) from None
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read: {error}") from error


def losses(held: Held, writing: Writing) -> list[str]:
    """What such a folder cannot hold."""
    texts = [
        "features of captions: only what they say is written; --model of import-features makes them anew"
    ]
    return [*without_frames(held), *(texts if held.texts else [])]


def kept(held: Held, writing: Writing) -> tuple[str, ...]:
    """Which digests of a store are the same again when such a folder is read."""
    return ("videos", "texts")


class Sink:
    """Writes such a folder."""

    name_of = staticmethod(path_of_id)

    def __init__(self, writing: Writing) -> None:
        self._writing, self._files = writing, Files(writing.path)

    def write_videos(self, part: int, rows: Sequence[VideoRow]) -> None:
        """An npy a video, and its table of key frames."""
        for row in rows:
            if len(row.frames):
                path = path_of_id(row.id)
                self._files.write_npy(f"{FEATURES}/{path}.npy", row.frames)
                self._files.write(f"{KEYFRAMES}/{path}.csv", _keyframe_table(row).encode())
        self._files.flush()

    def write_texts(self, part: int, rows: Sequence[TextRow]) -> None:
        """Captions are listed at the end."""

    def finish(self) -> None:
        """The table of captions; a video of several splits has a row for each."""
        splits = self._writing.splits_of()
        has_splits = bool(splits)
        write_lines(
            self._writing.path / "captions.csv",
            _caption_lines(self._writing.captions(), splits, has_splits=has_splits),
        )


def _caption_lines(
    captions: Iterator[Caption], splits: Mapping[str, Sequence[str]], *, has_splits: bool
) -> Iterator[str]:
    yield csv_line(["id", "path", "caption_id", "caption", *(["split"] if has_splits else [])])
    for one in captions:
        text = one.text if one.text[:1] != "[" else _listed(one.text)
        split = [next(iter(splits.get(one.video_id, [])), "")] if has_splits else []
        yield csv_line([one.video_id, f"{FEATURES}/{path_of_id(one.video_id)}.npy", one.id, text, *split])


def _listed(text: str) -> str:
    """A text that would be read as a list, as a list of one."""
    return json.dumps([text], ensure_ascii=False)


def _keyframe_table(row: VideoRow) -> str:
    """As HCMC's: seconds so that they are read back to the last bit, and the average rate where it is known."""
    last, number = float(row.frame_seconds[-1]), int(row.frame_index[-1])
    fps = f"{number / last:.6g}" if last > 0 and number > 0 else ""
    lines = [",".join(_COLUMNS)]
    for n, (seconds, index) in enumerate(
        zip(row.frame_seconds, row.frame_index.tolist(), strict=True), start=1
    ):
        lines.append(f"{n},{_shortest(seconds)},{fps},{'' if index < 0 else index}")
    return "\n".join(lines) + "\n"


def _shortest(seconds: Any) -> str:
    return np.format_float_positional(np.float32(seconds), unique=True, trim="0")
