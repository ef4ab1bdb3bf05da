"""What lies below a data set's root: annotation files by name, videos by id, in folders of any name."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..base import ExpectedFile
from ..contracts.errors import DataError, counted
from ..contracts.file_names import printable
from .listing import walk
from .reading import AnnotationFile, read_annotation

_VIDEO = (
    "3g2 3gp 3gpp asf avi divx dv f4v flv gif m1v m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts mxf ogm ogv "
    "qt rm rmvb ts vob webm wmv y4m"
)
_OTHER = (
    "ass bin crdownload csv gz h5 hdf5 htm html jpeg jpg json jsonl lmdb log m4a md mp3 npy npz parquet part pdf "
    "pickle pkl png pt pth rar safetensors sh srt tar tmp tsv txt vtt wav webp xml yaml yml ytdl zip"
)
VIDEO_EXTENSIONS = frozenset(_VIDEO.split())
"""Extensions, in lower case, by which a file is known to be a video."""

OTHER_EXTENSIONS = frozenset(_OTHER.split())
"""Extensions that are never a video, though the name may be a video's id: features, subtitles, half a download."""

_NO_FILE = 2
"""By how much a pipe, socket or device of a video's name ranks behind every file: it is taken where there is none."""


def without_video_extension(name: str) -> str:
    """A file name without its video extension, if it has one: ``a.b.mp4`` is ``a.b``, ``a.b`` stays."""
    stem, dot, extension = name.rpartition(".")
    return stem if dot and stem and extension.lower() in VIDEO_EXTENSIONS else name


def is_video_name(name: str) -> bool:
    """Whether a file name ends in a video extension."""
    return without_video_extension(name) != name


@dataclass
class FolderTree:
    """One walk over a root: where it looked, and what it can find there.

    ``videos`` names another folder to look for videos in; annotation files are always below ``root``.
    """

    root: Path
    videos: Path | None = None
    num_files: int = 0
    num_folders: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    """sha256 of each annotation file that was read, by its name."""
    _annotations: dict[str, list[Path]] = field(default_factory=dict)
    _by_id: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """Rank, depth and path of the best file for a video id."""

    def __post_init__(self) -> None:
        for folder in {self.root, self.videos or self.root}:
            if not folder.is_dir():
                raise DataError(
                    f"{folder}: no such folder. Give the folder that holds the data set with --root."
                )
        self._look_below(self.root, annotations=True, videos=self.videos is None)
        if self.videos is not None:
            self._look_below(self.videos, annotations=False, videos=True)

    def find(self, expected: ExpectedFile) -> Path | None:
        """The annotation file of that name, or of an alternative name; the one nearest to the root. Of ``*.tar``, any.

        Raises:
            DataError: several files of that name lie equally near.
        """
        for name in (expected.name, *expected.alternatives):
            paths = self._of_ending(name[1:]) if name[0] == "*" else self._annotations.get(name.lower(), [])
            if expected.at_root:
                paths = [path for path in paths if path.parent == self.root]
            nearest = [path for path in paths if len(path.parts) == min(len(other.parts) for other in paths)]
            if len(nearest) > 1:
                raise DataError(
                    f"several files are called {name}: {', '.join(map(str, nearest))}. "
                    "Give the folder of one data set with --root."
                )
            if nearest:
                return nearest[0]
        return None

    def _of_ending(self, ending: str) -> list[Path]:
        """The first of the files that end so."""
        paths = [path for name, paths in self._annotations.items() if name.endswith(ending) for path in paths]
        return sorted(paths, key=lambda path: (len(path.parts), path))[:1]

    def need(self, dataset: str, expected: ExpectedFile) -> Path:
        """The annotation file of that name.

        Raises:
            DataError: it is not there; the message says where it was looked for and where it is published.
        """
        path = self.find(expected)
        if path is None:
            raise DataError(
                f"{dataset} needs {described(expected)}. It was not found in {self.where()}. "
                f"Put it anywhere below the root; tvr datasets {dataset} --root DIR shows what is found."
            )
        return path

    def read(self, path: Path) -> AnnotationFile:
        """Read an annotation file and remember its digest."""
        file = read_annotation(path)
        self.digests[path.name] = file.sha256
        return file

    def read_if_there(self, expected: ExpectedFile) -> AnnotationFile | None:
        """Read the annotation file of that name, or None where there is none."""
        path = self.find(expected)
        return self.read(path) if path else None

    def video(self, *names: str) -> Path | None:
        """The video file of the first of these ids that has one.

        Ids are looked up, never joined to a path, so an id such as ``../x`` finds nothing.
        """
        found = next((self._by_id[name] for name in names if name in self._by_id), None)
        return Path(found[2]) if found else None

    def where(self) -> str:
        """Where it looked, in words."""
        below = f"{self.root} and below"
        videos = f", videos in {self.videos} and below" if self.videos else ""
        folders = f"{counted(self.num_folders, 'folder')}"
        return f"{below}{videos} ({counted(self.num_files, 'file')} in {folders})"

    def _look_below(self, root: Path, *, annotations: bool, videos: bool) -> None:
        for folder, listing in walk(root):
            self.num_folders += 1
            self.num_files += len(listing.files)
            depth = folder.count(os.sep)
            for name in listing.files:
                if annotations and name.rpartition(".")[2].lower() in OTHER_EXTENSIONS:
                    self._annotations.setdefault(name.lower(), []).append(Path(folder, name))
                elif videos:
                    self._add_video(f"{folder}{os.sep}{name}", name, depth)
            if videos:
                for name in listing.others:
                    self._add_video(f"{folder}{os.sep}{name}", name, depth, _NO_FILE)

    def _add_video(self, path: str, name: str, depth: int, worse: int = 0) -> None:
        rank, ids = ids_of(printable(name))
        for id in ids:
            best = self._by_id.get(id)
            if best is None or (rank + worse, depth, path) < best:
                self._by_id[id] = (rank + worse, depth, path)


def ids_of(name: str) -> tuple[int, set[str]]:
    """The ids that a file name may stand for, and how sure that is (0 is a known video extension, 1 is not).

    ``x.mp4``, ``x.MOV.mp4`` (transcoded, its old name kept), ``x.`` (DiDeMo), ``x`` and ``x.null`` stand for ``x``.
    """
    stem, dot, extension = name.rpartition(".")
    if dot and (not extension or extension.lower() in VIDEO_EXTENSIONS):
        return 0, {stem, without_video_extension(stem), stem.rstrip(".")}
    if dot and extension.lower() in OTHER_EXTENSIONS:
        return 1, set()
    return 1, {name, stem} if dot and stem else {name}


def described(file: ExpectedFile) -> str:
    """A file by all its names, with what it holds and where its authors publish it."""
    return f"{' or '.join((file.name, *file.alternatives))} ({file.contents}; from {file.source})"
