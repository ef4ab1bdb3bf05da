"""MSVD: 1,970 clips of YouTube videos, about forty sentences each; every sentence is a query."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from .annotation_files.assembly import Assembly, OfficialFiles, require_texts
from .annotation_files.folder_tree import FolderTree, without_video_extension
from .annotation_files.plain_pickle import plain_pickle
from .annotation_files.reading import id_list, kind_of, storable
from .annotation_files.splits import CheckedSplit, PublishedSplit, checked_split
from .base import About, Dataset, ExpectedFile, Preset
from .contracts.errors import DataError

_FROM = "github.com/ArrowLuo/CLIP4Clip, release v0.0, msvd_data.zip"
CAPTIONS = ExpectedFile(
    "raw-captions.pkl", "80,827 sentences of 1,970 clips, as lists of tokens", _FROM, "8 MB"
)
LISTS = {
    "train": ExpectedFile("train_list.txt", "1,200 training clips", _FROM, "22 kB"),
    "val": ExpectedFile("val_list.txt", "100 validation clips", _FROM, "2 kB"),
    "test": ExpectedFile("test_list.txt", "670 test clips", _FROM, "12 kB"),
}

ABOUT = About(
    title="MSVD (Microsoft Research Video Description Corpus)",
    citation="Chen and Dolan, Collecting Highly Parallel Data for Paraphrase Evaluation, ACL 2011",
    protocol="multi",
    files=(*LISTS.values(), CAPTIONS),
    preset=Preset(num_frames=12, max_words=32),
)

PUBLISHED: Mapping[str, PublishedSplit] = {
    "train": PublishedSplit(1200, "223a750f33fcec3c5fcb1894123564e67286edd1e9f9473be97930340027d659"),
    "val": PublishedSplit(100, "0e6b31c93757d25115f04e1974bcdc7962b3fce17832b397f6e83e9ff096881b"),
    "test": PublishedSplit(670, "8d2c6c42af984fd02de95caffc7c6e4fafadeed81b5d99c8aa1584b12367a85c"),
}


@dataclass(frozen=True)
class Config(OfficialFiles):
    """What can be chosen of MSVD."""


def load(root: Path, config: Config) -> Dataset:
    """Read the splits whose id list is below the root, and the captions.

    Raises:
        DataError: there are no captions or no list, or a file breaks its format or differs from what is published.
    """
    tree = FolderTree(root, config.videos)
    splits: dict[str, CheckedSplit] = {}
    notes: list[str] = []
    path = tree.need("msvd", CAPTIONS)
    texts = sentences(path, tree)
    for name, expected in LISTS.items():
        listed = tree.read_if_there(expected)
        if listed is None:
            notes.append(f"{name}: left out, {expected.name} was not found")
            continue
        ids = [without_video_extension(entry) for entry in id_list(listed)]
        splits[name] = checked_split(name, ids, expected.name, [PUBLISHED[name]], own_lists=config.own_lists)
        notes += require_texts(splits[name], texts, [path], allowed=None if config.own_lists else ())
    return Assembly("msvd", ABOUT, tree, "multi", normalisation=("tokens joined by one space",)).dataset(
        texts, splits, notes
    )


def sentences(path: Path, tree: FolderTree) -> dict[str, list[str]]:
    """Sentences by clip name: ``raw-captions.pkl`` holds lists of tokens, some copies hold strings.

    Raises:
        DataError: the pickle is broken, would run code, or has another shape.
    """
    data = path.read_bytes()
    tree.digests[path.name] = sha256(data).hexdigest()
    clips = plain_pickle(data, path)
    if not isinstance(clips, dict):
        raise DataError(f"{path}: must hold a dict of captions by clip name, found {kind_of(clips)}.")
    texts: dict[str, list[str]] = {}
    for key, captions in clips.items():
        clip, place = without_video_extension(str(key)), f"{path}: {key!r}"
        if clip in texts:
            raise DataError(f"{place}: duplicate clip {clip!r}. Remove one of the two.")
        if not isinstance(captions, list):
            raise DataError(f"{place}: must be a list of captions, found {kind_of(captions)}.")
        texts[clip] = [_sentence(tokens, place, number) for number, tokens in enumerate(captions)]
    return texts


def _sentence(tokens: object, clip: str, number: int) -> str:
    place = f"{clip}: caption {number}"
    if isinstance(tokens, str):
        return storable(tokens, place)
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise DataError(f"{place}: must be a list of tokens, found {kind_of(tokens)}.")
    return storable(" ".join(tokens), place)
