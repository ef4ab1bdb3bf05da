"""The Dataset contract: which videos, which captions, which splits. Every other file here is one data set.

A plug-in holds

* ``ABOUT``: one ``About`` with the citation, the files it expects and its preset;
* ``Config``: a frozen dataclass of what can be chosen (``--data key=value``);
* ``load(root, config) -> Dataset``: reads the annotation files below ``root``. A video that is not there stays in
  the data set with ``path=None``: nothing is dropped, coverage is stated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Protocol = Literal["single", "multi", "paragraph"]
"""How captions are scored: one caption a video, each of several captions its own query, or all sentences of a
video joined to one query."""


@dataclass(frozen=True, slots=True)
class Video:
    """One retrievable item: a file, or a span of seconds within a file."""

    id: str
    path: Path | None
    """The file, or None where it was not found."""
    start_seconds: float = 0.0
    end_seconds: float | None = None
    """End of the span, or None for the end of the file."""


@dataclass(frozen=True, slots=True)
class Caption:
    """One text query and the video it describes."""

    id: str
    video_id: str
    sentences: tuple[str, ...]
    """One sentence, or the sentences of a paragraph in order. Verbatim."""

    @property
    def text(self) -> str:
        """The sentences joined by one space, as the paragraph protocol joins them."""
        return " ".join(self.sentences)


@dataclass(frozen=True, slots=True)
class Split:
    """The video ids of one split in a fixed order, and what they should have been."""

    video_ids: tuple[str, ...]
    expected: int
    """How many videos the published split has; differs from ``len(video_ids)`` only where files say so."""
    source: str
    """Where the split comes from: a file name, or the rule by which videos were held out."""


@dataclass(frozen=True, slots=True)
class Preset:
    """What the field uses on this data set; every value can be overridden."""

    num_frames: int = 12
    fps: float = 1.0
    max_words: int = 32
    max_seconds: float | None = None
    """Only the first seconds are used (DiDeMo: 30), or None for the whole video."""


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file a user must bring, for ``tvr datasets NAME``."""

    name: str
    contents: str
    source: str
    """Where its authors publish it."""


@dataclass(frozen=True, slots=True)
class About:
    """What ``tvr datasets`` prints of a data set."""

    title: str
    citation: str
    protocol: Protocol
    files: tuple[ExpectedFile, ...]
    preset: Preset


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a split is on this machine. Goes with every figure."""

    split: str
    found: int
    expected: int
    missing: tuple[str, ...]
    """Ids of the videos that were not found."""

    def __str__(self) -> str:
        return f"{self.split}: {self.found:,} of {self.expected:,} videos found"


@dataclass(frozen=True)
class Dataset:
    """A data set as its files describe it. Ids are unique; every caption names a known video."""

    name: str
    protocol: Protocol
    preset: Preset
    videos: Mapping[str, Video]
    captions: Sequence[Caption]
    splits: Mapping[str, Split]
    annotation_digests: Mapping[str, str]
    """sha256 of each annotation file that was read, by file name."""
    normalisation: tuple[str, ...] = ()
    """What was done to captions on reading (such as trimming), for the store's record."""
    notes: tuple[str, ...] = field(default=())
    """What a reader of a figure must know, such as a test split that is one video short."""

    def coverage(self, split: str) -> Coverage:
        """How many videos of the split were found, and which were not."""
        ids = self.splits[split].video_ids
        missing = tuple(i for i in ids if self.videos[i].path is None)
        return Coverage(split, len(ids) - len(missing), self.splits[split].expected, missing)
