"""MSR-VTT: 10,000 clips, twenty sentences each, in the splits that the field reports on.

``9k`` and ``7k`` train on 9,000 or 7,010 videos and test on the 1k-A list (Yu et al., JSFusion): one sentence for each
of 1,000 videos. ``full`` is the official split: 6,513 / 497 / 2,990 videos, every sentence a query. 1k-A has no
validation split; the 497 official validation videos, which both training lists hold, serve as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .annotation_files.assembly import Assembly, OfficialFiles, require_texts
from .annotation_files.folder_tree import FolderTree, without_video_extension
from .annotation_files.reading import (
    AnnotationFile,
    csv_records,
    json_value,
    mapping_at,
    records_in,
    storable,
    text_at,
    texts_at,
    texts_of,
    unique_ids,
    value_at,
)
from .annotation_files.splits import CheckedSplit, PublishedSplit, checked_split, with_validation
from .base import About, Dataset, ExpectedFile, Preset
from .contracts.errors import DataError

_CLIP4CLIP = "github.com/ArrowLuo/CLIP4Clip, release v0.0, msrvtt_data.zip"
_FULL = "github.com/jpthu17/EMCL, video_retrieval, msrvtt_data"
CAPTIONS = ExpectedFile(
    "MSRVTT_data.json",
    "200,000 sentences of 10,000 videos",
    _CLIP4CLIP,
    "about 25 MB",
    alternatives=("MSRVTT_data.json.gz", "train_val_videodatainfo.json"),
)
TEST_CAPTIONS = ExpectedFile(
    "test_videodatainfo.json",
    "the test half of the original release, beside train_val_videodatainfo.json",
    "ms-multimedia-challenge.com/2016/dataset",
    "about 8 MB",
    required=False,
)
TEST_1K = ExpectedFile("MSRVTT_JSFUSION_test.csv", "the 1,000 test pairs of 1k-A", _CLIP4CLIP, "74 kB")
LISTS = {
    "9k": ExpectedFile("MSRVTT_train.9k.csv", "9,000 training videos", _CLIP4CLIP, "89 kB", required=False),
    "7k": ExpectedFile("MSRVTT_train.7k.csv", "7,010 training videos", _CLIP4CLIP, "69 kB", required=False),
    "train": ExpectedFile(
        "MSRVTT_train.full.csv", "6,513 official training videos", _FULL, "64 kB", required=False
    ),
    "val": ExpectedFile(
        "MSRVTT_val.full.csv", "497 official validation videos", _FULL, "5 kB", required=False
    ),
    "test": ExpectedFile(
        "MSRVTT_test.full.csv", "2,990 official test videos", _FULL, "30 kB", required=False
    ),
}

ABOUT = About(
    title="MSR-VTT",
    citation="Xu et al., MSR-VTT: A Large Video Description Dataset, CVPR 2016; 1k-A: Yu et al., JSFusion, ECCV 2018",
    protocol="single",
    files=(CAPTIONS, TEST_CAPTIONS, TEST_1K, *LISTS.values()),
    preset=Preset(num_frames=12, max_words=32),
)

PUBLISHED: Mapping[str, PublishedSplit] = {
    "9k": PublishedSplit(9_000, "7dce4e3e1af1eded0cb9edbf4a30dc6ad15b9ec201c7a6b4b2860d39280de4d7"),
    "7k": PublishedSplit(7_010, "81ea9208d6c64212cd45f7e03774a8c82d45afe7c57efdb3e7d1a630f0b34700"),
    "1k-A": PublishedSplit(1_000, "49a09fb68f7ec52b3b9bbb7e856ffbd3f00233976ed435fded658309c3cd491a"),
    "train": PublishedSplit(6_513, "5cac8e8a55a87350bd35c6c28695e9fc6d8561a463769f9273894704d8ef0ebd"),
    "val": PublishedSplit(497, "be5b1994f643740b80796c392d7b472deed45ddce69ce13fee87609ce303ab3f"),
    "test": PublishedSplit(2_990, "916e9b2dd9a4518131b76a1e9b4f47fd12847f50356ebd8413bcd555abe2bca8"),
}
PARTS: Mapping[str, tuple[str, ...]] = {
    "9k": ("train", "val", "test"),
    "7k": ("train", "val"),
    "train": ("train",),
    "val": ("val",),
    "test": ("test",),
}
"""Which official splits a list is made of, where its file is not there; 9k lacks the test videos of 1k-A."""
NUMBERS = {"train": range(6513), "val": range(6513, 7010), "test": range(7010, 10_000)}
"""The official splits by the number in ``video123``: some copies of the json call every video a training video."""


@dataclass(frozen=True)
class Config(OfficialFiles):
    """What can be chosen of MSR-VTT."""

    split: Literal["9k", "7k", "full"] = "9k"
    """Train on 9,000 or 7,010 videos and test on 1k-A, or the official full split."""
    captions: tuple[str, ...] = ()
    """Caption files to read instead of MSRVTT_data.json, such as a translation: paths below the root, or anywhere."""
    validation: Literal["official", "none"] = "official"
    """For 9k and 7k: keep the 497 official validation videos for validation, or train on them too."""


@dataclass
class Captions:
    """What the caption files say."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    """Ids of all videos, in order."""
    files: list[Path] = field(default_factory=list)

    @property
    def names(self) -> str:
        """Names of the files."""
        return " and ".join(file.name for file in self.files)


def load(root: Path, config: Config) -> Dataset:
    """Read the captions and the id lists of the split; lists that are not there follow from the caption file.

    Raises:
        DataError: a file is missing, breaks its format or differs from what is published.
    """
    tree = FolderTree(root, config.videos)
    captions = read_captions(_caption_files(tree, config))
    lists = _Lists(tree, captions, own=config.own_lists)
    if config.split == "full":
        splits = {name: lists.split(name, name) for name in ("train", "val", "test")}
    else:
        test = lists.test_1k()
        train = lists.split("train", config.split, without=test.split.video_ids)
        splits = {**_with_validation(train, lists, config), "test": test}
    allowed = None if config.own_lists or config.captions else ()
    notes = [
        note
        for checked in splits.values()
        for note in require_texts(checked, captions.texts, captions.files, allowed=allowed)
    ]
    if config.captions and config.split != "full":
        notes.append(f"test sentences are those of {TEST_1K.name}, all others those of {captions.names}")
    protocol = "multi" if config.split == "full" else "single"
    return Assembly("msrvtt", ABOUT, tree, protocol).dataset(captions.texts, splits, notes)


def _with_validation(train: CheckedSplit, lists: "_Lists", config: Config) -> dict[str, CheckedSplit]:
    if config.validation == "none":
        return {"train": train}
    chosen = set(train.split.video_ids)
    held = [id for id in lists.split("val", "val").split.video_ids if id in chosen]
    return with_validation(train, held, "the official validation videos of the full split")


def _caption_files(tree: FolderTree, config: Config) -> list[AnnotationFile]:
    """The caption files to read: the user's, the one that everybody uses, or the two of the original release."""
    if config.captions:
        return [tree.read(tree.root / name) for name in config.captions]
    first = tree.need("msrvtt", CAPTIONS)
    second = tree.find(TEST_CAPTIONS) if first.name.lower() == CAPTIONS.alternatives[-1] else None
    return [tree.read(path) for path in (first, second) if path]


