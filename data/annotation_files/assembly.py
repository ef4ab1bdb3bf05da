"""From texts and splits to a ``Dataset``: one way of numbering captions and of saying what is absent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base import About, Caption, Dataset, Protocol, Video
from ..contracts.errors import DataError, counted
from .folder_tree import FolderTree, described
from .splits import CheckedSplit

Texts = Mapping[str, Sequence[str]]
"""The texts of each video, by its id: its captions, or the sentences of its paragraph."""


@dataclass(frozen=True)
class OfficialFiles:
    """Settings of every data set that is read from the files its authors publish."""

    videos: Path | None = None
    """Folder of the videos, where it is not below the root."""
    own_lists: bool = False
    """Take id lists that are not the published ones; every table then says so."""


def same_name(id: str) -> tuple[str, ...]:
    """The names under which a video's file is looked for: its id."""
    return (id,)


@dataclass(frozen=True)
class Assembly:
    """What a plug-in read, and how a data set is made of it."""

    name: str
    about: About
    tree: FolderTree
    protocol: Protocol
    file_names: Callable[[str], tuple[str, ...]] = same_name
    """The names, without extension, under which a video's file may be found."""
    normalisation: tuple[str, ...] = ()

    def dataset(self, texts: Texts, splits: Mapping[str, CheckedSplit], notes: Iterable[str] = ()) -> Dataset:
        """The data set of the videos that are in a split; its captions in the order of the splits.

        Raises:
            DataError: there is no split, or two splits share a video.
        """
        if not splits:
            raise DataError(nothing_found(self.name, self.about, self.tree))
        require_disjoint(self.name, splits)
        ids = [id for checked in splits.values() for id in checked.split.video_ids]
        own_notes = [note for checked in splits.values() for note in checked.notes]
        return Dataset(
            name=self.name,
            protocol=self.protocol,
            preset=self.about.preset,
            videos={id: Video(id, self.tree.video(*self.file_names(id))) for id in ids},
            captions=numbered(ids, texts, paragraphs=self.protocol == "paragraph"),
            splits={name: checked.split for name, checked in splits.items()},
            annotation_digests=dict(self.tree.digests),
            normalisation=self.normalisation,
            notes=(*own_notes, *notes),
        )


def numbered(ids: Iterable[str], texts: Texts, *, paragraphs: bool) -> list[Caption]:
    """Captions ``<video id>#0``, ``#1``, ... of each video; one of all its sentences in a paragraph set."""
    captions: list[Caption] = []
    for id in ids:
        sentences = texts.get(id, ())
        if paragraphs and sentences:
            captions.append(Caption(f"{id}#0", id, tuple(sentences)))
        elif not paragraphs:
            captions += [Caption(f"{id}#{number}", id, (text,)) for number, text in enumerate(sentences)]
    return captions


def require_disjoint(name: str, splits: Mapping[str, CheckedSplit]) -> None:
    """Refuse two splits that share a video: what is trained or selected on must not be tested on."""
    owner: dict[str, str] = {}
    for split, checked in splits.items():
        for id in checked.split.video_ids:
            if id in owner:
                raise DataError(
                    f"{name}: video {id!r} is in {owner[id]} ({splits[owner[id]].split.source}) and in "
                    f"{split} ({checked.split.source}). A video may be in one split only: remove it from one list."
                )
            owner[id] = split


def require_texts(
    checked: CheckedSplit, texts: Texts, files: Sequence[Path], *, allowed: Iterable[str] | None = ()
) -> tuple[str, ...]:
    """Notes on the videos of a split that have no text, or a DataError where they ought to have one.

    Args:
        checked: the split.
        texts: texts by video id.
        files: where the texts come from.
        allowed: ids that may be without text; None allows any.

    Raises:
        DataError: the id list names videos of which the annotation files know nothing.
    """
    absent = [id for id in checked.split.video_ids if not texts.get(id)]
    if not absent:
        return ()
    some = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
    names = " and ".join(file.name for file in files)
    said = (
        f"{len(absent):,} of {counted(len(checked.split.video_ids), 'video')} without text in {names}: {some}"
    )
    if allowed is not None and not set(absent) <= set(allowed):
        raise DataError(
            f"{checked.split.source}: {said} ({' and '.join(map(str, files))}). The id list and the annotation file "
            "must be of one release: fetch both again, or give your own list with --data own_lists=true"
        )
    return (f"{checked.split.source}: {said}; they are kept and never a query",)


def nothing_found(name: str, about: About, tree: FolderTree) -> str:
    """The message where no split of a data set is complete."""
    lines = [f"{name}: no split is complete in {tree.where()}. It needs:"]
    lines += [f"  {described(file)}" for file in about.files if file.required and not tree.find(file)]
    return "\n".join(
        [*lines, f"Put them anywhere below the root; tvr datasets {name} --root DIR shows what is found."]
    )
