"""Stores as a list of stores shows them: which are whole, and which were left before their extraction ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ...data.contracts.errors import StoreError, counted
from .claim import is_being_written
from .generations.record import GENERATIONS
from .manifest import MANIFEST_NAME, REQUEST_NAME, Manifest
from .reader import FeatureStore
from .receipts import receipt_path


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """A folder of a workspace in which a store was begun."""

    folder: Path
    manifest: Manifest | None
    """None where it cannot be read, or was never written."""
    lacking: str
    """What keeps anybody from training on it, in words; empty where it is whole."""
    written: float
    """When the newest of the records of its features was written, in seconds since 1970."""
    is_being_written: bool = False
    """Whether another process is at it now."""
    is_damaged: bool = False
    """Whether shards were there that are not any more: what mends a store makes them again."""

    @property
    def state(self) -> str:
        """How far it has come, in words; ``finished`` where it is whole."""
        if self.is_being_written:
            return f"{self.lacking}, being written now" if self.lacking else "being written now"
        return self.lacking or "finished"

    @property
    def name(self) -> str:
        """``<dataset>/<folder>``, by which commands take it."""
        return name_in_workspace(self.folder)

    @property
    def day(self) -> str:
        """When it was written, as a person reads it."""
        return day_of(self.written)

    @property
    def encoder(self) -> str:
        """Model and weights of its features."""
        return "?" if self.manifest is None else f"{self.manifest.model} {self.manifest.pretrained}"


def is_begun(folder: Path) -> bool:
    """Whether something of a store is in a folder."""
    return (folder / MANIFEST_NAME).exists() or any(folder.glob("*.h5"))


def store_entry(folder: Path) -> StoreEntry:
    """What is in the folder of a store, whole or not."""
    # Every shard has a record of its own, so the newest tells when the store came to be as it is. The request is none:
    # it changes when the videos of a finished extraction lie elsewhere.
    records = [file for file in folder.glob("*.json") if file.name != REQUEST_NAME]
    records += (folder / GENERATIONS).glob("*.json")
    written = max((file.stat().st_mtime for file in records), default=folder.stat().st_mtime)
    try:
        store = FeatureStore.open(folder, complete=False)
        absent = store.absent_shards()
    except StoreError as error:
        return StoreEntry(folder, None, str(error), written, is_being_written(folder))
    planned = len(store.shard_names("video")) + len(store.shard_names("text"))
    gone = [name for name in absent if receipt_path(folder / name).is_file()]
    parts = {"missing": len(gone), "to come": len(absent) - len(gone)}
    counts = (f"{count:,} of {counted(planned, 'shard')} {what}" for what, count in parts.items() if count)
    busy = is_being_written(folder)
    return StoreEntry(folder, store.manifest, ", ".join(counts), written, busy, bool(gone) and not busy)


def newest_first(entries: Sequence[StoreEntry]) -> list[StoreEntry]:
    """The entries, the one that was written last before all others."""
    return sorted(entries, key=lambda entry: (-entry.written, entry.name))


def name_in_workspace(folder: Path) -> str:
    """What a workspace's store or run is called: ``<dataset>/<folder>``."""
    return f"{folder.parent.name}/{folder.name}"


def day_of(seconds: float) -> str:
    """A time of a file as a person reads it, to the minute."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
