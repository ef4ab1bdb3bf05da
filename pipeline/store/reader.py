"""The read side of a feature store: a folder of HDF5 shards, mapped into memory without copies.

The format is in README.md and can be read in five lines of h5py and numpy; this adds lookup by id, checks and speed.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from ...data.contracts.errors import StoreError, counted, pasteable
from .claim import is_being_written
from .generations.record import Generation, load_generation, load_manifest, load_split_ids, shard_name
from .manifest import Manifest
from .patches import dequantised
from .receipts import Receipt, read_receipt, read_receipt_facts
from .rows import OlderRow, TextRows, VideoRows, VideoStatus
from .shard_reader import ShardReader

FeatureColumn = Literal["frames", "words", "sentences"]
"""The columns of features, each of which a shard holds as float16, or as float32 where ``shards.as_stored`` says so."""


def common_dtype(arrays: Iterable[NDArray[Any]]) -> np.dtype[Any]:
    """What holds the rows of all these arrays as they are, float16 of none.

    Of shards of one store it is float32 as soon as one of them is: in float16 its numbers would become infinite or 0.
    """
    return np.result_type(*({array.dtype for array in arrays} or {np.dtype(np.float16)}))


class _Videos(NamedTuple):
    """Where every video of a store lies, and the columns of frames of each shard."""

    places: dict[str, tuple[int, int, int]]
    """Video id -> (shard, first row, row after the last), as Python numbers: reading one costs a slice."""
    frames: list[NDArray[Any]]
    seconds: list[NDArray[Any]]
    patches: list[NDArray[Any]]
    patch_scales: list[NDArray[Any]]
    """Patches are empty where the store has none, their scales also where these are not integers."""


class FeatureStore:
    """A store of one data set's features. Open it with ``FeatureStore.open``."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path, *, complete: bool = True) -> "FeatureStore":
        """Open a store for reading.

        Raises:
            StoreError: there is no store, or (with ``complete``) some of its shards are not there; it says which.
        """
        store = cls(folder, load_manifest(folder))
        if complete and (absent := store.absent_shards()):
            total = counted(len(store.shard_names("video")) + len(store.shard_names("text")), "shard")
            names = ", ".join(absent[:3]) + (f" and {len(absent) - 3:,} more" if len(absent) > 3 else "")
            then = f"To extract what is missing: tvr verify --repair --store {pasteable(folder)}"
            if is_being_written(folder):
                then = "Another process writes it now: wait until that has ended."
            raise StoreError(f"{folder} is incomplete: {len(absent):,} of {total} missing ({names}). {then}")
        return store

    @cached_property
    def generation(self) -> Generation | None:
        """What has become of the store since it was begun; None where nothing has come, changed or gone.

        Raises:
            StoreError: its record is not what was written.
        """
        return load_generation(self.folder, self.manifest.generation)

    def shard_names(self, kind: str) -> list[str]:
        """File names of the planned shards that are read, ``kind`` being ``video`` or ``text``."""
        if self.generation:
            return self.generation.shard_names(kind)
        m = self.manifest
        items, size = (
            (m.num_videos, m.videos_per_shard) if kind == "video" else (m.num_texts, m.texts_per_shard)
        )
        count = -(-items // size)
        return [shard_name(kind, index, count) for index in range(count)]

    def receipt(self, name: str) -> Receipt | None:
        """The receipt of a shard, or None while the shard is not there as a whole.

        Raises:
            StoreError: the shard was made for another store.
        """
        return self._of_this_store(name, read_receipt(self.folder / name))

    def receipt_facts(self, name: str) -> Receipt | None:
        """The same without what it says of single videos, but for those that were missing: see ``read_receipt_facts``.

        Raises:
            StoreError: the shard was made for another store.
        """
        return self._of_this_store(name, read_receipt_facts(self.folder / name))

    def _of_this_store(self, name: str, receipt: Receipt | None) -> Receipt | None:
        if receipt and not receipt.is_of(self.manifest):
            raise StoreError(
                f"{self.folder / name} was made for another store, with other features. "
                f"`tvr verify --store {pasteable(self.folder)} --repair` makes it anew"
            )
        return receipt

    def absent_shards(self) -> list[str]:
        """Planned shards that are not there as a whole."""
        names = self.shard_names("video") + self.shard_names("text")
        return [name for name in names if self.receipt_facts(name) is None]

    @cached_property
    def digest(self) -> str:
        """sha256 of the names and checksums of its shards: as long as it stays the same, no byte of them changes."""
        names = self.shard_names("video") + self.shard_names("text")
        receipts = [receipt for name in names if (receipt := self.receipt_facts(name)) is not None]
        lines = "".join(f"{receipt.shard} {receipt.sha256}\n" for receipt in receipts)
        lines += f"unread {self.generation.unread_digest}\n" if self.generation else ""
        return hashlib.sha256(lines.encode()).hexdigest()

    @cached_property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Video ids by split, in the order of the split."""
        return load_split_ids(self.folder, self.manifest)

    def shards(self, kind: str) -> Iterator[ShardReader]:
        """The shards that are there, in the order of their numbers, ``kind`` being ``video`` or ``text``.

        Raises:
            StoreError: one of them is damaged.
        """
        for name in self.shard_names(kind):
            if receipt := self.receipt(name):
                yield ShardReader(self.folder / name, self.manifest.dim, receipt)

    def living(self, kind: str) -> Iterator[tuple[ShardReader, Sequence[int]]]:
        """The shards that are there, and which of their rows are of the store: all, unless it has grown.

        Raises:
            StoreError: one of them is damaged.
        """
        if self.generation is None:
            for shard in self.shards(kind):
                yield shard, range(len(shard.ids))
            return
        shards = list(self.shards(kind))
        own = set(self.generation.own_shards(kind))
        unread = {*self.generation.own_ids(kind), *self.generation.gone_ids(kind)}
        last = {i: shard.path.name for shard in shards for i in shard.ids}
        for shard in shards:
            name = shard.path.name
            is_own = name in own
            yield (
                shard,
                [row for row, i in enumerate(shard.ids) if last[i] == name and (is_own or i not in unread)],
            )

    @cached_property
    def _videos(self) -> _Videos:
        # Not the readers themselves: they hold the strings of a million videos.
        videos = _Videos({}, [], [], [], [])
        for index, (shard, living) in enumerate(self.living("video")):
            offsets, ids = shard.array("offsets").tolist(), shard.ids
            videos.places.update((ids[row], (index, offsets[row], offsets[row + 1])) for row in living)
            videos.frames.append(shard.array("frames"))
            videos.seconds.append(shard.array("frame_seconds"))
            if self.has_patches:
                videos.patches.append(shard.array("patches"))
            if self.manifest.patches_dtype == "int8":
                videos.patch_scales.append(shard.array("patch_scales"))
        return videos._replace(places=dict(sorted(videos.places.items()))) if self.generation else videos

    @property
    def video_ids(self) -> list[str]:
        """Every video of the store, failed ones too, in sorted order."""
        return list(self._videos.places)

    def statuses(self) -> list[VideoStatus]:
        """How each video fared, in the order of their ids."""
        result: list[VideoStatus] = []
        for shard, living in self.living("video"):
            frames = np.diff(shard.array("offsets")).tolist()
            names = ("status", "reason", "decoder")
            ids, (status, reason, decoder) = shard.ids, map(shard.strings, names)
            result += [VideoStatus(ids[i], status[i], reason[i], decoder[i], frames[i]) for i in living]
        return sorted(result, key=lambda status: status.id) if self.generation else result

    def older_rows(self, rules: int) -> Iterator[OlderRow]:
        """The videos with frames whose files were read by older rules than these, in stored order. Shards without any
        are not opened.
        """
        living = (
            {shard.path.name: set(rows) for shard, rows in self.living("video")} if self.generation else {}
        )
        for name in self.shard_names("video"):
            receipt = self.receipt(name)
            if receipt is None or ((receipt.reading_rules or 0) >= rules and not receipt.older_rows):
                continue
            shard = ShardReader(self.folder / name, self.manifest.dim, receipt)
            texts = shard.ids, shard.strings("status"), shard.strings("decoder")
            rows = pairwise(shard.array("offsets").tolist())
            seconds, indices = shard.array("frame_seconds"), shard.array("frame_index")
            for row, (video, status, decoder, (start, stop)) in enumerate(zip(*texts, rows, strict=True)):
                if living and row not in living[name]:
                    continue
                if start < stop and receipt.rules_of(video) < rules:
                    yield OlderRow(video, name, status, decoder, seconds[start:stop], indices[start:stop])

    def dtype(self, column: FeatureColumn) -> np.dtype[Any]:
        """What the store's features of one kind are as numbers: float16, or float32 as soon as one shard needs it."""
        if column == "frames":
            return common_dtype(self._videos.frames)
        return self._text_dtypes[column]

    @cached_property
    def _text_dtypes(self) -> dict[str, np.dtype[Any]]:
        found: dict[str, list[NDArray[Any]]] = {"words": [], "sentences": []}
        for shard in self.shards("text"):
            found["words"].append(shard.array("words"))
            if shard.has_sentences:
                found["sentences"].append(shard.array("sentences"))
        return {column: common_dtype(arrays) for column, arrays in found.items()}

    def frames(self, video_id: str) -> Float[np.ndarray, "frame dim"]:
        """The frames of one video, mapped, not copied.

        Raises:
            StoreError: the store has no such video.
        """
        index, start, stop = self._place(video_id)
        return self._videos.frames[index][start:stop]

    def frame_seconds(self, video_id: str) -> Float[np.ndarray, " frame"]:
        """The presentation time of each frame of one video.

        Raises:
            StoreError: the store has no such video.
        """
        index, start, stop = self._place(video_id)
        return self._videos.seconds[index][start:stop]

    @property
    def has_patches(self) -> bool:
        """Whether every frame has its patches beside it."""
        return self.manifest.patches_dtype is not None

    def patches(self, video_id: str) -> Float[np.ndarray, "frame patch patch_dim"]:
        """The patches of each frame of one video, row by row of the picture: float16 and mapped, or float32 where
        they are stored as integers. ``manifest.patch_kind`` says whether they are in the space of the frames.

        Raises:
            StoreError: the store has no such video, or no patches.
        """
        if not self.has_patches:
            raise StoreError(f"{self.folder} has no patches; extract with --patches into another folder")
        index, start, stop = self._place(video_id)
        scales = self._videos.patch_scales
        return dequantised(
            self._videos.patches[index][start:stop], scales[index][start:stop] if scales else None
        )

    def _place(self, video_id: str) -> tuple[int, int, int]:
        try:
            return self._videos.places[video_id]
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
            frames=np.concatenate([np.zeros((0, self.manifest.dim), self.dtype("frames")), *frames]),
            offsets=_offsets(frames),
            frame_seconds=np.concatenate([np.zeros(0, np.float32), *seconds]),
        )

    def texts(self, video_ids: Sequence[str] | None = None) -> TextRows:
        """The texts of the named videos (all by default), in stored order, copied into one set of arrays."""
        wanted = None if video_ids is None else set(video_ids)
        strings: dict[str, list[str]] = {"ids": [], "video_ids": [], "texts": []}
        arrays: dict[str, list[NDArray[Any]]] = {
            name: [] for name in ("words", "token_ids", "sentence_row", "truncated", "sentences")
        }
        # No row of each shard, chosen or not: which texts are asked for changes no dtype.
        no_rows = {name: [np.zeros((0, self.manifest.dim), np.float16)] for name in ("words", "sentences")}
        for shard, living in self.living("text"):
            videos = shard.strings("video_ids")
            rows = [row for row in living if wanted is None or videos[row] in wanted]
            for name, values in strings.items():
                stored = shard.strings(name)
                values += [stored[row] for row in rows]
            for name, items in arrays.items():
                if name != "sentences" or shard.has_sentences:
                    items += shard.items(name, rows)
                    if name in no_rows:
                        no_rows[name].append(shard.array(name)[:0])
        if self.generation:
            _sort_by_id(strings["ids"], (*strings.values(), *arrays.values()))
        no_words, no_parts = map(np.concatenate, no_rows.values())
        ids, words, parts = strings["ids"], arrays["words"], arrays["sentences"]
        paragraphs = bool(ids) and len(parts) == len(ids)
        return TextRows(
            ids=tuple(ids),
            video_ids=tuple(strings["video_ids"]),
            texts=tuple(strings["texts"]),
            words=np.concatenate([no_words, *words]),
            token_ids=np.concatenate([np.zeros(0, np.int32), *arrays["token_ids"]]),
            offsets=_offsets(words),
            sentence_row=np.concatenate([np.zeros(0, np.int32), *arrays["sentence_row"]]),
            truncated=np.concatenate([np.zeros(0, np.bool_), *arrays["truncated"]]),
            parts=np.concatenate([no_parts, *parts]) if paragraphs else None,
            part_offsets=_offsets(parts) if paragraphs else None,
        )


def _sort_by_id(ids: Sequence[str], columns: Iterable[list[Any]]) -> None:
    """Sort all columns, in place, by the ids, which may be one of them."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    for column in columns:
        if column:  # a store of captions without sentences has none of these
            column[:] = [column[place] for place in order]


def _offsets(parts: Sequence[NDArray[Any]]) -> Int[np.ndarray, " boundary"]:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)]).astype(np.int64)
