"""Your own videos: a folder of them, or a csv, jsonl or parquet manifest that names them.

A manifest has a row for every caption, or for every video with a list of captions: ``path, caption(s)`` and,
where wanted, ``id``, ``start``, ``end`` (seconds), ``split`` and ``caption_id``. Paths are relative to the manifest, or
addresses of objects on servers (``s3://``, ``gs://``, ``https://``), of which nobody is asked here.
A folder that holds ``captions.jsonl``, ``captions.csv`` or ``captions.parquet`` is described by that file.
"""

import gc
import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from .annotation_files.folder_tree import FolderTree, is_video_name
from .annotation_files.listing import walk
from .annotation_files.splits import CheckedSplit, held_out, parts_by_digest, with_validation
from .base import About, Caption, Dataset, ExpectedFile, Preset, Protocol, Split, Video
from .contracts.errors import DataError, counted, pasteable
from .contracts.file_names import is_utf8, printable
from .contracts.identity import sha256_of
from .sources.remote_object import RemoteObject
from .user_manifest.paths import PathFinder, ids_from_paths
from .user_manifest.rows import MANIFEST_SUFFIXES
from .user_manifest.videos import ManifestVideos, read_manifest

ABOUT = About(
    title="Your own videos",
    citation="",
    protocol="multi",
    files=(
        ExpectedFile(
            "captions.jsonl",
            "a row per caption or video: path, caption(s) and, if wanted, id, start, end, split, caption_id",
            "you write it",
            alternatives=("captions.csv", "captions.tsv", "captions.parquet"),
            required=False,
            at_root=True,
        ),
    ),
    preset=Preset(),
)

BY_DIGEST = "80/10/10 by the sha256 of the video id"
"""How videos are split that come without splits."""


@dataclass(frozen=True)
class Config:
    """What can be chosen of one's own videos."""

    name: str = ""
    """What stores and runs call the archive; by default as its folder. For one that was renamed, or lies elsewhere."""
    paragraphs: bool = False
    """Join all captions of a video, in order, to one query."""
    allow_outside: bool = False
    """Take paths of a manifest that lead out of its folder, also to servers (s3://, gs://, https://)."""
    validation: Literal["hold-out", "none"] = "hold-out"
    """Where a manifest has splits but none for validation: hold out a tenth of train, or do without."""


def load(root: Path, config: Config) -> Dataset:
    """Read a folder of videos or a manifest.

    Raises:
        DataError: the root is not there, or what lies there breaks the format; nothing was changed.
    """
    with no_garbage_collection():
        return _loaded(root, config)


