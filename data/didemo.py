"""DiDeMo: the descriptions of a Flickr video, joined, find the video.

Paragraph protocol: all descriptions of a video, in the order of its json, are one query; they describe the first 30
seconds of the video. The lists are those of Collaborative Experts, which every later work uses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .annotation_files.assembly import Assembly, OfficialFiles, require_texts
from .annotation_files.folder_tree import FolderTree
from .annotation_files.reading import (
    AnnotationFile,
    id_list,
    json_lines,
    json_records,
    kind_of,
    text_at,
    texts_at,
)
from .annotation_files.splits import CheckedSplit, PublishedSplit, checked_split
from .base import About, Dataset, ExpectedFile, Preset
from .contracts.errors import DataError, counted

_LISTS = "github.com/albanie/collaborative-experts, misc/datasets/didemo"
_JSON = "github.com/LisaAnne/LocalizingMoments, data"

ABOUT = About(
    title="DiDeMo (Distinct Describable Moments)",
    citation="Hendricks et al., Localizing Moments in Video with Natural Language, ICCV 2017",
    protocol="paragraph",
    files=(
        ExpectedFile("train_list.txt", "8,392 training videos", _LISTS, "328 kB", required=False),
        ExpectedFile("val_list.txt", "1,065 validation videos", _LISTS, "42 kB"),
        ExpectedFile("test_list.txt", "1,004 test videos", _LISTS, "39 kB"),
        ExpectedFile(
            "train_data.json",
            "descriptions of 8,395 videos",
            _JSON,
            "about 9 MB",
            alternatives=("train_clips.jsonl",),
        ),
        ExpectedFile("val_data.json", "4,180 descriptions of 1,094 videos", _JSON, "1.1 MB"),
        ExpectedFile("test_data.json", "4,021 descriptions of 1,037 videos", _JSON, "1.1 MB"),
    ),
    preset=Preset(num_frames=64, max_words=64, max_seconds=30.0),
)

PUBLISHED: Mapping[str, tuple[PublishedSplit, ...]] = {
    "train": (
        PublishedSplit(8392, "d9b1e3175d28def3c12d96d418c010aa585d2747500626c92ef3f298149f92ee"),
        # Without a list: every video of the official training json.
        PublishedSplit(8395, "fd1d3e22fa0d24507b131debf5dd1d2a7cc9dde48c80b30a1f36bcc43d698687"),
    ),
    "val": (PublishedSplit(1065, "c1939b35c9e675a6cd66c19433a4378015523ee4ca681a3e7869b988833182a0"),),
    "test": (PublishedSplit(1004, "57c0b06b28455cd36f6953f0ee56ed5ef73ad44134f250cf5666c0f67dc75b6a"),),
}

WITHOUT_TEXT = {"train_clips.jsonl": ("7977365@N08_4302546663_967c137c57",)}
"""Videos of the published lists that a re-publication of the descriptions lacks."""


@dataclass(frozen=True)
class Config(OfficialFiles):
    """What can be chosen of DiDeMo."""

    protocol: Literal["paragraph", "multi"] = "paragraph"
    """All descriptions of a video as one query, or each as its own."""


def load(root: Path, config: Config) -> Dataset:
    """Read the splits whose id list and descriptions are both below the root.

    Raises:
        DataError: no split is complete, or a file breaks its format or differs from what is published.
    """
    tree = FolderTree(root, config.videos)
    files = {file.name: file for file in ABOUT.files}
    texts: dict[str, list[str]] = {}
    splits: dict[str, CheckedSplit] = {}
    notes: list[str] = []
    for name in PUBLISHED:
        described = tree.read_if_there(files[f"{name}_data.json"])
        listed = tree.read_if_there(files[f"{name}_list.txt"])
        if described is None or (listed is None and name != "train"):
            notes.append(
                f"{name}: left out, {name}_{'data.json' if described is None else 'list.txt'} was not found"
            )
            continue
        found = descriptions(described)
        texts |= found
        splits[name] = _split(name, listed, described, found, config)
        notes += _notes(splits[name], described, found, config)
    return Assembly("didemo", ABOUT, tree, config.protocol).dataset(texts, splits, notes)


def _split(
    name: str,
    listed: AnnotationFile | None,
    described: AnnotationFile,
    found: Mapping[str, list[str]],
    config: Config,
) -> CheckedSplit:
    ids = [video_id(entry) for entry in id_list(listed)] if listed else list(found)
    source = (listed or described).path.name
    return checked_split(name, ids, source, PUBLISHED[name], own_lists=config.own_lists)


def _notes(
    checked: CheckedSplit, described: AnnotationFile, found: Mapping[str, list[str]], config: Config
) -> Iterator[str]:
    allowed = None if config.own_lists else WITHOUT_TEXT.get(described.path.name, ())
    yield from require_texts(checked, found, [described.path], allowed=allowed)
    unlisted = len(found.keys() - set(checked.split.video_ids))
    if unlisted:
        yield f"{described.path.name}: {counted(unlisted, 'video')} in no split: not in {checked.split.source}"


def video_id(file_name: str) -> str:
    """``10052357@N03_7585070382_5762149bfc.mov`` without what follows the dot, which may be nothing."""
    return file_name.rpartition(".")[0] or file_name


def descriptions(file: AnnotationFile) -> dict[str, list[str]]:
    """Descriptions by video id in the file's order, of the official json or of ``train_clips.jsonl``.

    Raises:
        DataError: the shape is wrong, a key is missing, or an annotation or clip stands there twice.
    """
    if file.path.suffix == ".jsonl":
        return _clips(file)
    texts: dict[str, list[str]] = {}
    seen: set[Any] = set()
    for place, record in json_records(file):
        annotation = record.get("annotation_id")
        if isinstance(annotation, list | dict):
            raise DataError(f"{place}: 'annotation_id' must be a number, found {kind_of(annotation)}.")
        if annotation is not None and annotation in seen:
            raise DataError(f"{place}: duplicate annotation_id {annotation}. Fetch the file again.")
        seen.add(annotation)
        texts.setdefault(video_id(text_at(record, "video", place)), []).append(
            text_at(record, "description", place)
        )
    return texts


def _clips(file: AnnotationFile) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for place, record in json_lines(file):
        clip = text_at(record, "clip_id", place)
        if clip in texts:
            raise DataError(f"{place}: duplicate clip_id {clip!r}. Remove one of the two lines.")
        texts[clip] = texts_at(record, "text", place)
    return texts
