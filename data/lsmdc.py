"""LSMDC: clips of films and what the audio description says of each.

The lists are under a signed agreement, so they are held to the number of their sentences and not to a digest. A clip
of the training list may stand there with several sentences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .annotation_files.assembly import Assembly, OfficialFiles
from .annotation_files.folder_tree import FolderTree
from .annotation_files.reading import AnnotationFile, storable
from .annotation_files.splits import OWN_LIST, CheckedSplit
from .base import About, Dataset, ExpectedFile, Preset, Split
from .contracts.errors import DataError, counted

_FROM = "sites.google.com/site/describingmovies, after a signed agreement"
FILES = {
    "train": ExpectedFile(
        "LSMDC16_annos_training.csv", "101,079 sentences of training clips", _FROM, "about 15 MB"
    ),
    "val": ExpectedFile("LSMDC16_annos_val.csv", "7,408 sentences of validation clips", _FROM, "about 1 MB"),
    "test": ExpectedFile(
        "LSMDC16_challenge_1000_publictect.csv", "1,000 test clips, one sentence each", _FROM, "about 0.2 MB"
    ),
}
SENTENCES: Mapping[str, int] = {"train": 101_079, "val": 7_408, "test": 1_000}
"""Published number of sentences of each split."""
NUM_COLUMNS = 6
"""Clip id, start and end as aligned, start and end as extracted, sentence."""

ABOUT = About(
    title="LSMDC (Large Scale Movie Description Challenge)",
    citation="Rohrbach et al., Movie Description, IJCV 2017",
    protocol="single",
    files=tuple(FILES.values()),
    preset=Preset(num_frames=12, max_words=32),
)


@dataclass(frozen=True)
class Config(OfficialFiles):
    """What can be chosen of LSMDC."""


def load(root: Path, config: Config) -> Dataset:
    """Read the splits whose annotation file is below the root.

    Raises:
        DataError: none is there, or a file breaks its format or has another number of sentences than is published.
    """
    tree = FolderTree(root, config.videos)
    texts: dict[str, list[str]] = {}
    splits: dict[str, CheckedSplit] = {}
    notes: list[str] = []
    for name, expected in FILES.items():
        file = tree.read_if_there(expected)
        if file is None:
            notes.append(f"{name}: left out, {expected.name} was not found")
            continue
        found = clip_sentences(file, repeats=name != "test")
        splits[name] = _held_to_count(name, found, file, own_lists=config.own_lists)
        texts |= found
    return Assembly("lsmdc", ABOUT, tree, "single").dataset(texts, splits, notes)


def clip_sentences(file: AnnotationFile, *, repeats: bool) -> dict[str, list[str]]:
    """Sentences by clip id: six columns between tabs, no header, and quotes that mean nothing.

    Raises:
        DataError: a line has too few columns or no sentence, or a clip stands there twice where that is not allowed.
    """
    texts: dict[str, list[str]] = {}
    for number, line in enumerate(file.text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{file.path}: line {number}"
        # The sentence is the rest of the line: it may hold a tab or an unpaired quote.
        columns = line.rstrip("\r").split("\t", NUM_COLUMNS - 1)
        if len(columns) < NUM_COLUMNS or not columns[0].strip() or not columns[-1].strip():
            raise DataError(
                f"{place}: must have six columns between tabs (clip id, four times, sentence), found {len(columns)}. "
                "The file has no header and is no comma-separated table; fetch it again."
            )
        clip = columns[0].strip()
        if clip in texts and not repeats:
            raise DataError(f"{place}: duplicate clip {clip!r}. Remove one of the two lines.")
        texts.setdefault(clip, []).append(storable(columns[-1], place))
    return texts


def _held_to_count(
    name: str, found: Mapping[str, list[str]], file: AnnotationFile, *, own_lists: bool
) -> CheckedSplit:
    """The split of a file, if it has as many sentences as are published or own lists are allowed."""
    sentences, published = sum(map(len, found.values())), SENTENCES[name]
    source = f"{file.path.name}, held to its number of sentences"
    if sentences == published:
        return CheckedSplit(Split(tuple(found), len(found), source))
    found_here = counted(sentences, "sentence")
    differs = f"{file.path.name}: the {name} split has {found_here} where {published:,} are published"
    if not own_lists:
        raise DataError(
            f"{differs}. Put the published file in its place; or, to use your own list and have every table say so, "
            "give --data own_lists=true"
        )
    return CheckedSplit(Split(tuple(found), published, f"{file.path.name} {OWN_LIST}"), (differs,))
