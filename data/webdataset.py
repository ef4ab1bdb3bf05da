"""Videos in tar files (WebDataset), as video2dataset writes them, read where they lie.

What has one name up to its first dot is one sample: ``000000012.mp4``, ``000000012.txt`` and ``000000012.json``. The
text is the video's caption; where there is none, the field ``caption`` of the json is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Literal

from .annotation_files.assembly import numbered
from .annotation_files.folder_tree import is_video_name
from .annotation_files.listing import walk
from .annotation_files.reading import kind_of, storable
from .annotation_files.splits import parts_by_digest
from .base import About, Dataset, ExpectedFile, Preset, Split, Video, unreadable
from .contracts.errors import DataError, counted, one_line
from .contracts.file_names import printable
from .contracts.strict_json import json_of
from .sources.tar_listing import is_compressed_name, listed_tar, refuse_compressed_name
from .sources.tar_member import TarMember
from .user_manifest.paths import ids_from_paths

ABOUT = About(
    title="Videos in tar files (WebDataset)",
    citation="",
    protocol="multi",
    files=(
        ExpectedFile(
            "*.tar",
            "samples of files that share a name: a video, and if wanted .txt or .json with its caption; not compressed",
            "video2dataset writes them (output_format=webdataset), or you with tar",
        ),
    ),
    preset=Preset(),
)

BY_DIGEST = "80/10/10 by the sha256 of the video id"
_CAPTIONS = ("txt", "json")
_MOST_CAPTION_BYTES = 1 << 20
_TRIMMED = "white space around a caption removed"


@dataclass(frozen=True)
class Config:
    """What can be chosen of videos in tar files."""

    name: str = ""
    """What stores and runs call the archive; by default as its folder. For one that was renamed, or lies elsewhere."""
    captions: Literal["any", "txt", "json", "none"] = "any"
    """Where captions are: in .txt, in .json, or in .json where there is no .txt (any)."""
    field: str = "caption"
    """The field of a .json that is the caption: a string, or a list of them."""
    ids: Literal["key", "tar"] = "key"
    """Whether the id of a video is its name, or begins with that of its tar file: for names that several tars share."""
    paragraphs: bool = False
    """Join all captions of a video, in order, to one query."""


@dataclass(slots=True)
class _Sample:
    """What shares a name up to the first dot."""

    videos: list[TarMember] = field(default_factory=list)
    captions: dict[str, TarMember] = field(default_factory=dict)
    """By what they end in."""


def load(root: Path, config: Config) -> Dataset:
    """Read the headers of the tar files below a root, or of the one that it is, and their captions.

    Raises:
        DataError: there is none, one is none, or what lies in it breaks the format; nothing was changed.
    """
    found = _Found(config)
    for path in _tars_at(root):
        found.add(path, path.relative_to(root).as_posix() if path != root else path.name)
    if not found.videos:
        raise DataError(
            f"{root}: no video in its {counted(len(found.paths), 'tar file')}. Videos are known by their extension, "
            "such as .mp4 or .mkv, behind a name that does not begin with a dot."
        )
    ids = found.ids()
    texts = {id: texts for id, texts in zip(ids, found.texts, strict=True) if texts}
    most = max(map(len, texts.values()), default=0)
    return Dataset(
        name=f"webdataset-{printable(config.name) or _name(root)}",
        protocol="paragraph" if config.paragraphs else "multi" if most > 1 else "single",
        preset=ABOUT.preset,
        videos={id: Video(id, member) for id, member in zip(ids, found.videos, strict=True)},
        captions=numbered(ids, texts, paragraphs=config.paragraphs),
        splits=_splits(ids),
        annotation_digests=found.digests,
        is_archive=True,
        normalisation=(_TRIMMED,) if texts else (),
        notes=(*found.notes, *_notes(len(ids), len(texts))),
    )


def _tars_at(root: Path) -> Sequence[Path]:
    """The tar files below a folder, sorted by where they lie; the one file where the root is one."""
    if root.is_file():
        refuse_compressed_name(root)
        return [root]
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder or file. Give the folder of the tar files, or one tar file, with --root."
        )
    tars: list[Path] = []
    for folder, listing in walk(root):
        for name in listing.files:
            if is_compressed_name(name):
                refuse_compressed_name(Path(folder, name))
            if name.lower().endswith(".tar"):
                tars.append(Path(folder, name))
    if not tars:
        raise DataError(
            f"{root}: webdataset needs tar files (*.tar), and none lies in it or below. Give their folder with --root."
        )
    return sorted(tars)


def _name(root: Path) -> str:
    return printable(root.resolve().stem if root.is_file() else root.resolve().name) or "root"


class _Found:
    """What the tar files hold, in columns."""

    def __init__(self, config: Config) -> None:
        self.paths: list[str] = []
        """Of the tar files, below the root."""
        self.videos: list[TarMember] = []
        self.texts: list[Sequence[str]] = []
        """The captions of each video."""
        self.digests: dict[str, str] = {}
        """sha256 of the captions of each tar file that has any, with the names that they are for."""
        self.notes: list[str] = []
        self._config = config
        self._owners: list[int] = []
        """The number of the tar file of each video."""

    def add(self, path: Path, shown: str) -> None:
        """Read one tar file.

        Raises:
            DataError: it is none, or what lies in it breaks the format.
        """
        try:
            listing = listed_tar(path, self._is_wanted)
            if listing.trouble:
                self.notes.append(f"{printable(shown)} {listing.trouble}")
            digest = sha256()
            with listing.tar.open() as file:
                for key, sample in _samples(listing.members).items():
                    texts = self._texts(file, sample) if sample.videos else ()
                    for text in texts:
                        digest.update(f"{printable(key)}\n{text}\0".encode())
                    self.videos += sample.videos
                    self.texts += [texts] * len(sample.videos)
                    self._owners += [len(self.paths)] * len(sample.videos)
        except OSError as error:
            raise DataError(unreadable(path, error)) from None
        if digest.digest() != sha256().digest():
            self.digests[printable(shown)] = digest.hexdigest()
        self.paths.append(shown)

    def ids(self) -> list[str]:
        """The id of each video: its name in the tar without extension, unless two would share it.

        Raises:
            DataError: two tar files have a video of one name.
        """
        names = [printable(member.member) for member in self.videos]
        if self._config.ids == "tar":
            tars = [printable(path).removesuffix(".tar") for path in self.paths]
            names = [f"{tars[owner]}/{name}" for owner, name in zip(self._owners, names, strict=True)]
        ids = ids_from_paths(names)
        if len(set(ids)) < len(ids):
            id = Counter(ids).most_common(1)[0][0]
            tars = [self.paths[owner] for owner, other in zip(self._owners, ids, strict=True) if other == id]
            raise DataError(
                f"{id!r} is in {printable(tars[0])} and in {printable(tars[1])}. If these are two videos, add "
                "--data ids=tar: then ids begin with the name of their tar file"
            )
        return ids

    def _is_wanted(self, name: str) -> bool:
        key, ending = _parts(name)
        return bool(key) and (is_video_name(f"x.{ending}") or ending in self._read)

    @property
    def _read(self) -> Sequence[str]:
        chosen = self._config.captions
        return _CAPTIONS if chosen == "any" else [ending for ending in _CAPTIONS if ending == chosen]

    def _texts(self, file: BinaryIO, sample: _Sample) -> Sequence[str]:
        """The captions of a sample; of a blank text, or a json without the field, none."""
        for ending in _CAPTIONS:
            if member := sample.captions.get(ending):
                content = _content(file, member)
                texts = [content] if ending == "txt" else _in_json(content, self._config.field, member)
                if texts := [text.strip() for text in texts if text.strip()]:
                    return [storable(text, _at(member)) for text in texts]
        return ()


def _samples(members: Sequence[TarMember]) -> Mapping[str, _Sample]:
    """The members by what they share."""
    samples: dict[str, _Sample] = {}
    for member in members:
        key, ending = _parts(member.member)
        sample = samples.setdefault(key, _Sample())
        if ending in _CAPTIONS:
            sample.captions[ending] = member
        else:
            sample.videos.append(member)
    return samples


def _parts(name: str) -> tuple[str, str]:
    """The key of a member, with its folders, and what follows the first dot of its name; no key: it is no sample's."""
    folder, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return (f"{folder}{slash}{stem}" if stem else ""), ending.lower()


