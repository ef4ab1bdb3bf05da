"""The files that a manifest's paths mean, inside the manifest's folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..contracts.errors import DataError
from .folder_tree import ids_of, without_video_extension


@dataclass
class PathFinder:
    """Finds the files of a manifest's paths.

    One listing a folder serves all its files: on a network disk, asking for a million one by one takes an hour.
    """

    manifest: Path
    """The manifest, for messages, or the folder where there is none."""
    root: Path
    """The folder that paths are relative to."""
    allow_outside: bool
    _names: dict[str, frozenset[str]] = field(default_factory=dict)
    _names_by_id: dict[str, dict[str, str]] = field(default_factory=dict)

    def file(self, path: str, line: int) -> Path | None:
        """The file that a path means, or None where there is none. A path without extension finds ``path.*``.

        Raises:
            DataError: the path leads out of the folder and that is not allowed.
        """
        if not self.allow_outside and leads_outside(path):
            raise DataError(
                f"{self.manifest}: line {line}: the path {path!r} leads out of {self.root}. Write paths "
                "relative to the manifest, or allow it with --data allow_outside=true"
            )
        folder, slash, name = path.rpartition("/")
        folder = folder or slash
        names = self._names.get(folder)
        if names is None:
            names = self._names[folder] = _listing(self.root / folder)
        if name not in names:
            name = self._by_id(folder, name)
        return self.root / folder / name if name else None

    def _by_id(self, folder: str, id: str) -> str | None:
        """The name of the file that stands for an id in a folder."""
        by_id = self._names_by_id.get(folder)
        if by_id is None:
            ranked = sorted(
                ((*ids_of(name), name) for name in self._names[folder]), key=lambda one: (one[0], one[2])
            )
            by_id = self._names_by_id[folder] = {}
            for _, ids, name in ranked:
                for one in ids:
                    by_id.setdefault(one, name)
        return by_id.get(id)


def leads_outside(path: str) -> bool:
    """Whether a relative path would leave its folder: absolute, or with more ``..`` than folders."""
    if path.startswith(("/", "\\")) or path[1:2] == ":":
        return True
    return ".." in path and os.path.normpath(path.replace("\\", "/")).startswith("..")


def _listing(folder: Path) -> frozenset[str]:
    """Names of the files in a folder; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}: cannot be listed: {error}. Check the path and who may read it."
        ) from error


def ids_from_paths(paths: Sequence[str]) -> list[str]:
    """The path of each video without its extension; with it where files would share an id (``a.mp4``, ``a.mkv``)."""
    stems = [without_video_extension(path) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    seen: set[str] = set()
    shared = {stem for stem in stems if stem in seen or seen.add(stem)}
    return [path if stem in shared else stem for path, stem in zip(paths, stems, strict=True)]
