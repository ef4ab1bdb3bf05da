"""clip-video-encode: npy, txt and json a video, as files or in WebDataset tar files.

Its frames are every n-th of a file whose rate it does not keep, so seconds have to be said. Captions have no features.
Source: ``writer.py`` of clip-video-encode 1.3.0, https://github.com/iejMac/clip-video-encode.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ....data.base import Caption
from ....data.contracts.errors import DataError, counted
from ....data.contracts.file_names import file_name
from ....data.contracts.identity import FileDigest, FileIdentity
from ....data.contracts.strict_json import json_of
from ....data.sources.tar_listing import listed_tar
from ...store.atomic_files import atomic_write
from ...store.shards import TextRow, VideoRow
from ..arrays import feature_rows, npy_of
from ..captions import CaptionTable, ListedSource, Matched, matched, read_caption_table
from ..files import Files, npy_bytes
from ..names import files_below, path_of_id
from ..rows import failed_video, file_digest, identity_of_file, imported_video, shown_at
from .base import Held, ReadPlace, TextFeatureKind, Writing, without_frames

ABOUT = "<id>.npy, .txt, .json a video, or the same in tar files (WebDataset)"
_KINDS = (".npy", ".txt", ".json")
_UNSAFE_KINDS = (".pyd", ".pickle", ".pkl", ".pth")
_MAX_MEMBER_BYTES = 1 << 30


@runtime_checkable
class Samples(Protocol):
    """The files of each video, by its key."""

    @property
    def keys(self) -> Sequence[str]:
        """Of the videos with features."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """Of tar files, which they are."""
        ...

    def has(self, key: str, kind: str) -> bool:
        """Whether a video has a file of that kind (``.txt``)."""
        ...

    def read(self, key: str, kind: str) -> bytes:
        """That file."""
        ...

    def where(self, key: str, kind: str) -> str:
        """That file, for errors."""
        ...

    def identity(self, key: str) -> FileIdentity | None:
        """Which file has its features, where it is one of its own."""
        ...


def open_source(place: ReadPlace) -> "ClipVideoEncodeSource":
    """Look at the files, or at the headers of the tar files.

    Raises:
        DataError: there are none, or both.
    """
    options = place.options
    tars = [place.path] if place.path.is_file() else sorted(place.path.rglob("*.tar"))
    samples: Samples = _InTars(tars, place) if tars else _AsFiles(place)
    if not samples.keys:
        raise DataError(f"{place.path}: holds neither .npy files nor tar files with some")
    ids = {key: place.names.get(key, key) for key in samples.keys}
    table = CaptionTable()
    if not options.without_captions:
        table = read_caption_table(options.captions) if options.captions else _captions(samples, ids)
    met = matched(
        list(ids.values()), table, place.failed_ids, place.path, allow_missing=options.allow_missing
    )
    source = ClipVideoEncodeSource(place, samples, {video: key for key, video in ids.items()}, table, met)
    source.files |= samples.files
    for file in () if options.without_captions else options.captions:
        source.files[file.name] = file_digest(file, "whole")
    return source


def _captions(samples: Samples, ids: Mapping[str, str]) -> CaptionTable:
    """The text of each video, or those that tvr has written with their ids."""
    table = CaptionTable()
    for key, video in ids.items():
        said = _record(samples, key).get("captions") if samples.has(key, ".json") else None
        if isinstance(said, list):
            for one in said:
                if not isinstance(one, dict) or not isinstance(one.get("text"), str):
                    raise DataError(f"{samples.where(key, '.json')}: its captions are no texts with ids")
                table.add(video, one["text"], str(one["id"]) if "id" in one else None)
        elif samples.has(key, ".txt"):
            try:
                text = samples.read(key, ".txt").decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{samples.where(key, '.txt')}: is not UTF-8: {error}") from None
            if text.strip():
                table.add(video, text)
    table.number()
    return table


def _record(samples: Samples, key: str) -> Mapping[str, Any]:
    """What the json of a video says.

    Raises:
        DataError: it is no object.
    """
    try:
        record = json_of(samples.read(key, ".json"))
    except ValueError as error:
        raise DataError(f"{samples.where(key, '.json')}: not JSON: {error}") from None
    if not isinstance(record, dict):
        raise DataError(f"{samples.where(key, '.json')}: holds no object")
    return record


class ClipVideoEncodeSource(ListedSource):
    """The videos of such files, and captions without features."""

    text_features: TextFeatureKind = "none"

    def __init__(
        self, place: ReadPlace, samples: Samples, keys: Mapping[str, str], table: CaptionTable, met: Matched
    ) -> None:
        super().__init__(table, met)
        self._options, self._samples, self._keys = place.options, samples, keys
        first = next((i for i in range(len(self.video_ids)) if self.has_features(i)), 0)
        self.dim = self._features(self._keys[self.video_ids[first]], None).shape[1]

    def video(self, place: int) -> VideoRow:
        """A video; one that is missing as a row without frames."""
        video = self.video_ids[place]
        if not self.has_features(place):
            return failed_video(video, self.dim)
        key, options = self._keys[video], self._options
        frames = self._features(key, self.dim)
        record = _record(self._samples, key) if self._samples.has(key, ".json") else {}
        where = self._samples.where(key, ".npy")
        known = _numbers(record.get("frame_seconds"), where, np.float32)
        seconds = shown_at(len(frames), options.clip_seconds, options.fps, known, where)
        index = _numbers(record.get("frame_index"), where, np.int32)
        if index is not None and len(index) != len(frames):
            raise DataError(f"{where}: {counted(len(frames), 'row')} and {len(index):,} numbers of frames")
        return imported_video(video, frames, seconds, index=index, file=self._samples.identity(key))

    def text(self, place: int) -> TextRow:
        """Captions have no features here."""
        raise DataError(
            f"{self._samples.where(self._keys[self._table.videos[place]], '.txt')}: has no features"
        )

    def _features(self, key: str, dim: int | None) -> Float[np.ndarray, "frame dim"]:
        where = self._samples.where(key, ".npy")
        return feature_rows(npy_of(self._samples.read(key, ".npy"), where), dim, where)


def _numbers(value: Any, where: str, dtype: Any) -> NDArray[Any] | None:
    if value is None:
        return None
    try:
        return np.asarray(value, dtype).reshape(-1)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{where}: its json says no numbers of its frames: {error}") from None


class _AsFiles:
    """Videos as files."""

    def __init__(self, place: ReadPlace) -> None:
        self._folder = place.path
        self._digest: FileDigest = place.options.file_digest
        for kind in _UNSAFE_KINDS:
            if (found := next(files_below(place.path, kind), None)) is not None:
                raise DataError(_refused(f"{place.path / found}{kind}"))
        self._keys_of = {kind: set(files_below(place.path, kind)) for kind in _KINDS}
        self.keys = sorted(self._keys_of[".npy"])
        self.files: Mapping[str, str] = {}

    def has(self, key: str, kind: str) -> bool:
        return key in self._keys_of[kind]

    def read(self, key: str, kind: str) -> bytes:
        path = self._folder / f"{key}{kind}"
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error

    def where(self, key: str, kind: str) -> str:
        return str(self._folder / f"{key}{kind}")

    def identity(self, key: str) -> FileIdentity | None:
        return identity_of_file(self._folder / f"{key}.npy", self._digest)


class _InTars:
    """Videos as members of tar files, found again by where their bytes begin."""

    def __init__(self, tars: Sequence[Path], place: ReadPlace) -> None:
        self._tars = tars
        self._places: dict[str, dict[str, tuple[int, int, int]]] = {kind: {} for kind in _KINDS}
        for number, tar in enumerate(tars):
            self._list(number, tar)
        self.keys = list(self._places[".npy"])
        names = {tar: tar.name if tar == place.path else str(tar.relative_to(place.path)) for tar in tars}
        self.files = {name: file_digest(tar, place.options.file_digest) for tar, name in names.items()}

    def has(self, key: str, kind: str) -> bool:
        return key in self._places[kind]

    def read(self, key: str, kind: str) -> bytes:
        number, start, size = self._places[kind][key]
        if size > _MAX_MEMBER_BYTES:
            raise DataError(f"{self.where(key, kind)}: is {size:,} bytes long, more than features of a video")
        try:
            with self._tars[number].open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise DataError(f"{self._tars[number]}: cannot be read: {error.strerror or error}") from error

    def where(self, key: str, kind: str) -> str:
        number = self._places[kind].get(key, (0, 0, 0))[0]
        return f"{self._tars[number]}: {key}{kind}"

    def identity(self, key: str) -> FileIdentity | None:
        return None

    def _list(self, number: int, tar: Path) -> None:
        try:
            listing = listed_tar(tar, lambda name: name.endswith((*_KINDS, *_UNSAFE_KINDS)))
        except OSError as error:
            raise DataError(f"{tar}: cannot be read: {error.strerror or error}") from error
        if listing.trouble:
            raise DataError(f"{tar}: {listing.trouble}. Copy it again, or leave it out")
        for member in listing.members:
            key, kind = _key_of(member.member)
            if kind in _UNSAFE_KINDS:
                raise DataError(_refused(f"{tar}: {member.member}"))
            if kind in self._places:
                if key in self._places[kind]:
                    other = self._tars[self._places[kind][key][0]]
                    raise DataError(
                        f"{tar}: {member.member!r} is in {other}, too. Give every video a key of its own"
                    )
                self._places[kind][key] = number, member.offset, member.num_bytes


def _key_of(name: str) -> tuple[str, str]:
    """As webdataset: the key ends at the first dot of the last part of a name."""
    folder, slash, last = name.rpartition("/")
    stem, dot, kind = last.partition(".")
    return f"{folder}{slash}{stem}", f"{dot}{kind}"


def _refused(what: str) -> str:
    return f"{what} is a pickle, and reading one runs what it says: refused. Write the features as .npy"


def losses(held: Held, writing: Writing) -> list[str]:
    """What such files cannot hold."""
    lost = without_frames(held)
    if held.failed and held.texts:
        lost.append("captions of videos without frames")
    if held.texts:
        lost.append(
            "features of captions: only what they say is written; --model of import-features makes them anew"
        )
    return lost


def kept(held: Held, writing: Writing) -> tuple[str, ...]:
    """Which digests of a store are the same again when such files are read."""
    return ("videos",) if held.failed else ("videos", "texts")


class Sink:
    """Writes such files."""

    def __init__(self, writing: Writing) -> None:
        self._writing, self._files = writing, Files(writing.path)
        self._captions: dict[str, list[Caption]] | None = None
        self.name_of = _tar_key if writing.packed else path_of_id

    def write_videos(self, part: int, rows: Sequence[VideoRow]) -> None:
        """A npy, a json and, where there is a caption, a txt a video."""
        there = [row for row in rows if len(row.frames)]
        if self._writing.packed:
            with (
                atomic_write(self._writing.path / f"{part:05d}.tar") as beside,
                tarfile.open(beside, "w") as tar,
            ):
                for name, data in self._members(there):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
            return
        for name, data in self._members(there):
            self._files.write(name, data)
        self._files.flush()

    def write_texts(self, part: int, rows: Sequence[TextRow]) -> None:
        """They stand beside their videos."""

    def finish(self) -> None:
        """Every file is whole by itself."""

    def _members(self, rows: Sequence[VideoRow]) -> Iterator[tuple[str, bytes]]:
        for row in rows:
            key, captions = self.name_of(row.id), self._captions_of(row.id)
            record: dict[str, Any] = {
                "id": row.id,
                "frame_seconds": row.frame_seconds.astype(float).tolist(),
                "frame_index": row.frame_index.tolist(),
                "captions": [{"id": one.id, "text": one.text} for one in captions],
            }
            yield f"{key}.npy", npy_bytes(row.frames)
            if captions:
                yield f"{key}.txt", captions[0].text.encode()
            yield f"{key}.json", json.dumps(record, ensure_ascii=False).encode()

    def _captions_of(self, video: str) -> Sequence[Caption]:
        if self._captions is None:
            self._captions = {}
            for caption in self._writing.captions():
                self._captions.setdefault(caption.video_id, []).append(caption)
        return self._captions.get(video, ())


def _tar_key(video: str) -> str:
    """A key without dots, where webdataset ends it."""
    return video if "." not in video and path_of_id(video) == video else file_name(video)
