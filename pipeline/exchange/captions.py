"""Captions and splits of a table beside features, and how they meet the videos whose features are there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from ...data.base import Caption
from ...data.contracts.errors import DataError, counted, cut_short
from ...data.user_manifest.rows import MANIFEST_SUFFIXES, captions_in, manifest_rows
from .names import stem_of

_SPLITS = ("train", "val", "test")


@dataclass
class CaptionTable:
    """Captions one after another, each with the id of its video."""

    ids: list[str] = field(default_factory=list[str])
    videos: list[str] = field(default_factory=list[str])
    texts: list[str] = field(default_factory=list[str])
    splits: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])
    named: dict[str, None] = field(default_factory=dict[str, None])
    """Every video that a row names, in the order of the rows."""
    places: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of a video what its layout keeps of it, such as how long it is."""

    def add(self, video: str, text: str | None, caption: str | None = None, split: str | None = None) -> None:
        """Take a row; one without a text names a video alone."""
        self.named[video] = None
        if split:
            self.splits.setdefault(split, {})[video] = None
        if text is not None:
            self.videos.append(video)
            self.texts.append(text)
            self.ids.append(caption or "")

    def number(self) -> None:
        """Give an id to the captions that have none: that of the video and a number."""
        counts: dict[str, int] = {}
        for place, video in enumerate(self.videos):
            number = counts.get(video, 0)
            counts[video] = number + 1
            self.ids[place] = self.ids[place] or f"{video}#{number}"


def read_caption_table(files: Iterable[Path]) -> CaptionTable:
    """The captions of csv, tsv, jsonl and parquet files: ``id`` (of the video) or ``path``, ``caption``,
    ``caption_id``, ``split``.

    Raises:
        DataError: a file cannot be read, or breaks its format.
    """
    table = CaptionTable()
    for file in files:
        if file.suffix.lower() not in MANIFEST_SUFFIXES:
            raise DataError(
                f"{file}: captions are read from files that end with one of {', '.join(MANIFEST_SUFFIXES)}"
            )
        for line, (path, own, _, _, split, caption, texts) in manifest_rows(file):
            video = str(own) if own not in (None, "") else stem_of(str(path or ""))
            if not video:
                raise DataError(f"{file}: line {line}: names no video")
            found = captions_in(texts, file, line)
            table.add(video, None, split=str(split) if split else None)
            for number, text in enumerate(found):
                own_id = str(caption) if caption and number == 0 else None
                table.add(video, text, own_id)
    table.number()
    return table


@dataclass(frozen=True)
class Matched:
    """Which videos there are, and whose captions are whose."""

    video_ids: list[str]
    has_features: list[bool] | None
    """Of each video; None: all have."""
    caption_videos: Int[np.ndarray, " caption"]


def matched(
    found: Sequence[str], table: CaptionTable, failed: Sequence[str], where: Path, *, allow_missing: bool
) -> Matched:
    """Join the videos whose features were found with those that captions name, sorted by id.

    Args:
        found: ids of videos with features.
        table: the captions.
        failed: ids of videos that are known to have none.
        where: the features lie, for errors.
        allow_missing: whether other videos without features are kept.

    Raises:
        DataError: a video that is named has no features, and that is not allowed.
    """
    there = set(found)
    known = {video: None for video in failed if video not in there}
    missing = [video for video in table.named if video not in there and video not in known]
    if missing and not allow_missing:
        raise DataError(
            f"{where}: {counted(len(missing), 'video')} that captions name of {len(table.named):,} without features: "
            f"{cut_short(missing)}. Put the files there, or say --allow-missing: each becomes a row without frames, "
            "and its captions are no queries"
        )
    videos = sorted([*found, *known, *missing])
    places = {video: place for place, video in enumerate(videos)}
    owners = np.fromiter((places[video] for video in table.videos), np.int32, len(table.videos))
    return Matched(videos, [video in there for video in videos] if known or missing else None, owners)


class ListedSource:
    """The half of a source that every layout has whose captions fit into memory: no features."""

    def __init__(self, table: CaptionTable, met: Matched) -> None:
        self._table, self._met = table, met
        self.notes: list[str] = []
        self.files: dict[str, str] = {}
        self.why_no_text_features = ""

    @property
    def video_ids(self) -> Sequence[str]:
        """Sorted."""
        return self._met.video_ids

    @property
    def caption_ids(self) -> Sequence[str]:
        """In the order of the files."""
        return self._table.ids

    @property
    def caption_videos(self) -> Int[np.ndarray, " caption"]:
        """Of each caption the place of its video."""
        return self._met.caption_videos

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """As the files say, train, val and test first."""
        names = sorted(self._table.splits, key=lambda name: (name not in _SPLITS, name))
        return {name: list(self._table.splits[name]) for name in names}

    def caption(self, place: int) -> Caption:
        """What a caption says."""
        return Caption(self._table.ids[place], self._table.videos[place], (self._table.texts[place],))

    def has_features(self, place: int) -> bool:
        """Whether a video has any."""
        return self._met.has_features is None or self._met.has_features[place]
