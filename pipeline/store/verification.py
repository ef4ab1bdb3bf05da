"""Whether a store is still what was written, byte for byte."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.contracts.errors import StoreError, counted
from ...data.contracts.identity import sha256_of
from .checksummed_json import read_checksummed
from .generations.record import (
    load_generation,
    load_manifest,
    load_split_ids,
    numbers_of,
    record_path,
    splits_path,
)
from .manifest import MANIFEST_NAME, REQUEST_NAME, SPLITS_NAME, Manifest, load_first_manifest
from .reader import FeatureStore
from .receipts import load_receipt, receipt_path
from .shard_reader import ShardReader


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of a store that is not what was written."""

    file: str
    """Name of the shard, or of one of the records beside the shards."""
    problem: str

    @property
    def is_shard(self) -> bool:
        """Whether features are affected, not only what is written about them."""
        return self.file.endswith(".h5")


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at every byte of a store found."""

    folder: Path
    num_files: int
    """Shards and records that were looked at."""
    damages: tuple[Damage, ...]


def verify(folder: Path, report: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """Compare every shard with its receipt, and every record with its checksum or digest.

    A shard is hashed before anything reads it as HDF5, so that no damaged byte reaches the HDF5 library.

    Args:
        folder: the store.
        report: called with how many of how many files were looked at, shards and records.

    Raises:
        StoreError: the folder holds no store.
    """
    manifest, damages = _manifest_of(folder)
    damages += _damaged_records(folder, manifest)
    names = _shard_names(folder, manifest)
    known = (MANIFEST_NAME, SPLITS_NAME, REQUEST_NAME, *_generation_records(folder))
    records = sum((folder / name).exists() for name in known)
    num_files = records + len(names)
    for done, name in enumerate(names, start=records):
        report(done, num_files)
        problem = damage_of(folder / name) or (manifest and _strangeness(folder / name, manifest))
        damages += [Damage(name, problem)] if problem else []
    report(num_files, num_files)
    return Verification(folder, num_files, tuple(damages))


def damage_of(shard: Path) -> str:
    """What is wrong with a shard or its receipt, or nothing."""
    if not shard.is_file():
        return "is missing"
    try:
        receipt = load_receipt(shard)
        size = shard.stat().st_size
        if size != receipt.bytes:
            return f"is {size:,} bytes long, its receipt says {receipt.bytes:,}"
        return "" if sha256_of(shard) == receipt.sha256 else "differs from the sha256 in its receipt"
    except FileNotFoundError:
        return "has no receipt"
    except ValueError as error:
        return f"its receipt {receipt_path(shard).name} cannot be trusted: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _strangeness(shard: Path, manifest: Manifest) -> str:
    """Why a shard that is what was written was not written for this store, or nothing."""
    if not load_receipt(shard).is_of(manifest):
        return "was made for another store, with other features"
    if not shard.name.startswith("video") or manifest.sampling["policy"] == "all":
        return ""
    frames = np.diff(ShardReader(shard, manifest.dim).array("offsets"))
    most = int(frames.max(initial=0))
    if most > manifest.sampling["num_frames"]:
        allowed = manifest.sampling["num_frames"]
        return f"holds {counted(most, 'frame')} of a video, of which the store has at most {allowed}"
    return ""


def _manifest_of(folder: Path) -> tuple[Manifest | None, list[Damage]]:
    try:
        load_first_manifest(folder)
    except StoreError as error:
        if not any(folder.glob("*.h5")):
            raise
        return None, [Damage(MANIFEST_NAME, str(error.__cause__ or "is missing"))]
    damages: list[Damage] = []
    for number in numbers_of(folder):
        try:
            load_generation(folder, number)
        except StoreError as error:
            damages.append(Damage(record_path(Path(), number).as_posix(), str(error.__cause__)))
    return (None if damages else load_manifest(folder)), damages


def _generation_records(folder: Path) -> Iterator[Path]:
    return (record_path(Path(), number) for number in numbers_of(folder))


def _damaged_records(folder: Path, manifest: Manifest | None) -> Iterator[Damage]:
    if (folder / REQUEST_NAME).exists():  # a store that a program made without the command line has none
        try:
            read_checksummed(folder / REQUEST_NAME)
        except (OSError, ValueError) as error:
            yield Damage(REQUEST_NAME, str(error))
    if manifest is not None:
        try:
            load_split_ids(folder, manifest)
        except StoreError as error:
            name = splits_path(Path(), manifest.generation).as_posix()
            yield Damage(name, str(error.__cause__ or "holds other ids than the manifest was written with"))


def _shard_names(folder: Path, manifest: Manifest | None) -> list[str]:
    """The planned shards; of a store whose manifest is lost, those that are there."""
    if manifest is None:
        return sorted(path.name for path in folder.glob("*.h5"))
    store = FeatureStore(folder, manifest)
    return store.shard_names("video") + store.shard_names("text")
