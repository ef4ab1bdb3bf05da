"""The Dataset contract: which videos, which captions, which splits. Every other file here is one data set.

A plug-in holds

* ``ABOUT``: one ``About`` with the citation, the files it expects and its preset;
* ``Config``: a frozen dataclass of what can be chosen (``--data key=value``);
* ``load(root, config) -> Dataset``: reads the annotation files below ``root``. A video that is not there stays
  in the data set with ``path=None``: nothing is dropped, coverage is stated. One that takes its time may have a
  third argument ``report(done, total)``.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Literal

from .contracts.errors import DataError, UsageError, counted, unknown_name
from .contracts.plug_ins import load_plug_in
from .contracts.records import configured
from .sources.video_file import VideoFile

Protocol = Literal["single", "multi", "paragraph"]
"""How captions are scored: one caption a video, each of several captions its own query, or all sentences of a
video joined to one query."""


@dataclass(frozen=True, slots=True)
class Video:
    """One retrievable item: a file, or a span of seconds within a file."""

    id: str
    path: VideoFile | None
    """The file, wherever it lies, or None where it was not found. Of one on a server nobody has asked yet."""
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

    @property
    def digest(self) -> str:
        """sha256 of the sorted ids, one a line: the same for every order and line ending of an id list."""
        return hashlib.sha256("\n".join(sorted(self.video_ids)).encode()).hexdigest()


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
    size: str = ""
    """How big it is, in words."""
    alternatives: tuple[str, ...] = ()
    """Other names under which the same is found; the first that is there is read."""
    required: bool = True
    """Whether the data set cannot be read without it."""
    at_root: bool = False
    """Whether it has to lie in the root itself, not in a folder below."""


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
        return f"{self.split}: {self.found:,} of {counted(self.expected, 'video')} found"


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
    is_archive: bool = False
    """Whether videos and captions come and go, as in an archive of one's own; what a published set holds is fixed."""
    normalisation: tuple[str, ...] = ()
    """What was done to captions on reading (such as trimming), for the store's record."""
    notes: tuple[str, ...] = field(default=())
    """What a reader of a figure must know, such as a test split that is one video short."""

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            UsageError: the data set has no such split; the message lists those it has.
        """
        if name not in self.splits:
            raise UsageError(unknown_name(f"split of {self.name}", name, self.splits))
        return self.splits[name]

    def coverage(self, split: str) -> Coverage:
        """How many videos of the split were found, and which were not."""
        ids = self.split(split).video_ids
        missing = tuple(i for i in ids if self.videos[i].path is None)
        return Coverage(split, len(ids) - len(missing), self.splits[split].expected, missing)

    def num_over_long(self, max_words: int) -> int:
        """At least how many captions lose words at ``max_words`` tokens, start and end included.

        Words are what white space parts, and a word is a token or more: a lower bound without a tokenizer.
        """
        return sum(len(caption.text.split()) > max_words - 2 for caption in self.captions)


def load_dataset(
    name: str, root: Path, settings: Mapping[str, str], report: Callable[[int, int], None] | None = None
) -> Dataset:
    """The data set of that name, as its files below ``root`` describe it.

    Args:
        name: a plug-in of ``tvr.data``.
        root: where its files are.
        settings: ``key=value`` strings for its ``Config``.
        report: told how far a data set that has to be generated is.

    Raises:
        UsageError: no such data set, or no such setting.
        DataError: a file is missing, cannot be read or breaks its format.
    """
    plug_in = load_plug_in("tvr.data", name)
    config = configured(plug_in.Config, settings, name)
    takes_report = "report" in signature(plug_in.load).parameters
    try:
        return plug_in.load(root, config, **({"report": report} if takes_report else {}))
    except OSError as error:
        raise DataError(unreadable(root, error)) from error


def unreadable(root: Path, error: OSError) -> str:
    """The message for a root, or something below it, that the system does not let us read."""
    return f"{error.filename or root}: cannot be read: {error.strerror or error}. Check the path and who may read it."
