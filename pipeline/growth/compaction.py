"""A store that has grown, written anew as if it had been extracted at once: no row that is not read takes room."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ...data.contracts.errors import StoreError, pasteable
from ..plan import cuts_of
from ..store.atomic_files import os_errors_as_store_error
from ..store.checksummed_json import write_checksummed
from ..store.claim import Claim, held_alone
from ..store.file_locks import SUFFIX
from ..store.generations.record import (
    GENERATIONS,
    HISTORY_NAME,
    earlier_digests,
    load_manifest,
    shard_name,
)
from ..store.housekeeping import size_in_words, size_of
from ..store.manifest import MANIFEST_NAME, SPLITS_NAME, Manifest
from ..store.merge import stored_rows
from ..store.patches import PatchLayout, patch_format
from ..store.reader import FeatureStore
from ..store.shard_reader import ShardReader
from ..store.shards import TextRow, VideoRow, write_text_shard, write_video_shard
from ..store.verification import damage_of

_BESIDE = ".{}.compacted"
"""Where the new folder lies, beside the store, while the two change places."""
_INSIDE, _BEFORE = "compacted.tmp", "before.tmp"

OnShard = Callable[[int, int], None]
"""Told how many shards are written, and how many there are to be."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a store was, and has become."""

    folder: Path
    generations: int
    """How often it had grown."""
    shards_before: int
    shards: int
    bytes_before: int
    bytes: int


def planned_compaction(folder: Path) -> Compaction:
    """What compacting a store would come to; it writes nothing. The bytes are an estimate.

    Raises:
        StoreError: there is no whole store.
    """
    folder = folder.resolve()
    _swap_ended(folder, is_dry=True)
    store = FeatureStore.open(folder)
    made, size = _Compacted(store), size_of(folder)
    items = sum(receipt.items for name in _names(store) if (receipt := store.receipt(name)))
    share = sum(map(len, made.places.values())) / max(items, 1)
    return Compaction(
        folder, store.manifest.generation, len(_names(store)), len(made.names), size, round(size * share)
    )


def compact_store(folder: Path, on_shard: OnShard = lambda done, total: None) -> Compaction:
    """Write a store into one generation, in the place of the one there is.

    Shards, their names and what is said of the store are then those of an extraction of the same videos and captions
    from the start, byte for byte, as long as the packages and the machine are the same. Until all is written the store
    is as it was, and takes its room beside the new one.

    Args:
        folder: the store; one that has not grown is left alone.
        on_shard: called after each shard.

    Raises:
        StoreError: the store is not whole or damaged, another process writes into it, or there is no room.
    """
    folder = folder.resolve()  # of a link, what it leads to changes places
    _swap_ended(folder)
    before = planned_compaction(folder)
    if not before.generations:
        return before
    _refuse_without_room(before)
    with os_errors_as_store_error(folder), held_alone(folder) as release:
        store, beside = FeatureStore.open(folder), folder / _INSIDE
        _refuse_damaged(store)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        try:
            _write(store, beside, on_shard)
            _keep_other_files(folder, beside)
            after = dataclasses.replace(before, bytes=size_of(beside))
            _swap(folder, beside, release)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    return after


def _swap_ended(folder: Path, *, is_dry: bool = False) -> None:
    """End what a killed process had nearly done: of the two folders that were to change places the new one is whole."""
    beside = folder.parent / _BESIDE.format(folder.name)
    if folder.exists() or not (beside / _BEFORE).is_dir():
        if not is_dry:
            shutil.rmtree(beside, ignore_errors=True)  # killed before the old one left its place
        return
    if is_dry:
        raise StoreError(
            f"compacting {folder} was interrupted while its new folder took its place: "
            f"`tvr compact --store {pasteable(folder)}` ends it"
        )
    beside.rename(folder)
    shutil.rmtree(folder / _BEFORE)


def _swap(folder: Path, inside: Path, release: Callable[[], None]) -> None:
    """Let the new folder take the place of the old one, which is inside it until that is done."""
    beside = folder.parent / _BESIDE.format(folder.name)
    inside.rename(beside)
    folder.rename(beside / _BEFORE)
    release()  # the locks went with the old folder: who opens them from now on finds those of the new one
    beside.rename(folder)
    shutil.rmtree(folder / _BEFORE)


def _refuse_without_room(planned: Compaction) -> None:
    free = shutil.disk_usage(planned.folder).free
    if planned.bytes > free:
        raise StoreError(
            f"compacting {planned.folder} takes {size_in_words(planned.bytes)} beside what is there, and its disk has "
            f"{size_in_words(free)} free. Make room and run the same command again; nothing was changed"
        )