def _content(file: BinaryIO, member: TarMember) -> str:
    """A text file of a tar.

    Raises:
        DataError: it is too long for a caption, or not UTF-8.
    """
    if member.num_bytes > _MOST_CAPTION_BYTES:
        raise DataError(f"{_at(member)}: {member.num_bytes:,} bytes are no caption. {_OTHERWISE}")
    file.seek(member.offset)
    try:
        return file.read(member.num_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{_at(member)}: captions must be UTF-8, found byte 0x{error.object[error.start]:02x}. {_OTHERWISE}"
        ) from None


def _in_json(content: str, name: str, member: TarMember) -> Sequence[str]:
    """The captions in a json object: the string or the strings of one field; none where it is absent or null.

    Raises:
        DataError: it is none, or the field is something else.
    """
    try:
        record: Any = json_of(content)
    except ValueError as error:
        raise DataError(f"{_at(member)}: not JSON: {error}. {_OTHERWISE}") from None
    value = record.get(name) if isinstance(record, dict) else record
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    what = f"{name!r}" if isinstance(record, dict) else "it"
    raise DataError(
        f"{_at(member)}: {what} must be a string or a list of strings, found {kind_of(value)}. {_OTHERWISE}"
    )


_OTHERWISE = "Correct it, or leave such files out with --data captions=txt, =json or =none"


def _at(member: TarMember) -> str:
    return one_line(printable(str(member)))


def _splits(ids: Sequence[str]) -> dict[str, Split]:
    parts = parts_by_digest(ids)
    members: dict[str, list[str]] = {name: [] for name in ("train", "val", "test")}
    for id in ids:
        members[parts[id]].append(id)
    return {name: Split(tuple(chosen), len(chosen), BY_DIGEST) for name, chosen in members.items() if chosen}


def _notes(num_videos: int, num_captioned: int) -> Iterator[str]:
    if silent := num_videos - num_captioned:
        yield f"{silent:,} of {counted(num_videos, 'video')} without a caption: kept, and never a query"