@dataclass
class _Lists:
    """The id lists, read from their files or, where those are not there, from what the caption file says."""

    tree: FolderTree
    captions: Captions
    own: bool

    def split(self, name: str, key: str, without: Sequence[str] = ()) -> CheckedSplit:
        """The split ``name``, held to what is published as ``key``; a training list made here is ``without`` those."""
        path = self.tree.find(LISTS[key])
        if path:
            file = self.tree.read(path)
            rows = csv_records(file, ["video_id"])
            ids, source = unique_ids(((line, row["video_id"]) for line, row in rows), path), path.name
        else:
            left_out = set(without)
            numbered = [(id, number_of(id)) for id in self.captions.ids if id not in left_out]
            ids = [id for part in PARTS[key] for id, number in numbered if number in NUMBERS[part]]
            source = f"{self.captions.names}: its {', '.join(PARTS[key])} videos" + (
                " that are not in the test list" if key == "9k" else ""
            )
        return checked_split(name, ids, source, [PUBLISHED[key]], own_lists=self.own)

    def test_1k(self) -> CheckedSplit:
        """The test split of 1k-A; its sentences take the place of the captions of its videos."""
        path = self.tree.need("msrvtt", TEST_1K)
        rows = csv_records(self.tree.read(path), ["video_id", "sentence"])
        numbered = [
            (line, row["video_id"], storable(row["sentence"], f"{path}: line {line}")) for line, row in rows
        ]
        ids = unique_ids(((line, id) for line, id, _ in numbered), path)
        self.captions.texts |= {id: [sentence] for _, id, sentence in numbered}
        return checked_split("test", ids, path.name, [PUBLISHED["1k-A"]], own_lists=self.own)


def number_of(id: str) -> int:
    """The number in ``video123``, or -1 where an id has another form."""
    digits = id.removeprefix("video")
    return int(digits) if digits.isdecimal() and digits.isascii() else -1


def read_captions(files: Sequence[AnnotationFile]) -> Captions:
    """Captions of the official json (``videos`` and ``sentences``) or of a list of ``{"video", "caption": [...]}``.

    Raises:
        DataError: the shape is wrong, a key is missing, a video stands there twice or a sentence has no video.
    """
    captions = Captions()
    for file in files:
        captions.files.append(file.path)
        value = json_value(file)
        if isinstance(value, list):
            _read_captions_by_video(file, value, captions)
        else:
            _read_official(file, mapping_at(value, str(file.path)), captions)
    return captions


def _read_captions_by_video(file: AnnotationFile, value: list[Any], captions: Captions) -> None:
    for place, record in records_in(value, str(file.path)):
        id = without_video_extension(text_at(record, "video", place))
        if id in captions.texts:
            raise DataError(f"{place}: duplicate video {id!r}. Remove one of the two entries.")
        captions.ids.append(id)
        captions.texts[id] = texts_at(record, "caption", place)


def _read_official(file: AnnotationFile, value: Mapping[str, Any], captions: Captions) -> None:
    known: dict[str, None] = {}
    for place, video in records_in(value_at(value, "videos", str(file.path)), f"{file.path}: videos"):
        id = text_at(video, "video_id", place)
        if id in known:
            raise DataError(f"{place}: duplicate video_id {id!r}. Fetch the file again.")
        known[id] = None
    captions.ids += known
    where = f"{file.path}: sentences"
    for number, (id, text) in texts_of(
        value_at(value, "sentences", str(file.path)), where, ("video_id", "caption")
    ):
        if id not in known:
            raise DataError(
                f"{where}: entry {number}: a caption for the unknown video {id!r}, which 'videos' does not list. "
                "Fetch the file again."
            )
        captions.texts.setdefault(id, []).append(text)
