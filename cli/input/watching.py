"""``tvr extract --watch``: waiting for an archive to change."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ...data.base import Dataset
from ...data.contracts.errors import UsageError
from ...pipeline.growth.watching import Watched
from ...pipeline.store.reader import FeatureStore
from ..output.interruptions import nothing_to_lose
from ..output.waiting import waiting
from ..terminal import warn


def watched(load: Callable[[], Dataset], poll_seconds: float, others: Mapping[str, object]) -> Watched:
    """What --watch asks for.

    Args:
        load: reads the archive.
        poll_seconds: between two looks.
        others: the values of options that cannot be at the same time.

    Raises:
        UsageError: one of these has one.
    """
    if asked := [name for name, value in others.items() if value]:
        raise UsageError(
            f"--watch extracts until it is stopped: it cannot be together with {' and '.join(asked)}"
        )
    return Watched(load, poll_seconds)


def first_look(archive: Watched) -> Dataset:
    """What there is when watching begins; where it is nothing yet, what there is first."""
    with nothing_to_lose("nothing was extracted"), waiting(f"watching, every {archive.poll_seconds:g} s"):
        return archive.first(lambda problem: warn(f"{problem} (looking again)"))


def next_look(archive: Watched, folder: Path) -> Dataset:
    """What there is once something has come, changed or gone."""
    with waiting(f"watching, every {archive.poll_seconds:g} s"):
        known = FeatureStore.open(folder, complete=False).video_ids
        return archive.next(known, lambda problem: warn(f"{problem} (looking again)"))
