"""How a run's features were made, kept with the run: of a store that was deleted, its runs are what is left."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...data.contracts.errors import pasteable
from ...pipeline.request import OPTIONS_NAME, extract_command, remember, was_asked_here
from ...pipeline.store.atomic_files import keep_text
from ...pipeline.store.manifest import MANIFEST_NAME


def keep_extraction(run: Path, store: Mapping[str, Any]) -> None:
    """Keep the options of the extraction with a run, where this user asked for it on this machine.

    Args:
        run: its folder.
        store: what the run says of its store.
    """
    path = store.get("path")
    if not isinstance(path, str) or extract_command(Path(path)) is None:
        return
    with suppress(FileNotFoundError):  # the store was deleted since
        keep_text(run / OPTIONS_NAME, (Path(path) / OPTIONS_NAME).read_text(encoding="utf-8"))
        remember(run / OPTIONS_NAME)


def extract_again_command(run: Path, store: Mapping[str, Any]) -> str | None:
    """What makes the features of a run again, to be typed. None where that was not kept, where another store lies in
    their place, of an archive that has changed perhaps, or where another user kept it: what a stranger's file names is
    opened by nobody who pastes a line.

    Args:
        run: its folder.
        store: what the run says of its store.
    """
    place = _place_again(run, store)
    if place is None or (place / MANIFEST_NAME).exists() or not was_asked_here(run, OPTIONS_NAME):
        return None
    words = ["tvr", "extract", "--config", run / OPTIONS_NAME, "--store", place]
    return " ".join(map(pasteable, words))


def _place_again(run: Path, store: Mapping[str, Any]) -> Path | None:
    """Where the run will find its store: as seen from it, or where that lay on the machine that it was trained on."""
    # Of a run of a stranger these may be anything.
    relative, path = store.get("relative_path"), store.get("path")
    lay = Path(path) if isinstance(path, str) else None
    seen = Path(os.path.normpath(run / relative)) if isinstance(relative, str) else None
    return seen if seen is not None and seen.parent.parent.is_dir() else lay
