"""What is known of each video of a store beside its features: file, captions, splits, how it fared, how long it is.

Videos have numbers: their places in the store. A page or a program names them by these, never by a path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from ...data.base import Video
from ...data.contracts.errors import UsageError
from ...data.contracts.file_names import printable
from ...data.sources.video_file import VideoFile, containing_folder
from ...pipeline.store.reader import FeatureStore
from ...pipeline.store.rows import VideoStatus
from .moments import frame_borders


@dataclass(frozen=True, slots=True)
class CataloguedVideo:
    """One video of a store."""

    number: int
    status: VideoStatus
    splits: tuple[str, ...]
    captions: tuple[str, ...]
    """As the store has them; none where it has none."""
    video: Video | None
    """As the data set has it; None where nobody knows."""
    duration_seconds: float | None
    """Of the part that was looked at, as its frames tell; None of a video of fewer than two."""
    folder: str
    """Below the one that all files have in common; empty where that is it, or no file is known."""

    @property
    def id(self) -> str:
        """By which the data set names it."""
        return self.status.id

    @property
    def path(self) -> VideoFile | None:
        """The file, if it is known and there."""
        return None if self.video is None or self.video.path is None else self.video.path.absolute()

    @property
    def file(self) -> str | None:
        """The name of that file as text, whatever bytes it is made of."""
        return None if self.path is None else printable(self.path.name)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which videos are wanted; None: whichever."""

    split: str | None = None
    status: str | None = None
    folder: str | None = None
    """This one, and what lies below it."""
    shortest: float | None = None
    """Seconds."""
    longest: float | None = None
    """Seconds."""
    name: str | None = None
    """A part of the id or of the file's name, whatever its case."""


class Catalogue:
    """Every video of a store, failed ones too.

    Args:
        store: the store.
        videos: of its data set, by id, as far as they are known.
    """

    def __init__(self, store: FeatureStore, videos: Mapping[str, Video]) -> None:
        self.store = store
        self.videos = videos

    def __len__(self) -> int:
        return len(self._statuses)

    def __getitem__(self, number: int) -> CataloguedVideo:
        """The video of that number.

        Raises:
            UsageError: the store has none.
        """
        if not 0 <= number < len(self):
            raise UsageError(f"there is no video {number}: the store has {len(self):,}, counted from 0")
        status = self._statuses[number]
        return CataloguedVideo(
            number,
            status,
            tuple(name for name, ids in self._members.items() if status.id in ids),
            self.captions.get(status.id, ()),
            self.videos.get(status.id),
            self._duration(status.id),
            self._folders[number],
        )

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each video, by id."""
        return {status.id: number for number, status in enumerate(self._statuses)}

    @cached_property
    def captions(self) -> Mapping[str, tuple[str, ...]]:
        """What the store says of each video that has captions, by id."""
        found: dict[str, list[str]] = {}
        for shard, rows in self.store.living("text"):
            videos, texts = shard.strings("video_ids"), shard.strings("texts")
            for row in rows:
                found.setdefault(videos[row], []).append(texts[row])
        return {video: tuple(texts) for video, texts in found.items()}

    @cached_property
    def owners(self) -> Mapping[str, tuple[int, ...]]:
        """The numbers of the videos that a text was written for, by the text."""
        found: dict[str, list[int]] = {}
        for video, texts in self.captions.items():
            for text in texts:
                found.setdefault(text, []).append(self.numbers[video])
        return {text: tuple(numbers) for text, numbers in found.items()}

    @cached_property
    def folders(self) -> list[str]:
        """Those that hold files."""
        return sorted(set(self._folders))

    @cached_property
    def status_names(self) -> list[str]:
        """How videos of the store fared."""
        return sorted({status.status for status in self._statuses})

    def chosen(self, wanted: Filter) -> Iterator[int]:
        """The numbers of the videos that a filter lets through."""
        members = None if wanted.split is None else self._members.get(wanted.split, frozenset())
        for number, status in enumerate(self._statuses):
            if (
                (members is None or status.id in members)
                and wanted.status in (None, status.status)
                and self._lies_in(number, wanted.folder)
                and self._is_named(number, wanted.name)
                and self._is_so_long(status.id, wanted.shortest, wanted.longest)
            ):
                yield number

    def mask(self, wanted: Filter, ids: tuple[str, ...]) -> Bool[Tensor, " video"] | None:
        """Which of some videos a filter lets through; None where it lets all through."""
        if wanted == Filter():
            return None
        chosen = {self._statuses[number].id for number in self.chosen(wanted)}
        return torch.tensor([one in chosen for one in ids], dtype=torch.bool)

    @cached_property
    def _statuses(self) -> list[VideoStatus]:
        return self.store.statuses()

    @cached_property
    def _members(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(ids) for name, ids in self.store.splits.items()}

    @cached_property
    def _folders(self) -> list[str]:
        paths = [None if (v := self.videos.get(s.id)) is None else v.path for s in self._statuses]
        parents = [None if path is None else containing_folder(path) for path in paths]
        known = {parent for parent in parents if parent is not None}
        if not known:
            return [""] * len(parents)
        common = min(known, key=lambda one: len(one.parts))
        while not all(one.is_relative_to(common) for one in known):
            common = common.parent
        below = {one: printable(str(one.relative_to(common))) for one in known}
        return ["" if one is None or below[one] == "." else below[one] for one in parents]

    def _duration(self, video: str) -> float | None:
        seconds = self.store.frame_seconds(video)
        if len(seconds) < 2:
            return None
        borders = frame_borders([float(second) for second in seconds])
        return borders[-1] - borders[0]

    def _lies_in(self, number: int, folder: str | None) -> bool:
        own = self._folders[number]
        return folder is None or own == folder or own.startswith(f"{folder}/") or folder == ""

    def _is_named(self, number: int, name: str | None) -> bool:
        if not name:
            return True
        status = self._statuses[number]
        video = self.videos.get(status.id)
        file = "" if video is None or video.path is None else printable(video.path.name)
        return name.casefold() in status.id.casefold() or name.casefold() in file.casefold()

    def _is_so_long(self, video: str, shortest: float | None, longest: float | None) -> bool:
        if shortest is None and longest is None:
            return True
        seconds = self._duration(video)
        return seconds is not None and (shortest or 0.0) <= seconds <= (
            float("inf") if longest is None else longest
        )