@contextmanager
def no_garbage_collection() -> Generator[None]:
    """Everything that is made here lives on; searching a growing million of objects costs a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _loaded(root: Path, config: Config) -> Dataset:
    manifest = _manifest_at(root)
    videos = read_manifest(manifest) if manifest else _videos_below(root)
    found = _found(videos, config)
    splits = _splits(videos, list(found), config)
    captions = _captions(videos, list(found), paragraphs=config.paragraphs)
    counts = Counter(videos.caption_video)
    return Dataset(
        name=f"folder-{printable(config.name) or _name(root, manifest)}",
        protocol=_protocol(counts, paragraphs=config.paragraphs),
        preset=ABOUT.preset,
        videos=found,
        captions=captions,
        splits={name: checked.split for name, checked in splits.items()},
        annotation_digests={printable(manifest.name): _digest(manifest, videos)} if manifest else {},
        is_archive=True,
        notes=(*(note for checked in splits.values() for note in checked.notes), *_notes(found, len(counts))),
    )


def _digest(manifest: Path, videos: ManifestVideos) -> str:
    """sha256 of the file; where addresses in it are signed, which they are anew each time, of what it says without."""
    if not any(address.secrets for address in videos.addresses.values()):
        return sha256_of(manifest)
    said = [videos.paths, videos.ids, videos.splits, [*videos.spans.items()]]
    said += [videos.caption_video, videos.caption_texts, [*videos.caption_ids.items()]]
    return sha256(json.dumps(said).encode()).hexdigest()


def _manifest_at(root: Path) -> Path | None:
    """The manifest a root means: itself if it is a file, the one it holds if it is a folder."""
    if root.is_file():
        if root.suffix.lower() in MANIFEST_SUFFIXES:
            return root
        raise DataError(
            f"{root}: is neither a folder nor a manifest ({', '.join(MANIFEST_SUFFIXES)}). "
            "Give the folder that holds the videos with --root."
        )
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder or file. Give the folder of the videos, or a manifest, with --root."
        )
    named = [root / f"captions{suffix}" for suffix in MANIFEST_SUFFIXES]
    held = [path for path in named if path.is_symlink() or path.exists()]
    if len(held) > 1:
        names = " and ".join(path.name for path in held)
        raise DataError(f"{root}: holds {names}. Give the one that is meant: --root {pasteable(held[0])}")
    if held and not held[0].is_file():
        raise DataError(
            f"{held[0]}: is no file, but a folder, a pipe or a link to what is not there. Put the manifest in its "
            "place, or rename it to have the videos without captions."
        )
    return held[0] if held else None


def _name(root: Path, manifest: Path | None) -> str:
    """The folder's name, or the manifest's unless it has the usual name ``captions``."""
    if manifest and root == manifest and manifest.stem != "captions":
        return printable(manifest.stem)
    folder = manifest.parent if manifest else root
    return printable(folder.resolve().name) or "root"


def _videos_below(root: Path) -> ManifestVideos:
    """Everything below a folder that has a video's name, without captions.

    Links to nothing, pipes and the like are videos as well: a row says what they are. A folder is one if no video lies
    below it.
    """
    videos = ManifestVideos(root)
    named_folders: list[str] = []
    holding: set[str] = set()
    for folder, listing in walk(root):
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        prefix = "" if below == PurePosixPath() else f"{below}/"
        named_folders += [f"{prefix}{name}" for name in listing.folders if is_video_name(name)]
        names = filter(is_video_name, (*listing.files, *listing.others, *listing.absent))
        count = len(videos.paths)
        for name in sorted(names):
            videos.add_file(f"{prefix}{name}")
        if len(videos.paths) > count:
            holding.update(map(str, (below, *below.parents)))
    for path in named_folders:
        if path not in holding:
            videos.add_file(path)
    if not videos.paths:
        raise DataError(
            f"{root}: no video file in it or below, and no manifest (captions.jsonl, .csv, .tsv or .parquet). "
            "Videos are known by their extension, such as .mp4 or .mkv."
        )
    return videos


def _found(videos: ManifestVideos, config: Config) -> dict[str, Video]:
    """Videos by id in the manifest's order, each with its file if that is there."""
    root = videos.manifest if videos.manifest.is_dir() else videos.manifest.parent
    finder = PathFinder(videos.manifest, root, config.allow_outside)
    by_id = _files_by_id(videos, root)
    found: dict[str, Video] = {}
    for number, id in enumerate(_ids(videos)):
        if id in found:
            raise DataError(_duplicate(videos, list(found), number, id))
        line, address = videos.lines[number], videos.addresses.get(number)
        if address:
            file = finder.on_server(address, line)
        else:
            file = by_id.get(number) or finder.file(videos.paths[number], line)
        start, end = videos.spans.get(number, (0.0, None))
        found[id] = Video(id, file, start, end)
    return found


def _files_by_id(videos: ManifestVideos, root: Path) -> dict[int, Path]:
    """Files of the videos that a manifest names by id alone.

    Raises:
        DataError: a caption is for a video that is not there.
    """
    if not videos.named_by_id:
        return {}
    tree = FolderTree(root)
    files: dict[int, Path] = {}
    for number in videos.named_by_id:
        file = tree.video(videos.paths[number])
        if file is None:
            raise DataError(
                f"{videos.at(videos.lines[number])}: a caption for the unknown video {videos.paths[number]!r}: "
                f"no video file of that name in {tree.where()}. Correct the id, or add a column `path`."
            )
        files[number] = file
    return files


def _ids(videos: ManifestVideos) -> Iterator[str]:
    """The id of each video: its own, or its path without extension, with the span where there is one."""
    for number, (own, made) in enumerate(zip(videos.ids, ids_from_paths(_path_texts(videos)), strict=True)):
        if own is None and number in videos.spans:
            start, end = videos.spans[number]
            yield f"{made}[{start!r}-{'end' if end is None else repr(end)}]"
        else:
            yield own or made


def _path_texts(videos: ManifestVideos) -> list[str]:
    """The path of each video as text: of a listed folder every one, of a manifest those that are not text already."""
    is_listed = videos.manifest.is_dir()
    return [printable(path) if is_listed or not is_utf8(path) else path for path in videos.paths]


