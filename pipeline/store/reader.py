"""The read side of a feature store: a folder of HDF5 shards, mapped into memory without copies.

The format is described in README.md and can be read in five lines of h5py and numpy; this module only adds
lookup by id, checks and speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from ...data.contracts.errors import StoreError
from .columns import FEATURES, boundaries_of, check_boundaries, check_length, check_width, numbers, strings
from .manifest import Manifest, load_manifest, load_split_ids
from .patches import dequantised
from .shards import MISSING, Receipt, open_shard, read_receipt, shard_name


@dataclass(frozen=True)
class VideoRows:
    """Frames of several videos, concatenated."""

    ids: tuple[str, ...]
    frames: Float[np.ndarray, "row dim"]
    offsets: Int[np.ndarray, " boundary"]
    """Rows ``offsets[i]:offsets[i + 1]`` belong to video ``i``; a failed video has none."""
    frame_seconds: Float[np.ndarray, " row"]


@dataclass(frozen=True)
class TextRows:
    """Words of several texts, concatenated."""

    ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    texts: tuple[str, ...]
    words: Float[np.ndarray, "row dim"]
    token_ids: Int[np.ndarray, " row"]
    offsets: Int[np.ndarray, " boundary"]
    sentence_row: Int[np.ndarray, " text"]
    """Which of a text's own rows is the pooled one."""
    truncated: Bool[np.ndarray, " text"]
    parts: Float[np.ndarray, "part dim"] | None
    """Paragraph sets: the pooled row of every sentence, concatenated; else None."""
    part_offsets: Int[np.ndarray, " boundary"] | None


@dataclass(frozen=True, slots=True)
class VideoStatus:
    """How one video fared."""

    id: str
    status: str
    reason: str
    decoder: str
    frames: int


def worst_first(statuses: Sequence[VideoStatus]) -> list[VideoStatus]:
    """Videos that are not ok: those that failed, then those with the fewest frames."""
    bad = [row for row in statuses if row.status != "ok"]
    return sorted(bad, key=lambda row: (row.status != "failed", row.reason == MISSING, row.frames, row.id))


class Shard:
    """One shard file, its large arrays mapped into memory and its small ones read on first use."""

    def __init__(self, path: Path, dim: int | None = None) -> None:
        self.path = path
        self._dim = dim  # the width of a feature, where it is known
        self._columns: dict[str, NDArray[Any]] = {}

    def array(self, name: str) -> NDArray[Any]:
        """A column of numbers as a read-only memory map: no HDF5 lock, pages shared between processes.

        Raises:
            StoreError: the shard has no such column, or one that cannot be.
        """
        if name not in self._columns:
            with open_shard(self.path) as file:
                values = numbers(self.path, file, name)
            boundaries = boundaries_of(name)
            if boundaries is None:
                check_boundaries(self.path, name, values)
            else:
                check_length(self.path, name, len(values), self.array(boundaries), of_items=False)
            if self._dim is not None and name in FEATURES:
                check_width(self.path, name, values, self._dim)
            self._columns[name] = values
        return self._columns[name]

    def strings(self, name: str) -> list[str]:
        """A column of strings, one for each item.

        Raises:
            StoreError: the shard has no such column, or it does not hold UTF-8.
        """
        with open_shard(self.path) as file:
            values = strings(self.path, file, name)
        check_length(self.path, name, len(values), self.array("offsets"), of_items=True)
        return values

    @cached_property
    def ids(self) -> list[str]:
        """Item ids in stored order."""
        return self.strings("ids")

    @cached_property
    def has_sentences(self) -> bool:
        """Whether the texts are paragraphs whose sentences were encoded one by one as well."""
        with open_shard(self.path) as file:
            return "sentences" in file


