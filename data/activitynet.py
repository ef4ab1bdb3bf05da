"""ActivityNet Captions: the sentences of a video, joined to a paragraph, find the video.

The field tests on ``val_1``, which is here the split ``test``; ``val_2`` describes the same videos again and is not
read. There is no other official split to choose settings on, so training videos are held out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .annotation_files.assembly import Assembly, OfficialFiles
from .annotation_files.folder_tree import FolderTree, without_video_extension
from .annotation_files.reading import (
    AnnotationFile,
    json_object,
    json_value,
    kind_of,
    mapping_at,
    texts_at,
    unique_ids,
)
from .annotation_files.splits import CheckedSplit, PublishedSplit, checked_split, held_out, with_validation
from .base import About, Dataset, ExpectedFile, Preset
from .contracts.errors import DataError, counted

_FROM = "cs.stanford.edu/people/ranjaykrishna/densevid, captions.zip"
PARAGRAPHS = {
    "train": ExpectedFile("train.json", "37,421 sentences of 10,009 videos", _FROM, "4 MB"),
    "test": ExpectedFile("val_1.json", "17,505 sentences of 4,917 videos: what is tested on", _FROM, "2 MB"),
}
LISTS = {
    "train": ExpectedFile("train_ids.json", "ids of the training videos", _FROM, "0.2 MB", required=False),
    "test": ExpectedFile(
        "val_ids.json", "ids of the videos that are tested on", _FROM, "0.1 MB", required=False
    ),
}

ABOUT = About(
    title="ActivityNet Captions",
    citation="Krishna et al., Dense-Captioning Events in Videos, ICCV 2017",
    protocol="paragraph",
    files=(*PARAGRAPHS.values(), *LISTS.values()),
    preset=Preset(num_frames=64, max_words=64),
)

PUBLISHED: Mapping[str, PublishedSplit] = {
    "train": PublishedSplit(10_009, "894634826e57c577256324f564963be39e5c8aa9c2ef4229eaaabd3786b229b6"),
    "test": PublishedSplit(4_917, "6da5bed74d0b4940843c7adce3689003d1dfbefec8181c4aa269a48cddc882b3"),
}
NUM_HELD_OUT = 1_000
"""Training videos that are held out for validation."""
_ID_LENGTH = len("v_") + 11


@dataclass(frozen=True)
class Config(OfficialFiles):
    """What can be chosen of ActivityNet Captions."""

    protocol: Literal["paragraph", "multi"] = "paragraph"
    """All sentences of a video as one query, or each as its own."""
    validation: Literal["hold-out", "none"] = "hold-out"
    """Hold out 1,000 training videos to choose settings on, or train on all and do without."""


def load(root: Path, config: Config) -> Dataset:
    """Read the splits whose sentences are below the root.

    Raises:
        DataError: none is there, or a file breaks its format or differs from what is published.
    """
    tree = FolderTree(root, config.videos)
    texts: dict[str, list[str]] = {}
    splits: dict[str, CheckedSplit] = {}
    notes: list[str] = []
    for name, expected in PARAGRAPHS.items():
        file = tree.read_if_there(expected)
        if file is None:
            notes.append(f"{name}: left out, {expected.name} was not found")
            continue
        found = paragraphs(file)
        checked = _split(name, tree.read_if_there(LISTS[name]), file, found, config)
        texts |= found
        splits |= _with_validation(checked, config) if name == "train" else {name: checked}
    assembly = Assembly(
        "activitynet", ABOUT, tree, config.protocol, names_on_disk, ("sentences trimmed of blanks",)
    )
    return assembly.dataset(texts, splits, notes)


def _split(
    name: str,
    listed: AnnotationFile | None,
    file: AnnotationFile,
    found: Mapping[str, list[str]],
    config: Config,
) -> CheckedSplit:
    """The listed videos that have sentences, or all that have: the published lists name a few that have none."""
    ids = listed_ids(listed) if listed else list(found)
    described = [id for id in ids if id in found]
    source = (listed or file).path.name
    checked = checked_split(name, described, source, [PUBLISHED[name]], own_lists=config.own_lists)
    if len(described) == len(ids):
        return checked
    silent = counted(len(ids) - len(described), "listed video")
    note = f"{source}: {silent} in no split: no sentences in {file.path.name}"
    return CheckedSplit(checked.split, (*checked.notes, note))


def _with_validation(train: CheckedSplit, config: Config) -> dict[str, CheckedSplit]:
    if config.validation == "none":
        return {"train": train}
    _, held = held_out(train.split.video_ids, min(NUM_HELD_OUT, len(train.split.video_ids) // 10))
    return with_validation(train, held, "those whose id has the smallest sha256")


def video_id(name: str) -> str:
    """The id with the prefix ``v_``, with which the json has it; lists and files have it with and without."""
    stem = without_video_extension(name)
    return stem if stem.startswith("v_") and len(stem) == _ID_LENGTH else f"v_{stem}"


def names_on_disk(id: str) -> tuple[str, ...]:
    """The names under which a video's file is looked for: with and without ``v_``."""
    return (id, id.removeprefix("v_"))


def paragraphs(file: AnnotationFile) -> dict[str, list[str]]:
    """Sentences by video id, without the blanks that most of them begin with.

    Timestamps are not read: the paragraph is of the whole video, and a few of them are reversed or past its end.

    Raises:
        DataError: the shape is wrong, a key is missing, a video stands there twice, or a sentence is blank.
    """
    found: dict[str, list[str]] = {}
    for id, entry in json_object(file).items():
        place = f"{file.path}: {id!r}"
        sentences = [text.strip() for text in texts_at(mapping_at(entry, place), "sentences", place)]
        if not all(sentences):
            raise DataError(
                f"{place}: 'sentences' holds a blank sentence. Remove it, or fetch the file again."
            )
        found[video_id(id)] = sentences
    return found


def listed_ids(file: AnnotationFile) -> list[str]:
    """The ids of a JSON array of ids.

    Raises:
        DataError: it is not an array of strings, is empty, or holds an id twice.
    """
    ids = json_value(file)
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise DataError(f"{file.path}: must hold a JSON array of video ids, found {kind_of(ids)}.")
    return unique_ids(enumerate((video_id(id) for id in ids), 1), file.path)
