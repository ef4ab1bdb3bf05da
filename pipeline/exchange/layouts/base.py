"""The layout contract: how features of others are read into rows of a store, and rows written as others read them.

A plug-in holds

* ``ABOUT``: what lies where, in a line;
* ``open_source(place) -> FeatureSource``: looks at what is there and reads no features yet;
* ``Sink``: made with a ``Writing``; takes rows in the order of the store, a part after another;
* ``losses(held, writing) -> list``: what of a store's contents it cannot hold, in words;
* ``kept(held, writing) -> tuple``: which digests of ``Content`` are the same again when it is read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from ....data.base import Caption
from ....data.contracts.errors import counted
from ....data.contracts.identity import FileDigest
from ....data.contracts.numbers import Positive
from ...store.manifest import Manifest
from ...store.shards import TextRow, VideoRow
from ..sidecar import Sidecar

TEXT = "text:"
"""Before the names of files of captions, among those that are not called by their id."""

HiddenStates = Literal["leave", "keep"]
RowsAre = Literal["video", "frame"]
TextFeatureKind = Literal["words", "pooled", "hidden", "none"]
"""words: of every token, in the space of frames, and the pooled one. pooled: one of each text. hidden: of every token,
before the encoder projects it into the space of frames. none: texts alone."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person says of files that do not say it themselves. None: nothing was said."""

    captions: tuple[Path, ...] = ()
    """Files of captions; none: those that lie where the layout has them."""
    without_captions: bool = False
    clip_seconds: Positive | None = None
    """Each row stands for so many seconds, one clip behind the other."""
    fps: Positive | None = None
    """Rows a second, the first at 0."""
    hidden_states: HiddenStates | None = None
    """What is done with words of a text that are not in the space of frames."""
    text_projection: Path | None = None
    """``.npy`` [width, dim] by which such words come into it."""
    rows: RowsAre | None = None
    """What a row of a table of vectors stands for."""
    id_column: str | None = None
    """Of a table, which column names the video of a row."""
    allow_missing: bool = False
    """Whether a video that is named and has no features becomes a row with a reason."""
    file_digest: FileDigest = "ends"


@dataclass(frozen=True, slots=True)
class ReadPlace:
    """What is to be read, and what is known of it."""

    path: Path
    options: ReadOptions
    sidecar: Sidecar | None
    """What tvr wrote beside features that it exported."""

    @property
    def names(self) -> Mapping[str, str]:
        """Ids of files that are not called by their id."""
        return self.sidecar.names if self.sidecar else {}

    @property
    def failed_ids(self) -> Sequence[str]:
        """Videos that are known to have no features."""
        return self.sidecar.failed_ids if self.sidecar else []


@runtime_checkable
class FeatureSource(Protocol):
    """Features as they lie on the disk, item by item. Items are asked for in their order."""

    @property
    def dim(self) -> int:
        """Width of a feature."""
        ...

    @property
    def video_ids(self) -> Sequence[str]:
        """Every video, also those without features."""
        ...

    @property
    def caption_ids(self) -> Sequence[str]:
        """Every caption."""
        ...

    @property
    def caption_videos(self) -> NDArray[Any]:
        """Of each caption the place of its video among ``video_ids``."""
        ...

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """Ids of videos by split; nothing where the files say nothing of splits."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """What was read beside the files of single videos: by name, its length and digest."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of a figure must know."""
        ...

    @property
    def text_features(self) -> TextFeatureKind:
        """What the captions have."""
        ...

    @property
    def why_no_text_features(self) -> str:
        """Where they have none although something is there, what that is, and what to do; else nothing."""
        ...

    def video(self, place: int) -> VideoRow:
        """A video.

        Raises:
            DataError: its file is damaged, or no such features can be kept.
        """
        ...

    def caption(self, place: int) -> Caption:
        """What a caption says."""
        ...

    def text(self, place: int) -> TextRow:
        """A caption with its features; only of a source whose captions have some.

        Raises:
            DataError: its file is missing or damaged, or no such features can be kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class Writing:
    """Where a store is written to, and what of it."""

    path: Path
    manifest: Manifest
    splits: Mapping[str, Sequence[str]]
    """Ids of videos by split."""
    rows: RowsAre = "frame"
    """Of layouts with one vector a row, what that stands for."""
    packed: bool = False
    """Of layouts that have both, whether files go into tar files."""
    failed: frozenset[str] = frozenset()
    """Videos without frames."""
    captions: Callable[[], Iterator[Caption]] = lambda: iter(())
    """What the captions say, in stored order."""

    def splits_of(self) -> dict[str, list[str]]:
        """The splits of each video that is in one."""
        found: dict[str, list[str]] = {}
        for name, ids in self.splits.items():
            for video in ids:
                found.setdefault(video, []).append(name)
        return found


@runtime_checkable
class Sink(Protocol):
    """Rows of a store as others read them. Each part is whole before the next is begun; again, it is the same."""

    @property
    def name_of(self) -> Callable[[str], str]:
        """What the file, or the record, of an id is called."""
        ...

    def write_videos(self, part: int, rows: Sequence[VideoRow]) -> None:
        """Write videos."""
        ...

    def write_texts(self, part: int, rows: Sequence[TextRow]) -> None:
        """Write captions."""
        ...

    def finish(self) -> None:
        """Write what lists all items, once every part is there."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """What a store holds, as far as layouts differ in what they can hold."""

    failed: int
    """Videos without frames."""
    texts: int
    has_words: bool
    is_paragraphs: bool
    has_patches: bool
    captions_a_video: int
    """The most."""
    frames_a_video: int
    """The most."""


def without_frames(held: Held) -> list[str]:
    """Said of layouts that have no place for a video without features."""
    if not held.failed:
        return []
    return [f"{counted(held.failed, 'video')} without frames: in tvr.json alone, with the reasons"]
