"""Generates whatever is missing of a set: its manifest, its annotation files, its videos."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from ..base import Protocol
from ..contracts.errors import DataError
from ..contracts.strict_json import read_json
from .files import (
    MANIFEST,
    VIDEOS,
    as_lines,
    caption_records,
    captions_file,
    video_file,
    video_record,
    write_whole,
)
from .film import film, mp4_bytes
from .twins import SPLITS, VERSION, Entry, SplitName, entries

OnVideoGenerated = Callable[[int, int], None]
"""Called with how many videos are there and how many there will be."""


@dataclass(frozen=True, slots=True)
class Commission:
    """Everything that decides what lies in a set."""

    seed: int
    train_videos: int
    val_videos: int
    test_videos: int
    side_pixels: int
    fps: int

    def entries(self) -> list[Entry]:
        """All videos of the set, split by split."""
        return [entry for split in SPLITS for entry in entries(self.seed, split, self.videos(split))]

    def videos(self, split: SplitName) -> int:
        """How many videos the split has."""
        return {"train": self.train_videos, "val": self.val_videos, "test": self.test_videos}[split]


class OtherSetError(DataError):
    """A folder holds another set than is asked for.

    Args:
        what: which, and in what it differs.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}. A set is never changed: name another root, or ask for the set that is there."
        )
        self.what = what


def generate(root: Path, commission: Commission, report: OnVideoGenerated | None = None) -> None:
    """Bring the set below ``root`` to completion. What is there is kept: a killed run goes on where it was.

    Raises:
        DataError: ``root`` holds another set, or an annotation file was changed.
    """
    _claim(root, commission)
    all_entries = commission.entries()
    _write_annotations(root, all_entries)
    for split in SPLITS:
        (root / "videos" / split).mkdir(parents=True, exist_ok=True)
    missing = [entry for entry in all_entries if not (root / video_file(entry.id)).exists()]
    _render(root, commission, missing, _counted(report, len(all_entries) - len(missing), len(all_entries)))


def _claim(root: Path, commission: Commission) -> None:
    """Write the manifest, or find the same one there."""
    manifest, wanted = root / MANIFEST, {"version": VERSION, **asdict(commission)}
    if manifest.exists():
        _expect_same(manifest, wanted)
        return
    if (root / "videos").exists() or (root / VIDEOS).exists():
        raise DataError(
            f"{root} holds videos but no {MANIFEST}, so it is no storyboard set that could be completed. "
            "Name a new or empty folder as the root."
        )
    root.mkdir(parents=True, exist_ok=True)
    write_whole(manifest, json.dumps(wanted, indent=2).encode() + b"\n")


def _expect_same(manifest: Path, wanted: dict[str, Any]) -> None:
    try:
        found = read_json(manifest)
    except ValueError as error:
        raise DataError(
            f"{manifest} is not JSON ({error}). Delete the folder, or name another root."
        ) from None
    if found != wanted:
        differing = [key for key in wanted if not isinstance(found, dict) or found.get(key) != wanted[key]]
        changes = ", ".join(f"{key} = {_value(found, key)}, not {wanted[key]}" for key in differing)
        raise OtherSetError(
            f"{manifest.parent} holds another storyboard set: {changes or 'it has unknown settings'}"
        )


def _value(found: Any, key: str) -> Any:
    return found.get(key, "unknown") if isinstance(found, dict) else "unknown"


def _write_annotations(root: Path, all_entries: Sequence[Entry]) -> None:
    files = {VIDEOS: as_lines(video_record(entry) for entry in all_entries)}
    protocols: tuple[Protocol, ...] = get_args(Protocol)
    for protocol in protocols:
        lines = (record for entry in all_entries for record in caption_records(entry, protocol))
        files[captions_file(protocol)] = as_lines(lines)
    for name, contents in files.items():
        path = root / name
        if not path.exists():
            write_whole(path, contents)
        elif path.read_bytes() != contents:
            raise DataError(
                f"{path} is not what its seed and version give: it was changed. "
                "Delete it to have it written again."
            )


def _render(root: Path, commission: Commission, missing: Sequence[Entry], done: Callable[[], None]) -> None:
    """Render in threads: x264 and NumPy let each other run, and threads need no guarded main module."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="storyboard")
    try:
        tasks = [pool.submit(_render_one, root, commission, entry) for entry in missing]
        for task in as_completed(tasks):
            task.result()
            done()
    finally:
        pool.shutdown(cancel_futures=True)


def _render_one(root: Path, commission: Commission, entry: Entry) -> None:
    frames = film(entry.story, commission.side_pixels, commission.fps)
    write_whole(root / video_file(entry.id), mp4_bytes(frames, commission.fps))


def _counted(report: OnVideoGenerated | None, there: int, total: int) -> Callable[[], None]:
    """A function to call after each video; it tells the report how many there are."""
    count = there

    def done() -> None:
        nonlocal count
        count += 1
        if report is not None:
            report(count, total)

    return done
