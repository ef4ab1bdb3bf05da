"""The receipt beside a shard: the proof that it is whole, and what is known of its items beside their features."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from ...data.contracts.errors import StoreError
from ...data.contracts.identity import FileIdentity
from ...data.contracts.records import restored
from .atomic_files import os_errors_as_store_error
from .checksummed_json import read_checksummed, write_checksummed
from .manifest import Manifest

FIRST_RULES = 1
"""The rules of reading (``READING_RULES`` of the decoders) of rows of which no receipt says by which they were read."""

WHOLE_FILE = (0.0, None)
"""The span of a video that is all of its file."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that a shard is whole, written after it."""

    shard: str
    """File name of the shard."""
    items: int
    rows: int
    bytes: int
    sha256: str
    structure_sha256: str
    """Of all bytes but the large columns of numbers: of what the HDF5 library looks at."""
    rows_at: list[list[int]]
    """Offset and length of each large column of numbers."""
    dtype: str
    status: dict[str, int]
    """Number of items by status; of texts ``ok`` and ``truncated``."""
    missing: list[str]
    """Ids of videos that were not on the disk; when one appears, the shard is done again."""
    seconds: dict[str, float]
    """Wall-clock seconds by stage; the only part that differs between two runs."""
    reading_rules: int | None = None
    """By which rules the files of its videos were read; None: of texts, and where no receipt said so yet."""
    older_rows: dict[str, int] = field(default_factory=dict[str, int])
    """Videos whose rows were taken over from the shard that was here before, and the older rules of each."""
    files: dict[str, str] = field(default_factory=dict[str, str])
    """Of videos that have frames, which file these are of (``FileIdentity`` as text). Older receipts name none."""
    failed_files: dict[str, str] = field(default_factory=dict[str, str])
    """The same of videos whose files could be opened and gave no frame: one that is mended is another file."""
    spans: dict[str, tuple[float, float | None]] | None = None
    """Of each video that is a part of its file, which seconds, None being the end. None: of texts, and where no receipt
    said so yet."""
    unnoted: list[str] = field(default_factory=list[str])
    """Videos whose rows were taken over from a shard whose receipt did not say it."""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    """The packages that made the shard; rows that were taken over may be an earlier version's."""
    made_as: str = ""
    """``Manifest.features_digest`` of the store it was made for; empty: of a version that did not say it."""

    def is_of(self, manifest: Manifest) -> bool:
        """Whether the shard's features are made as this store says, as far as the receipt tells."""
        return not self.made_as or self.made_as in manifest.features_digests

    def file_of(self, video_id: str) -> FileIdentity | None:
        """Which file the row of a video was made of; None where that is not known.

        Raises:
            StoreError: what the receipt says is none.
        """
        text = self.files.get(video_id) or self.failed_files.get(video_id)
        if text is None:
            return None
        try:
            return FileIdentity.parse(text)
        except ValueError as error:
            raise StoreError(
                f"the receipt of {self.shard} does not say which files it was made of: {error}. "
                "Delete the shard and run the `tvr extract` that made it"
            ) from error

    def span_of(self, video_id: str) -> tuple[float, float | None] | None:
        """Which seconds of its file a video of this shard is; None where nobody noted it."""
        if self.spans is None or video_id in self.unnoted:
            return None
        return self.spans.get(video_id, WHOLE_FILE)

    def rules_of(self, video_id: str) -> int:
        """By which rules the file of a video of this shard was read."""
        return self.older_rows.get(video_id, self.reading_rules or FIRST_RULES)


def receipt_path(shard: Path) -> Path:
    """Where the receipt of a shard lies."""
    return shard.with_suffix(".json")


def receipt_time_of(shard: Path) -> int | None:
    """When the receipt of a shard was written, in nanoseconds since 1970; None while there is none."""
    try:
        return receipt_path(shard).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def receipt_made_since(shard: Path, then: int | None) -> Receipt | None:
    """The receipt of a shard that is whole, if it was written after that time of ``receipt_time_of``, else None."""
    return read_receipt(shard) if receipt_time_of(shard) not in (None, then) else None


def read_receipt(shard: Path) -> Receipt | None:
    """The receipt of a shard that is in place and of the size it was written with, else None."""
    path = receipt_path(shard)
    if not (path.is_file() and shard.is_file()):
        return None
    try:
        receipt = load_receipt(shard)
        return receipt if shard.stat().st_size == receipt.bytes else None
    except (OSError, ValueError):
        return None


def read_receipt_facts(shard: Path) -> Receipt | None:
    """What ``read_receipt`` reads, without what it says of single videos that were not missing, which is nearly all of
    it: a receipt that this process has read before, and that was not written since, is not read again."""
    try:
        known = _FACTS.get(shard)
        if known is not None and known[0] == _signature(shard) and shard.stat().st_size == known[1].bytes:
            return known[1]
    except OSError:  # whoever takes it away decides
        return None
    receipt = read_receipt(shard)
    return None if receipt is None else _without_videos(receipt)


_FACTS: dict[Path, tuple[tuple[int, int, int], Receipt]] = {}
"""Of receipts that were read, by shard: which file it was, and what it says in short."""


def _signature(shard: Path) -> tuple[int, int, int]:
    facts = receipt_path(shard).stat()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _without_videos(receipt: Receipt) -> Receipt:
    return dataclasses.replace(receipt, files={}, failed_files={}, spans=None, unnoted=[], older_rows={})


def load_receipt(shard: Path) -> Receipt:
    """The receipt of a shard, whatever the shard is now.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not the receipt that was written; the message says why.
    """
    signature = _signature(shard)  # before it is read: what is written meanwhile has another
    receipt = restored(Receipt, read_checksummed(receipt_path(shard)))
    if receipt.shard != shard.name:
        raise ValueError(f"it is the receipt of {receipt.shard}")
    _FACTS[shard] = signature, _without_videos(receipt)
    return receipt


def write_receipt(receipt: Receipt, shard: Path) -> Receipt:
    """Write the receipt of a shard that is in place.

    Raises:
        StoreError: it cannot be written.
    """
    with os_errors_as_store_error(shard.parent):
        write_checksummed(receipt_path(shard), dataclasses.asdict(receipt))
    return receipt
