"""What ``tvr search`` says: each hit with its file, its caption and its best seconds."""

from collections.abc import Sequence
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from ...data.contracts.errors import counted, one_line
from ...data.sources.remote_object import RemoteObject
from ...data.sources.video_file import VideoFile
from ...heads.search.answers import FoundVideo
from ...heads.search.archive import Archive, CaptionHit, open_archive
from ...pipeline.request import NOTHING_NAMED, Named
from ...pipeline.store.atomic_files import atomic_write
from ...pipeline.store.generations.record import load_manifest
from ..terminal import out
from .waiting import waiting

INDENT = 5
"""Of what stands below the line of a hit."""
LINES = 3
"""On a terminal, a longer caption is cut; a pipe, a page and --json have all of it."""


def opened_archive(
    run: Path | None, store: Path | None, named: Named = NOTHING_NAMED, split: str | None = None
) -> Archive:
    """``open_archive``, which loads features and the encoder that made them.

    Raises:
        StoreError, UsageError, WeightsError: as it does.
    """
    encoder = "the encoder" if store is None else load_manifest(store).model
    with waiting(f"loading {encoder}"):
        return open_archive(run, store, named, split)


def where_searched(archive: Archive) -> str:
    """What was searched, by what."""
    manifest = archive.store.manifest
    remark = f", {manifest.caution.label}" if manifest.caution else ""
    videos = counted(archive.features.num_videos, "video")
    return f"{videos} of {manifest.dataset}, head {archive.name}{remark}"


def write_page(html: Path, page: str) -> None:
    """Put a page in its place as a whole."""
    with atomic_write(html) as beside:
        beside.write_text(page, encoding="utf-8")


def print_found(found: Sequence[FoundVideo]) -> None:
    """One line a hit, its file and its caption below it."""
    for rank, hit in enumerate(found, start=1):
        out.print(f"{rank:>3}  {hit.score:.3f}  {one_line(hit.video_id)}  {hit.moment}", soft_wrap=True)
        if hit.path is not None:
            out.print(f"{' ' * INDENT}{one_line(shown_path(hit.path))}", soft_wrap=True)
        for caption in hit.captions[:1]:
            others = len(hit.captions) - 1
            _print_below(f"“{caption}”" + (f" (and {counted(others, 'caption')} more)" if others else ""))


def print_captions(found: Sequence[CaptionHit]) -> None:
    """Captions that describe the query, best first."""
    out.print("captions that describe it")
    for rank, hit in enumerate(found, start=1):
        out.print(f"{rank:>3}  {hit.score:.3f}  {one_line(hit.video_id)}", soft_wrap=True)
        _print_below(f"“{hit.text}”")


def shown_path(file: VideoFile) -> str:
    """From the working folder, if it lies below that; of a member of a tar file, as if the tar were a folder."""
    if isinstance(file, RemoteObject):
        return str(file)
    here, path = Path.cwd(), Path(str(file))
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _print_below(text: str) -> None:
    """A text that is folded on a terminal, and whole everywhere else."""
    line = one_line(text)
    if out.is_terminal:
        most = LINES * max(out.width - INDENT, 1)
        shown = line if len(line) <= most else f"{line[: most - 20]} …"
        out.print(Padding(Text(shown), (0, 0, 0, INDENT)))
    else:
        out.print(" " * INDENT + line, soft_wrap=True)
