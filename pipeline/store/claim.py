"""Whose a store is: the first run that fills a folder decides how its features are made, for all that follow.

Who writes into a store holds a lock that all writers share, so that a store without a shard is made anew in another
way only where nobody is about to fill it. Where a file system has no locks, a shard is still not put in place before
the manifest was read again.
"""

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.contracts.errors import StoreError, pasteable
from .atomic_files import as_json, os_errors_as_store_error, remove_leftovers
from .file_locks import LOOK_SECONDS, SUFFIX, FileLock, is_held
from .generations.record import (
    GENERATIONS,
    Generation,
    load_manifest,
    load_split_ids,
    remove_shards_of,
    save_manifest,
)
from .manifest import MANIFEST_NAME, Manifest, differences, load_first_manifest

_WRITERS = f"writers{SUFFIX}"
_NAMED_AFTER_FOLDERS = ("folder-", "webdataset-")
"""How the names of data sets begin that are archives of one's own."""
PATIENCE_SECONDS = 20.0
"""How long a run waits for another one that is preparing the store."""


@dataclass(frozen=True)
class Claim:
    """A folder, and the store that shards are made for there."""

    folder: Path
    manifest: Manifest

    def confirm(self) -> None:
        """See that the folder still is that store.

        Raises:
            StoreError: another run has made another store of it since.
        """
        differing = differences(load_manifest(self.folder), self.manifest)
        if differing:
            raise StoreError(
                f"{self.folder} has become another store while this run was at it, which therefore adds nothing more "
                "to it:\n  "
                + "\n  ".join(differing)
                + "\nRun this command again with another folder (--store)."
            )


@contextmanager
def claimed_store(
    folder: Path,
    manifest: Manifest,
    split_ids: Mapping[str, Sequence[str]],
    *,
    alone: bool = True,
    next_generation: Generation | None = None,
) -> Generator[Manifest]:
    """A store that this process may write into, for as long as the context lasts.

    Args:
        folder: the store; made if it is not there.
        manifest: what it is to be.
        split_ids: video ids by split.
        alone: no other job of this run prepares the store now, so one without a shard may be made in another way.
        next_generation: what makes it that, where videos or captions have come, changed or gone. Another job of this
            run may have begun that generation by now.

    Yields:
        The store's manifest: what it was made with stays in it, what has been found since is new.

    Raises:
        StoreError: it is another store, somebody is about to fill it in another way, or it cannot be written.
    """
    with FileLock(folder / _WRITERS, shared=True) as writers:
        with os_errors_as_store_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / (MANIFEST_NAME + SUFFIX)) as deciding:
                _acquire(deciding)
                if next_generation is not None:
                    _begin(folder, next_generation, split_ids)
                stored = _decided(folder, manifest, split_ids, alone=alone)
                _acquire(writers)
        yield stored


@contextmanager
def held_alone(folder: Path) -> Generator[Callable[[], None]]:
    """A store into which nobody else writes, for as long as the context lasts.

    Yields:
        What gives the locks back before that, where the folder is about to be another one.

    Raises:
        StoreError: another process writes into it.
    """
    with FileLock(folder / (MANIFEST_NAME + SUFFIX)) as deciding, FileLock(folder / _WRITERS) as writers:
        _acquire(deciding)
        if not writers.acquire(LOOK_SECONDS):
            raise StoreError(
                f"another process writes into {folder}. Wait until it has ended, and run the same command again"
            )

        def release() -> None:
            writers.release()
            deciding.release()

        yield release


def note_probe(folder: Path, probe: Mapping[str, Any]) -> None:
    """Keep in a store what its encoder made of rendered stills, unless that is known by now.

    Raises:
        StoreError: its manifest cannot be read or written.
    """
    with os_errors_as_store_error(folder), FileLock(folder / (MANIFEST_NAME + SUFFIX)) as deciding:
        _acquire(deciding)
        begun = load_first_manifest(folder)
        if begun.probe is None:
            dataclasses.replace(begun, probe=probe).save(folder)


def _acquire(lock: FileLock) -> None:
    """Take a lock that nobody holds for longer than the reading and writing of a manifest."""
    if not lock.acquire(PATIENCE_SECONDS):
        raise StoreError(
            f"another process has held {lock.path} for {PATIENCE_SECONDS:g} s, which takes a moment: it was stopped, "
            "its disk does not answer, or it is another user's. Wait until it has ended, or end it, and run the same "
            "command again"
        )


def _decided(
    folder: Path, manifest: Manifest, split_ids: Mapping[str, Sequence[str]], *, alone: bool
) -> Manifest:
    """The manifest of the folder, which is this one or agrees with it."""
    remove_leftovers(folder)
    remove_leftovers(folder / GENERATIONS)
    if alone and not any(folder.glob("*.h5")) and _is_nobodys(folder):
        manifest.save(folder, split_ids)
        return manifest
    manifest.claim(folder)
    stored = load_manifest(folder)
    refuse_another_store(folder, stored, manifest)
    # What has been found since; with which packages the store was begun stays in it.
    found = {name: getattr(manifest, name) for name in ("splits", "notes", "preset")}
    extended = dataclasses.replace(stored, **found)
    if _as_written(stored) != _as_written(extended) or not _has_splits(folder, extended):
        save_manifest(folder, extended, split_ids)
    return extended


def _begin(folder: Path, generation: Generation, split_ids: Mapping[str, Sequence[str]]) -> None:
    """Begin a generation, unless another process has begun one since it was planned."""
    if load_manifest(folder).generation >= generation.number:
        return
    if not _is_nobodys(folder):
        raise StoreError(
            f"another process extracts into {folder}, and since it began videos or captions have come, changed or "
            "gone. Wait until it has ended, and run the same command again: it does the rest"
        )
    # Of a generation of this number whose record is lost; nobody knows which rows they hold.
    remove_shards_of(folder, generation.number)
    generation.save(folder, split_ids)


def _has_splits(folder: Path, manifest: Manifest) -> bool:
    try:
        load_split_ids(folder, manifest)
    except StoreError:
        return False
    return True


def _as_written(manifest: Manifest) -> str:
    return as_json(dataclasses.asdict(manifest))


def is_being_written(folder: Path) -> bool:
    """Whether a living process writes into a store; who asks needs no right to write there, and disturbs nobody."""
    return is_held(folder / _WRITERS)


def _is_nobodys(folder: Path) -> bool:
    with FileLock(folder / _WRITERS) as writers:
        return writers.acquire(LOOK_SECONDS)


def refuse_another_store(folder: Path, stored: Manifest, wanted: Manifest) -> None:
    """See that two manifests would make the same features.

    Raises:
        StoreError: they would not; the message says what differs.
    """
    differing = differences(stored, wanted)
    if differing:
        raise StoreError(
            f"the store at {folder} was made in another way and will not be extended:\n  "
            + "\n  ".join(differing)
            + f"\n{_another_name(stored, wanted)}Choose another folder with --store, or delete this one."
        )


def _another_name(stored: Manifest, wanted: Manifest) -> str:
    """What to say of an archive that is named after its folder, where only that has changed."""
    own = next((kind for kind in _NAMED_AFTER_FOLDERS if wanted.dataset.startswith(kind)), None)
    if own is None or not stored.dataset.startswith(own):
        return ""
    if differences(stored, dataclasses.replace(wanted, dataset=stored.dataset)):
        return ""
    name = pasteable(f"name={stored.dataset.removeprefix(own)}")
    return f"If it is the same archive in a folder of another name, add --data {name}. Otherwise: "