class FeatureStore:
    """A store of one data set's features. Open it with ``FeatureStore.open``."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path, *, complete: bool = True) -> "FeatureStore":
        """Open a store for reading.

        Raises:
            StoreError: there is no store, or (with ``complete``) some of its shards are not there yet.
        """
        store = cls(folder, load_manifest(folder))
        absent = store.absent_shards()
        if complete and absent:
            total = len(store.shard_names("video")) + len(store.shard_names("text"))
            raise StoreError(
                f"{folder} is incomplete: {len(absent)} of {total} shards are missing (first: {absent[0]}). "
                "Run the same `tvr extract` again; it resumes."
            )
        return store

    def shard_names(self, kind: str) -> list[str]:
        """File names of the planned shards, ``kind`` being ``video`` or ``text``."""
        m = self.manifest
        items, size = (
            (m.num_videos, m.videos_per_shard) if kind == "video" else (m.num_texts, m.texts_per_shard)
        )
        count = -(-items // size)
        return [shard_name(kind, index, count) for index in range(count)]

    def receipt(self, name: str) -> Receipt | None:
        """The receipt of a shard, or None while the shard is not there as a whole."""
        return read_receipt(self.folder / name)

    def absent_shards(self) -> list[str]:
        """Planned shards that are not there as a whole."""
        names = self.shard_names("video") + self.shard_names("text")
        return [name for name in names if self.receipt(name) is None]

    @cached_property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Video ids by split, in the order of the split."""
        return load_split_ids(self.folder, self.manifest)

    @cached_property
    def _video_shards(self) -> list[Shard]:
        return self._present("video")

    @cached_property
    def _text_shards(self) -> list[Shard]:
        return self._present("text")

    def _present(self, kind: str) -> list[Shard]:
        return [
            Shard(self.folder / name, self.manifest.dim)
            for name in self.shard_names(kind)
            if self.receipt(name) is not None
        ]

    @cached_property
    def _video_places(self) -> dict[str, tuple[int, int, int]]:
        """Video id -> (shard, first row, row after the last), as Python numbers: reading one costs a slice."""
        places: dict[str, tuple[int, int, int]] = {}
        for index, shard in enumerate(self._video_shards):
            offsets = shard.array("offsets").tolist()
            for row, video_id in enumerate(shard.ids):
                places[video_id] = (index, offsets[row], offsets[row + 1])
        return places

    @cached_property
    def _frame_columns(self) -> list[NDArray[Any]]:
        return [shard.array("frames") for shard in self._video_shards]

    @cached_property
    def _second_columns(self) -> list[NDArray[Any]]:
        return [shard.array("frame_seconds") for shard in self._video_shards]

    @property
    def video_ids(self) -> list[str]:
        """Every video of the store, failed ones too, in sorted order."""
        return list(self._video_places)

    def statuses(self) -> list[VideoStatus]:
        """How each video fared, in stored order."""
        result: list[VideoStatus] = []
        for shard in self._video_shards:
            frames = np.diff(shard.array("offsets"))
            columns = zip(
                shard.ids,
                shard.strings("status"),
                shard.strings("reason"),
                shard.strings("decoder"),
                frames,
                strict=True,
            )
            result += [
                VideoStatus(i, status, reason, decoder, int(n)) for i, status, reason, decoder, n in columns
            ]
        return result

    def frames(self, video_id: str) -> Float[np.ndarray, "frame dim"]:
        """The frames of one video, mapped, not copied.

        Raises:
            StoreError: the store has no such video.
        """
        index, start, stop = self._place(video_id)
        return self._frame_columns[index][start:stop]

    def frame_seconds(self, video_id: str) -> Float[np.ndarray, " frame"]:
        """The presentation time of each frame of one video.

        Raises:
            StoreError: the store has no such video.
        """
        index, start, stop = self._place(video_id)
        return self._second_columns[index][start:stop]

    @property
    def has_patches(self) -> bool:
        """Whether every frame has its patches beside it."""
        return self.manifest.patches_dtype is not None

    def patches(self, video_id: str) -> Float[np.ndarray, "frame patch dim"]:
        """The patches of each frame of one video, row by row of the picture: float16 and mapped, or float32 where
        they are stored as integers.

        Raises:
            StoreError: the store has no such video, or no patches.
        """
        if not self.has_patches:
            raise StoreError(f"{self.folder} has no patches; extract with --patches into another folder")
        index, start, stop = self._place(video_id)
        shard = self._video_shards[index]
        has_scales = self.manifest.patches_dtype == "int8"
        scales = shard.array("patch_scales")[start:stop] if has_scales else None
        return dequantised(shard.array("patches")[start:stop], scales)

    def _place(self, video_id: str) -> tuple[int, int, int]:
        try:
            return self._video_places[video_id]
        except KeyError:
            raise StoreError(
                f"{self.folder} has no video {video_id!r}; `tvr inspect` lists what is there"
            ) from None

    def videos(self, ids: Sequence[str] | None = None) -> VideoRows:
        """Frames of the named videos (all by default), in that order, copied into one array.

        Raises:
            StoreError: the store lacks one of them.
        """
        wanted = tuple(self.video_ids if ids is None else ids)
        frames = [self.frames(i) for i in wanted]
        seconds = [self.frame_seconds(i) for i in wanted]
        return VideoRows(
            ids=wanted,
            frames=np.concatenate([np.zeros((0, self.manifest.dim), np.float16), *frames]),
            offsets=_offsets(frames),
            frame_seconds=np.concatenate([np.zeros(0, np.float32), *seconds]),
        )

    def texts(self, video_ids: Sequence[str] | None = None) -> TextRows:
        """The texts of the named videos (all by default), in stored order, copied into one set of arrays."""
        wanted = None if video_ids is None else set(video_ids)
        chosen: list[tuple[Shard, int]] = []
        columns: dict[str, list[str]] = {"ids": [], "video_ids": [], "texts": []}
        for shard in self._text_shards:
            videos = shard.strings("video_ids")
            rows = [row for row, video in enumerate(videos) if wanted is None or video in wanted]
            chosen += [(shard, row) for row in rows]
            for name, values in columns.items():
                stored = videos if name == "video_ids" else shard.strings(name)
                values += [stored[row] for row in rows]
        return self._text_rows(chosen, columns)

    def _text_rows(self, chosen: list[tuple[Shard, int]], columns: dict[str, list[str]]) -> TextRows:
        words = [_item(shard, row, "words", "offsets") for shard, row in chosen]
        tokens = [_item(shard, row, "token_ids", "offsets") for shard, row in chosen]
        parts: list[NDArray[Any]] | None = None
        if chosen and all(shard.has_sentences for shard in {shard for shard, _ in chosen}):
            parts = [_item(shard, row, "sentences", "sentence_offsets") for shard, row in chosen]
        empty = np.zeros((0, self.manifest.dim), np.float16)
        return TextRows(
            ids=tuple(columns["ids"]),
            video_ids=tuple(columns["video_ids"]),
            texts=tuple(columns["texts"]),
            words=np.concatenate([empty, *words]),
            token_ids=np.concatenate([np.zeros(0, np.int32), *tokens]),
            offsets=_offsets(words),
            sentence_row=np.array([shard.array("sentence_row")[row] for shard, row in chosen], np.int32),
            truncated=np.array([shard.array("truncated")[row] for shard, row in chosen], np.bool_),
            parts=None if parts is None else np.concatenate([empty, *parts]),
            part_offsets=None if parts is None else _offsets(parts),
        )


def _item(shard: Shard, row: int, column: str, boundaries: str) -> NDArray[Any]:
    offsets = shard.array(boundaries)
    return shard.array(column)[offsets[row] : offsets[row + 1]]


def _offsets(parts: Sequence[NDArray[Any]]) -> Int[np.ndarray, " boundary"]:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)]).astype(np.int64)
