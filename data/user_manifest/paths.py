"""The files that a manifest's paths mean, inside the manifest's folder."""

import errno
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..annotation_files.folder_tree import ids_of, without_video_extension
from ..annotation_files.listing import listed
from ..contracts.errors import DataError
from ..contracts.file_names import printable
from ..sources.address import Address
from ..sources.remote_object import RemoteObject

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


@dataclass
class ListedFolder:
    """A folder and the names in it, asked for once."""

    place: Path
    files: frozenset[str]
    others: frozenset[str] = frozenset()
    """Folders, named pipes, sockets and devices: decoding says what they are. Links to nothing are not among them."""
    _by_id: dict[str, str] | None = None

    def file(self, name: str) -> Path | None:
        """The file of that name or, for a name without extension, the one it stands for; None where there is none.

        A name that is not UTF-8 is found as ``printable`` writes it, too.
        """
        found = name if name in self.files else self._names_by_id().get(name)
        if found is None and name in self.others:
            found = name
        return self.place / found if found else None

    def _names_by_id(self) -> dict[str, str]:
        if self._by_id is None:
            self._by_id = {text: name for name in self.files if (text := printable(name)) != name}
            for _, name in sorted((ids_of(name)[0], name) for name in self.files):
                for id in ids_of(printable(name))[1]:
                    self._by_id.setdefault(id, name)
        return self._by_id


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
    _folders: dict[str, ListedFolder] = field(default_factory=dict)

    def file(self, path: str, line: int) -> Path | None:
        """The file that a path means, or None where there is none.

        Raises:
            DataError: the path leads out of the folder and that is not allowed, or its folder cannot be listed.
        """
        folder, slash, name = path.rpartition("/")
        listed = self._folders.get(folder + slash)
        if listed is None:
            listed = self._folders[folder + slash] = self._listed(folder + slash, line)
        return listed.file(name)

    def on_server(self, address: Address, line: int) -> RemoteObject:
        """The object of a server; whether it is there is asked when it is decoded.

        Raises:
            DataError: servers are not allowed to be asked.
        """
        if not self.allow_outside:
            raise DataError(
                f"{self.manifest}: line {line}: {str(address)!r} is on a server. If you trust who wrote the manifest, "
                "allow what leads out of its folder, with the credentials that this machine has: "
                "--data allow_outside=true"
            )
        return RemoteObject(address)

    def _listed(self, folder: str, line: int) -> ListedFolder:
        if not self.allow_outside and leads_outside(folder):
            raise DataError(
                f"{self.manifest}: line {line}: the path {folder!r} leads out of {self.root}. Write paths "
                "relative to the manifest, or allow it with --data allow_outside=true"
            )
        place = self.root / folder
        try:
            found = listed(place)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _NOT_THERE:
                return ListedFolder(place, frozenset())
            raise DataError(
                f"{printable(str(place))}: cannot be listed: {error}. Check the path and who may read it."
            ) from error
        return ListedFolder(place, frozenset(found.files), frozenset((*found.folders, *found.others)))


def leads_outside(folder: str) -> bool:
    """Whether a relative folder lies outside of where it starts: absolute, or with more ``..`` than folders."""
    if folder.startswith(("/", "\\")) or folder[1:2] == ":":
        return True
    return os.path.normpath(folder.replace("\\", "/")).startswith("..")


def ids_from_paths(paths: Sequence[str]) -> list[str]:
    """The path of each video without its extension; with it where files would share an id (``a.mp4``, ``a.mkv``)."""
    paths = [path.removeprefix("./") for path in paths]
    stems = [without_video_extension(path) for path in paths]
    if len(set(stems)) == len(set(paths)):
        return stems
    counts = Counter(without_video_extension(path) for path in set(paths))
    return [path if counts[stem] > 1 else stem for path, stem in zip(paths, stems, strict=True)]
