"""``tvr.json``: what others' layouts have no place for, beside the features that tvr wrote. Others pass it over."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...data.contracts.errors import DataError, pasteable
from ...data.contracts.records import restored
from ..store.checksummed_json import read_checksummed, write_checksummed
from .content import Content

NAME = "tvr.json"


@dataclass(frozen=True)
class Sidecar:
    """Of which store an export is, and how far it is."""

    layout: str
    ways: Mapping[str, Any]
    """How it was chosen to be written, where a layout leaves a choice."""
    store_digest: str
    """``FeatureStore.digest``: of every byte that was read."""
    store: Mapping[str, Any]
    """``store.json`` of it."""
    ended: bool = False
    parts: Mapping[str, int] = field(default_factory=dict[str, int])
    """While it has not ended: of videos and texts, how many parts are whole."""
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    fared: Sequence[Sequence[str]] = ()
    """Id, status, reason and decoder of each video that is not ok, or was decoded by another decoder than most."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Ids of files that are not called by their id."""
    content: Content | None = None
    """Digests of what the store held."""
    kept: Sequence[str] = ()
    """Which of these digests who reads the layout must find again."""
    losses: Sequence[str] = ()
    format_version: int = 1

    @property
    def failed_ids(self) -> list[str]:
        """Videos without frames."""
        return [video for video, status, _, _ in self.fared if status == "failed"]

    def save(self, folder: Path) -> None:
        """Write it into the folder of the export."""
        write_checksummed(folder / NAME, asdict(self))


def load_sidecar(folder: Path) -> Sidecar | None:
    """The record of an export; None where tvr wrote none.

    Raises:
        DataError: it is not what was written.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return restored(Sidecar, read_checksummed(path))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} is not what `tvr export` wrote ({error}). Copy it again; without it (rm {pasteable(path)}) the "
            "features are read as those of anybody"
        ) from error
