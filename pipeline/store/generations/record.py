"""``generations/00003.json``: what a store is since videos or captions last came, changed or went.

The first generation is ``store.json`` with its shards. Each later one names the shards of those before it that are
still read, which of their rows are not, and what its own shards hold. The newest record alone says what the store is.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....data.contracts.errors import StoreError, pasteable
from ....data.contracts.records import restored, restored_value
from ..atomic_files import write_json
from ..checksummed_json import read_checksummed, write_checksummed
from ..manifest import SPLITS_NAME, Manifest, SplitRecord, ids_digest, load_first_manifest, read_split_ids

GENERATIONS = "generations"
"""The folder of the records, in that of the store."""
HISTORY_NAME = "history.json"
"""Of a store that was compacted: the digests that it had before."""

_KINDS = ("video", "text")


@dataclass(frozen=True, slots=True)
class Counts:
    """Of videos or captions, how many a generation found to be what."""

    new: int = 0
    changed: int = 0
    gone: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Generation:
    """What a store has become."""

    number: int
    protocol: str
    annotation_digests: Mapping[str, str]
    preset: Mapping[str, Any]
    splits: Mapping[str, SplitRecord]
    notes: Sequence[str]
    num_videos: int
    """Of the whole store, as ``num_texts``."""
    num_texts: int
    shards: Sequence[str]
    """File names of the shards of earlier generations that are still read, the older ones first: of two rows of one id
    the later one counts."""
    videos: Sequence[str]
    """Ids in its own shards, sorted; no row that an earlier shard has of one of them counts."""
    texts: Sequence[str]
    gone_videos: Sequence[str]
    """Ids in earlier shards that are no part of the store any more."""
    gone_texts: Sequence[str]
    videos_per_shard: int
    texts_per_shard: int
    counted_videos: Counts
    counted_texts: Counts
    grown_from: str
    """``FeatureStore.digest`` of the store as it was before."""

    def own_shards(self, kind: str) -> list[str]:
        """File names of the shards that hold what is new or has changed."""
        ids, size = (
            (self.videos, self.videos_per_shard) if kind == "video" else (self.texts, self.texts_per_shard)
        )
        count = -(-len(ids) // size)
        return [shard_name(kind, index, count, self.number) for index in range(count)]

    def shard_names(self, kind: str) -> list[str]:
        """File names of all shards that are read, in the order in which their rows count."""
        return [name for name in self.shards if name.startswith(f"{kind}-")] + self.own_shards(kind)

    def own_ids(self, kind: str) -> Sequence[str]:
        """Ids in its own shards."""
        return self.videos if kind == "video" else self.texts

    def gone_ids(self, kind: str) -> Sequence[str]:
        """Ids that are no part of the store any more."""
        return self.gone_videos if kind == "video" else self.gone_texts

    @property
    def unread_digest(self) -> str:
        """sha256 of the ids whose rows in earlier shards do not count."""
        return ids_digest(
            [f"{kind} {i}" for kind in _KINDS for i in (*self.own_ids(kind), *self.gone_ids(kind))]
        )

    def of(self, manifest: Manifest) -> Manifest:
        """The manifest of the store as it is with this generation."""
        names = ("protocol", "annotation_digests", "preset", "splits", "notes", "num_videos", "num_texts")
        changes: dict[str, Any] = {name: getattr(self, name) for name in names}
        return dataclasses.replace(manifest, generation=self.number, **changes)

    def save(self, folder: Path, split_ids: Mapping[str, Sequence[str]]) -> None:
        """Write the ids of its splits, then the record: it never names ids that are not there."""
        path = record_path(folder, self.number)
        path.parent.mkdir(exist_ok=True)
        write_json(splits_path(folder, self.number), {name: list(ids) for name, ids in split_ids.items()})
        write_checksummed(path, dataclasses.asdict(self))
        # They name all videos, however few have come. Who began to read a moment ago may still want the last but one.
        for number in range(1, self.number - 1):
            splits_path(folder, number).unlink(missing_ok=True)


def shard_name(kind: str, index: int, count: int, generation: int = 0) -> str:
    """``video-00003-of-00084.h5``; of a later generation ``video-g1-00003-of-00084.h5``."""
    of_generation = f"-g{generation}" if generation else ""
    return f"{kind}{of_generation}-{index:05d}-of-{count:05d}.h5"


def record_path(folder: Path, number: int) -> Path:
    """Where the record of a generation lies."""
    return folder / GENERATIONS / f"{number:05d}.json"


def splits_path(folder: Path, number: int) -> Path:
    """Where the ids by split lie that a store has with a generation."""
    return folder / GENERATIONS / f"{number:05d}-splits.json" if number else folder / SPLITS_NAME


def numbers_of(folder: Path) -> list[int]:
    """The generations of a store that have a record, the oldest first."""
    return sorted(
        int(path.stem)
        for path in (folder / GENERATIONS).glob("*.json")
        if re.fullmatch("[0-9]{5,9}", path.stem)
    )


def load_generation(folder: Path, number: int) -> Generation | None:
    """Read the record of a generation; None of the first one, which has none.

    Raises:
        StoreError: it is not there, or not what was written.
    """
    if number == 0:
        return None
    path = record_path(folder, number)
    try:
        return _checked(restored(Generation, read_checksummed(path)), number)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is not the record of a generation of a store ({error}), and nobody knows without it what the "
            f"store holds. Delete it and run the `tvr extract` that made the store: it finds out anew. "
            f"`tvr verify --store {pasteable(folder)}` lists all that is damaged"
        ) from error


def generations_of(folder: Path) -> Iterator[Generation]:
    """The records of all generations but the first, the oldest first.

    Raises:
        StoreError: one of them is not what was written.
    """
    for number in numbers_of(folder):
        if (generation := load_generation(folder, number)) is not None:
            yield generation


def remove_shards_of(folder: Path, number: int) -> None:
    """Remove the shards of a generation, and their receipts."""
    for kind in _KINDS:
        for path in folder.glob(f"{kind}-g{number}-*"):
            path.unlink(missing_ok=True)


def earlier_digests(folder: Path) -> list[str]:
    """Every ``FeatureStore.digest`` that a store is known to have had before, the oldest first: who has worked with one
    of these knows that the store has grown, or was compacted, since.

    Raises:
        StoreError: a record is not what was written.
    """
    path = folder / HISTORY_NAME
    try:
        known = (
            restored_value(read_checksummed(path)["digests"], list[str], "digests") if path.exists() else []
        )
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path} is not what was written ({error}). Only remarks on runs depend on it: delete it"
        ) from error
    return [*known, *(generation.grown_from for generation in generations_of(folder))]


def load_manifest(folder: Path) -> Manifest:
    """What a store is now: ``store.json``, and what its newest generation says in its place.

    Raises:
        StoreError: there is no store, or one of the two is not that of a store this version can read.
    """
    manifest = load_first_manifest(folder)
    newest = load_generation(folder, max(numbers_of(folder), default=0))
    return newest.of(manifest) if newest else manifest


def load_split_ids(folder: Path, manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Video ids by split.

    Raises:
        StoreError: the lists are missing or are not the ones the manifest was written with.
    """
    return read_split_ids(splits_path(folder, manifest.generation), manifest)


def save_manifest(folder: Path, manifest: Manifest, split_ids: Mapping[str, Sequence[str]]) -> None:
    """Write what is said of a store, into the record of its newest generation where it has one.

    Raises:
        StoreError: that record cannot be read.
    """
    newest = load_generation(folder, manifest.generation)
    if newest is None:
        manifest.save(folder, split_ids)
        return
    said = {name: getattr(manifest, name) for name in ("splits", "notes", "preset")}
    dataclasses.replace(newest, **said).save(folder, split_ids)


def _checked(generation: Generation, number: int) -> Generation:
    """The record, if its values can be those of one; ValueError otherwise."""
    if generation.number != number:
        raise ValueError(f"it is that of generation {generation.number}")
    for name in ("videos_per_shard", "texts_per_shard"):
        if getattr(generation, name) < 1:
            raise ValueError(f"{name} is {getattr(generation, name)}")
    for name in generation.shards:
        if Path(name).name != name or not name.startswith(tuple(f"{kind}-" for kind in _KINDS)):
            raise ValueError(f"it names the shard {name[:80]!r}")
    return generation