def _duplicate(videos: ManifestVideos, ids: Sequence[str], number: int, id: str) -> str:
    first = ids.index(id)
    return (
        f"{videos.at(videos.lines[number])}: duplicate id {id!r}: {videos.paths[number]!r} here and "
        f"{videos.paths[first]!r} on line {videos.lines[first]}. Give every video its own id in a column `id`."
    )


def _splits(videos: ManifestVideos, ids: Sequence[str], config: Config) -> dict[str, CheckedSplit]:
    """The manifest's splits, with a hold-out where they lack validation; or a split by digest."""
    if any(videos.splits):
        return _own_splits(videos, ids, config)
    # Spans of one file go to one split: else a model is tested on a video it was trained on.
    keys = _path_texts(videos) if videos.spans else ids
    parts = parts_by_digest(keys)
    members: dict[str, list[str]] = {name: [] for name in ("train", "val", "test")}
    for id, key in zip(ids, keys, strict=True):
        members[parts[key]].append(id)
    return {
        name: CheckedSplit(Split(tuple(chosen), len(chosen), BY_DIGEST))
        for name, chosen in members.items()
        if chosen
    }


def _own_splits(videos: ManifestVideos, ids: Sequence[str], config: Config) -> dict[str, CheckedSplit]:
    members: dict[str, list[str]] = {}
    for number, (id, split) in enumerate(zip(ids, videos.splits, strict=True)):
        if split is None:
            raise DataError(
                f"{videos.at(videos.lines[number])}: {id!r} has no split though other rows have one. "
                "Give every row train, val or test, or none at all."
            )
        members.setdefault(split, []).append(id)
    source = f"column split of {printable(videos.manifest.name)}"
    splits = {
        name: CheckedSplit(Split(tuple(chosen), len(chosen), source)) for name, chosen in members.items()
    }
    train = splits.get("train")
    if train and "val" not in splits and config.validation == "hold-out" and len(train.split.video_ids) >= 10:
        count = len(train.split.video_ids) // 10
        _, held = held_out(train.split.video_ids, count)
        splits |= with_validation(train, held, "a tenth, by the sha256 of the video id")
    return {name: splits[name] for name in ("train", "val", "test") if name in splits}


def _captions(videos: ManifestVideos, ids: Sequence[str], *, paragraphs: bool) -> list[Caption]:
    """Captions in the manifest's order, ``<video id>#0``, ``#1``, ... unless the manifest names them.

    Raises:
        DataError: two captions have one id.
    """
    if paragraphs:
        sentences: dict[str, list[str]] = {}
        for number, text in zip(videos.caption_video, videos.caption_texts, strict=True):
            sentences.setdefault(ids[number], []).append(text)
        return [Caption(f"{id}#0", id, tuple(texts)) for id, texts in sentences.items()]
    counts = [0] * len(ids)
    captions: list[Caption] = []
    for place, (number, text) in enumerate(zip(videos.caption_video, videos.caption_texts, strict=True)):
        id = ids[number]
        captions.append(Caption(videos.caption_ids.get(place) or f"{id}#{counts[number]}", id, (text,)))
        counts[number] += 1
    if videos.caption_ids:
        unique_caption_ids(captions, videos.manifest)
    return captions


def unique_caption_ids(captions: Sequence[Caption], manifest: Path) -> None:
    """Refuse two captions of one id."""
    id, times = Counter(caption.id for caption in captions).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{manifest}: duplicate caption_id {id!r}, {times} times. Give every caption an id of its own."
        )


def _protocol(counts: Mapping[int, int], *, paragraphs: bool) -> Protocol:
    """Paragraph where that is asked for, else single or multi by what there is."""
    if paragraphs:
        return "paragraph"
    return "multi" if max(counts.values(), default=0) > 1 else "single"


def _notes(videos: Mapping[str, Video], num_captioned: int) -> Iterator[str]:
    missing = [id for id, video in videos.items() if video.path is None]
    if missing:
        yield f"{len(missing):,} of {counted(len(videos), 'video')} not found, the first is {missing[0]!r}"
    if remote := sum(isinstance(video.path, RemoteObject) for video in videos.values()):
        yield f"{remote:,} of {counted(len(videos), 'video')} on servers: taken for found until they are decoded"
    silent = len(videos) - num_captioned
    if silent:
        yield f"{silent:,} of {counted(len(videos), 'video')} without a caption: kept, and never a query"
