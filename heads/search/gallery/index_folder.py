"""The folder of an index: a file of FAISS, and a record that says what it is of. The two are always of one build."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from ....data.contracts.errors import StoreError, UsageError, pasteable
from ....data.contracts.identity import differing_settings
from ....data.contracts.records import restored
from ....pipeline.store.atomic_files import remove_leftovers
from ....pipeline.store.checksummed_json import read_checksummed, write_checksummed
from ....pipeline.store.file_locks import FileLock
from ....pipeline.store.manifest import MANIFEST_NAME
from .faiss_files import faiss_file, faiss_module, read_faiss, remove_others, write_faiss

INDEX_FOLDER = "index"
"""Of a run, or of a store: what ``tvr index`` made."""
RECORD, LOCK = "index.json", "index.lock"

IndexKind = Literal["flat", "hnsw", "ivf"]

_HEADERS: dict[IndexKind, bytes] = {"flat": b"IxFI", "hnsw": b"IHNf", "ivf": b"IwFl"}
"""How FAISS's file of each kind begins."""


def remedy(folder: Path | None, to_do: str = "Make it again") -> str:
    """What to do about the index in a folder, which is that of a run or lies beside a store; None: it was not read."""
    if folder is None:
        return f"{to_do} with `build_index`"
    return f"{to_do} with `{index_command(folder)}`, or leave --candidates out"


def index_command(folder: Path) -> str:
    """What makes the index of a folder."""
    owner = pasteable(folder.parent)
    which = f"--zero-shot --store {owner}" if (folder.parent / MANIFEST_NAME).is_file() else owner
    return f"tvr index {which}"


@dataclass(frozen=True, slots=True)
class MadeOf:
    """Everything that decides the vectors of an index, and which videos they are of."""

    split: str
    """``all``, or the only split."""
    store: str
    """Digest of all bytes of its shards."""
    num_frames: int
    """The most frames of a video that the head sees."""
    coarse: str
    """Whose vectors: ``head`` or ``mean_pool``."""
    coarse_head: str
    """Digest of the weights and settings of the head whose vectors these are."""


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """``index.json``, beside the digest of FAISS's file: what the index is of."""

    kind: IndexKind
    dim: int
    video_ids: list[str]
    made_of: MadeOf

    def check(self, wanted: MadeOf, folder: Path | None) -> None:
        """Whether a search may be answered by this index, which was read from this folder.

        Raises:
            StoreError: it was made of something else; the message says of what.
        """
        made_of = dataclasses.asdict(self.made_of)
        found = differing_settings(made_of, dataclasses.asdict(wanted), lambda _: False)
        if found:
            lines = [
                _OTHER.get(one.name) or f"{_IN_WORDS[one.name]}: {one.stored}, not {one.wanted}"
                for one in found
            ]
            raise StoreError(f"the index was made of something else: {'; '.join(lines)}. {remedy(folder)}")


_OTHER = {
    "store": "the store has other features now",
    "coarse_head": "the head has other weights or settings",
}
"""What is compared by a digest, which says nothing to a person."""
_IN_WORDS = {"split": "split", "num_frames": "frames of a video", "coarse": "coarse vectors of"}


class VideoIndex:
    """Coarse vectors of videos, and which videos they are."""

    def __init__(self, index: Any, record: IndexRecord, folder: Path | None = None) -> None:
        self.index = index
        self.record = record
        self.folder = folder
        """Where it was read from; None: it was made just now."""

    def save(self, folder: Path) -> None:
        """Write the index, then its record, then remove the index that was there before: at every moment the record
        names a file that is whole.

        Raises:
            StoreError: another process writes an index there now, or the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / LOCK) as lock:
                if not lock.acquire():
                    raise StoreError(
                        f"another process writes the index in {folder} now. Wait until it has ended, and look whether "
                        "its index is the one you want"
                    )
                remove_leftovers(folder)
                self._save(folder)
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"the index cannot be written to {folder}: {error}. Make room, or allow writing, and run "
                f"`{index_command(folder)}` again"
            ) from error

    def _save(self, folder: Path) -> None:
        digest = write_faiss(self.index, folder, _STEM)
        write_checksummed(folder / RECORD, dataclasses.asdict(self.record) | {_DIGEST: digest})
        remove_others(folder, _STEM, digest)

    @classmethod
    def load(cls, folder: Path) -> "VideoIndex":
        """Read what ``save`` wrote.

        Raises:
            UsageError: there is no index, or FAISS is not installed.
            StoreError: the index is damaged, or of an earlier version, which did not record what it is of.
        """
        if not (folder / RECORD).is_file():
            raise UsageError(f"{folder} holds no index. {remedy(folder, 'Make one')}")
        faiss_module()
        while True:
            version = _version(folder)
            record, digest = _read_record(folder)
            try:
                return cls(_read_index(faiss_file(folder, _STEM, digest), digest, record), record, folder)
            except FileNotFoundError:
                # Another process may have put a new index in its place since the record was read.
                if _version(folder) == version:
                    raise _not_whole(folder, "its vectors are not there") from None
            except (OSError, ValueError, RuntimeError) as error:
                raise _not_whole(folder, error) from error

    def nearest(
        self, vectors: Float[np.ndarray, "text dim"], count: int, among: Bool[Tensor, " item"] | None = None
    ) -> list[list[int]]:
        """The places of the nearest videos of each vector, the nearest first.

        Args:
            vectors: unit vectors.
            count: how many are wanted.
            among: True where a video may be found; None: anywhere.
        """
        asked = min(count, self.index.ntotal) if among is None else self.index.ntotal
        _, places = self.index.search(np.ascontiguousarray(vectors, np.float32), asked)
        allowed = [True] * self.index.ntotal if among is None else among.tolist()
        return [[place for place in row if place >= 0 and allowed[place]][:count] for row in places.tolist()]


_DIGEST, _STEM = "faiss_sha256", "videos"


def _version(folder: Path) -> tuple[int, int]:
    """What changes whenever a record is written."""
    found = (folder / RECORD).stat()
    return found.st_ino, found.st_mtime_ns


def _read_record(folder: Path) -> tuple[IndexRecord, str]:
    try:
        values = read_checksummed(folder / RECORD)
        digest = values.pop(_DIGEST, None)
        if type(digest) is not str or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{_DIGEST} is {digest!r}"[:200])
        return restored(IndexRecord, values), digest
    except (OSError, ValueError) as error:
        raise _not_whole(folder, error) from error


def _read_index(file: Path, digest: str, record: IndexRecord) -> Any:
    index = read_faiss(file, digest, (_HEADERS[record.kind],))
    if (index.d, index.ntotal) != (record.dim, len(record.video_ids)):
        raise ValueError(f"{file.name} holds {index.ntotal:,} vectors {index.d} wide")
    return index


def _not_whole(folder: Path, why: object) -> StoreError:
    return StoreError(f"{folder} holds no whole index of this version ({why}). {remedy(folder)}")
