"""VATEX, English: ten sentences a video; every sentence of a test video is a query.

The lists are those of HGR (Chen et al., CVPR 2020): the official training set, and the official validation set in two
halves, to choose settings on and to test on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .annotation_files.assembly import Assembly, OfficialFiles, require_texts
from .annotation_files.folder_tree import FolderTree, without_video_extension
from .annotation_files.reading import AnnotationFile, id_list, json_object, json_records, text_at, texts_at
from .annotation_files.splits import CheckedSplit, PublishedSplit, checked_split
from .base import About, Dataset, ExpectedFile, Preset
from .contracts.errors import DataError

_FROM = "eric-xw.github.io/vatex-website/download.html"
_LISTS = "github.com/jpthu17/EMCL, video_retrieval, vatex_data (the split of HGR)"
CAPTIONS = (
    ExpectedFile(
        "vatex_training_v1.0.json",
        "10 English sentences of each of 25,991 videos",
        _FROM,
        "tens of MB",
        alternatives=("ref_captions.json",),
    ),
    ExpectedFile(
        "vatex_validation_v1.0.json",
        "10 English sentences of each of 3,000 videos",
        _FROM,
        "a few MB",
        required=False,
    ),
)
LISTS = {
    "train": ExpectedFile("train_list.txt", "25,991 training videos", _LISTS, "0.7 MB"),
    "val": ExpectedFile("val_list.txt", "1,500 validation videos", _LISTS, "39 kB"),
    "test": ExpectedFile("test_list.txt", "1,500 test videos", _LISTS, "39 kB"),
}

ABOUT = About(
    title="VATEX (English)",
    citation="Wang et al., VATEX: A Large-Scale, High-Quality Multilingual Dataset, ICCV 2019",
    protocol="multi",
    files=(*LISTS.values(), *CAPTIONS),
    preset=Preset(num_frames=12, max_words=32),
)

PUBLISHED: Mapping[str, PublishedSplit] = {
    "train": PublishedSplit(25_991, "abd0450473f9f78417028088f9be7bb677775c7d23b2264eac64fc1733985d0c"),
    "val": PublishedSplit(1_500, "561ef7c7f03a2e6e4ac631696c996860b4ca450aa658fcf54f2cce61695b58ff"),
    "test": PublishedSplit(1_500, "5c359709225c0551cc14ad58773c878f04cdaa993f1750c9ffc95ac051944993"),
}


@dataclass(frozen=True)
class Config(OfficialFiles):
    """What can be chosen of VATEX."""


def load(root: Path, config: Config) -> Dataset:
    """Read the splits whose id list is below the root and whose videos have captions there.

    Raises:
        DataError: no split is complete, or a file breaks its format or differs from what is published.
    """
    tree = FolderTree(root, config.videos)
    files = [file for expected in CAPTIONS if (file := tree.read_if_there(expected))]
    texts = captions(files)
    splits: dict[str, CheckedSplit] = {}
    notes: list[str] = []
    for name, expected in LISTS.items():
        listed = tree.read_if_there(expected)
        ids = [without_video_extension(entry) for entry in id_list(listed)] if listed else []
        if not any(id in texts for id in ids):
            notes.append(
                f"{name}: left out, {'its captions were' if listed else expected.name + ' was'} not found"
            )
            continue
        checked = checked_split(name, ids, expected.name, [PUBLISHED[name]], own_lists=config.own_lists)
        allowed = None if config.own_lists else ()
        notes += require_texts(checked, texts, [file.path for file in files], allowed=allowed)
        splits[name] = checked
    return Assembly("vatex", ABOUT, tree, "multi").dataset(texts, splits, notes)


def captions(files: list[AnnotationFile]) -> dict[str, list[str]]:
    """English captions by video id, of the official json or of ``ref_captions.json`` (captions by video id).

    Raises:
        DataError: the shape is wrong, a key is missing, or a video is described twice.
    """
    texts: dict[str, list[str]] = {}
    for file in files:
        for place, id, sentences in _entries(file):
            if id in texts:
                raise DataError(f"{place}: duplicate video {id!r}. Remove one of the two.")
            texts[id] = sentences
    return texts


def _entries(file: AnnotationFile) -> Iterator[tuple[str, str, list[str]]]:
    if file.text.lstrip()[:1] == "{":
        by_id: Mapping[str, Any] = json_object(file)
        for id in by_id:
            yield f"{file.path}: {id!r}", without_video_extension(id), texts_at(by_id, id, str(file.path))
        return
    for place, record in json_records(file):
        yield place, text_at(record, "videoID", place), texts_at(record, "enCap", place)
