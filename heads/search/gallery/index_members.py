"""Which videos the rows of an index of frames are of: what is added or removed later moves the places of the rest."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from ....data.contracts.identity import sha256_of
from ....pipeline.store.atomic_files import atomic_write
from .item_digests import SIZE, ItemDigests, moved

_SHOWN = 16
"""Digits of a digest that are in a file's name."""
_ROW = np.dtype([("digest", np.uint8, (SIZE,)), ("place", "<i8")])


@dataclass(frozen=True, slots=True)
class Members:
    """Videos in the order in which they were added; each owns as many rows as every other."""

    digests: ItemDigests
    places: Int[np.ndarray, " member"]
    """Where each stands in the gallery; -1 where it is gone."""

    @classmethod
    def none(cls) -> "Members":
        """Of an index without vectors."""
        return cls(np.zeros((0, SIZE), np.uint8), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def num_there(self) -> int:
        """How many are not gone."""
        return int((self.places >= 0).sum())

    def within(self, gallery: ItemDigests) -> "Members":
        """The same, where they stand in a gallery as it is now."""
        return replace(self, places=moved(self.digests, gallery))

    def missing(self, count: int) -> Int[np.ndarray, " place"]:
        """The places of a gallery of so many videos that none of these stands at."""
        return np.setdiff1d(np.arange(count), self.places)

    def with_more(self, gallery: ItemDigests, places: Int[np.ndarray, " place"]) -> "Members":
        """These, then those that stand at some places of a gallery."""
        digests = np.concatenate([self.digests, gallery[places]])
        return Members(digests, np.concatenate([self.places, places]))

    def seen(self, rows: Int[np.ndarray, "asked found"], tokens: int) -> Int[np.ndarray, "asked found"]:
        """Rows of the index as rows of the gallery, each video's in the order of videos; -1 for those that are gone.

        Args:
            rows: as the index numbers them, -1 where there is none.
            tokens: rows of a video.
        """
        places = self.places[rows // tokens]
        return np.where((rows >= 0) & (places >= 0), places * tokens + rows % tokens, -1)

    def write(self, folder: Path, stem: str) -> str:
        """Write them under the name of their digest, and give that."""
        table = np.empty(len(self), _ROW)
        table["digest"], table["place"] = self.digests, self.places
        digest = hashlib.sha256(table.tobytes()).hexdigest()
        with atomic_write(_file(folder, stem, digest)) as beside:
            beside.write_bytes(table.tobytes())
        return digest

    @classmethod
    def read(cls, folder: Path, stem: str, digest: str) -> "Members":
        """What ``write`` wrote.

        Raises:
            OSError: it is not there.
            ValueError: it is not what was written.
        """
        file = _file(folder, stem, digest)
        if file.is_symlink() or sha256_of(file) != digest:
            raise ValueError(f"{file.name} is not what was written")
        table = np.fromfile(file, _ROW)
        return cls(table["digest"].copy(), table["place"].astype(np.int64))


def remove_other_members(folder: Path, stem: str, digest: str) -> None:
    """Remove the files of earlier indexes of that stem."""
    for file in folder.glob(f"{stem}-*.members"):
        if file != _file(folder, stem, digest):
            file.unlink(missing_ok=True)


def _file(folder: Path, stem: str, digest: str) -> Path:
    return folder / f"{stem}-{digest[:_SHOWN]}.members"