def _refuse_damaged(store: FeatureStore) -> None:
    """See that no damaged row is written anew, for its new receipt would vouch for it."""
    for name in _names(store):
        if damage := damage_of(store.folder / name):
            raise StoreError(
                f"{store.folder / name} {damage}: nothing was changed. "
                f"`tvr verify --store {pasteable(store.folder)} --repair` mends it"
            )


def _write(store: FeatureStore, beside: Path, on_shard: OnShard) -> None:
    """Write all of a store but the files that are no part of it."""
    made = _Compacted(store)
    made.manifest.save(beside, store.splits)
    digests = [*earlier_digests(store.folder), store.digest]
    write_checksummed(beside / HISTORY_NAME, {"digests": digests})
    claim = Claim(beside, made.manifest)
    for done, write in enumerate(made.writing(claim), start=1):
        write()
        on_shard(done, len(made.names))
    FeatureStore.open(beside)  # every shard is there, and is of this store


def _keep_other_files(folder: Path, beside: Path) -> None:
    """Copy what is no part of the features: the request, a note, and what others have put there."""
    for path in folder.iterdir():
        is_features = path.suffix == ".h5" or path.with_suffix(".h5").exists()
        is_own = path.name in (MANIFEST_NAME, SPLITS_NAME, HISTORY_NAME, GENERATIONS, beside.name)
        if not is_features and not is_own and path.suffix != SUFFIX:
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, beside / path.name, symlinks=True)
            else:
                shutil.copy2(path, beside / path.name, follow_symlinks=False)


@dataclass(frozen=True)
class _Compacted:
    """What a store becomes."""

    store: FeatureStore

    @cached_property
    def manifest(self) -> Manifest:
        """As one that was begun with what the store holds now."""
        return dataclasses.replace(load_manifest(self.store.folder), generation=0)

    @cached_property
    def patches(self) -> PatchLayout | None:
        """How the patches of each frame are stored."""
        if self.manifest.patches_dtype is None:
            return None
        stored = next(iter(self.store.shards("video"))).array("patches")
        return PatchLayout(stored.shape[1], stored.shape[2], patch_format(self.manifest.patches_dtype))

    @cached_property
    def places(self) -> dict[str, list[tuple[str, int, int]]]:
        """By kind, of every row that counts its id, its shard and its place there, in the order of the ids."""
        return {kind: sorted(self._living(kind)) for kind in ("video", "text")}

    def _living(self, kind: str) -> Iterator[tuple[str, int, int]]:
        for number, (shard, living) in enumerate(self.store.living(kind)):
            yield from ((shard.ids[row], number, row) for row in living)

    @property
    def names(self) -> list[str]:
        """Of its shards."""
        return [name for kind in ("video", "text") for name in self._names(kind)]

    def _names(self, kind: str) -> list[str]:
        count = len(self._cuts(kind))
        return [shard_name(kind, index, count) for index in range(count)]

    def _cuts(self, kind: str) -> Sequence[Sequence[tuple[str, int, int]]]:
        m = self.manifest
        return cuts_of(self.places[kind], m.videos_per_shard if kind == "video" else m.texts_per_shard)

    def writing(self, claim: Claim) -> Iterator[Callable[[], object]]:
        """What writes each shard."""
        dim, paths = self.manifest.dim, [shard.path for shard in self.store.shards("video")]
        for name, places in zip(self._names("video"), self._cuts("video"), strict=True):
            videos = self._videos(paths, places)
            yield partial(write_video_shard, claim.folder / name, videos, dim, {}, self.patches, claim)
        shards = list(self.store.shards("text"))
        for name, places in zip(self._names("text"), self._cuts("text"), strict=True):
            texts = [_text_row(shards[number], row) for _, number, row in places]
            yield partial(write_text_shard, claim.folder / name, texts, dim, {}, claim)

    def _videos(self, paths: Sequence[Path], places: Sequence[tuple[str, int, int]]) -> list[VideoRow]:
        rows = {number: stored_rows(paths[number], self.patches) for number in {place[1] for place in places}}
        # As if they were made now: rows of a shard that holds float32 may fit into float16 without their neighbours.
        return [dataclasses.replace(rows[number][row], taken_over=False) for _, number, row in places]


def _text_row(shard: ShardReader, row: int) -> TextRow:
    def one(column: str) -> np.ndarray:
        return shard.items(column, [row])[0]

    return TextRow(
        id=shard.ids[row],
        video_id=shard.strings("video_ids")[row],
        text=shard.strings("texts")[row],
        words=one("words"),
        token_ids=one("token_ids"),
        sentence_row=int(one("sentence_row")[0]),
        truncated=bool(one("truncated")[0]),
        parts=one("sentences") if shard.has_sentences else None,
    )


def _names(store: FeatureStore) -> list[str]:
    return [name for kind in ("video", "text") for name in store.shard_names(kind)]
