"""What an extraction finds in the workspace of earlier ones like it: shards that are kept, a store by another name."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...data.contracts.errors import StoreError, counted
from ...pipeline.encoders.base import EncoderIdentity
from ...pipeline.extract import makes_the_same
from ...pipeline.options import Request
from ...pipeline.request import extract_command, load_request
from ...pipeline.store.entries import StoreEntry, name_in_workspace
from ...pipeline.store.reader import FeatureStore
from ...pipeline.workspace import Workspace
from ..output.interruptions import typed_command
from .asked_extraction import AskedExtraction
from .chosen_store import holds_store, say


def say_same_store(asked: AskedExtraction, identity: EncoderIdentity, frames_per_batch: int) -> None:
    """Before a store is begun, name another one of the workspace that the same command could go on with: one that was
    renamed is not found by itself.

    Args:
        asked: what is to be extracted.
        identity: of the encoder.
        frames_per_batch: that it would be begun with.
    """
    if asked.store is not None or holds_store(asked.folder(identity)):
        return
    options = replace(asked.options, frames_per_batch=frames_per_batch)
    for entry in asked.place.stores(asked.dataset.name):
        is_alike = entry.manifest is not None and (entry.manifest.model, entry.manifest.limit) == (
            identity.model,
            options.limit,
        )
        if is_alike and makes_the_same(asked.dataset, identity, options, entry.folder):
            again = extract_command(entry.folder) or typed_command("--store", str(entry.folder))
            say(
                f"note: {name_in_workspace(entry.folder)} holds the same archive, made in the same way; to go on with "
                f"it: {again}"
            )
            return


@contextmanager
def shards_kept(place: Workspace, store: Path | None, request: Request, limit: int | None) -> Generator[None]:
    """Until shards are done, which then say more: let Ctrl-C say which are there from before.

    Args:
        place: where stores are.
        store: that was named; None: the workspace's.
        request: what is asked for.
        limit: how many videos are.

    Raises:
        KeyboardInterrupt: with these words, where it came without any.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if str(interrupt):
            raise
        raise KeyboardInterrupt(_kept(place, store, request, limit)) from None


def _kept(place: Workspace, store: Path | None, request: Request, limit: int | None) -> str:
    begun = [entry for entry in place.stores() if _is_of(entry, request, limit)]
    folder = begun[0].folder if store is None and begun else store
    try:
        opened = None if folder is None else FeatureStore.open(folder, complete=False)
    except StoreError:  # nothing was begun there
        opened = None
    if opened is None:
        return ""
    total = len(opened.shard_names("video")) + len(opened.shard_names("text"))
    there = total - len(opened.absent_shards())
    if not there:
        return ""
    return f"kept: {there:,} of {counted(total, 'shard')}; no other one was begun, and nothing is lost"


def _is_of(entry: StoreEntry, request: Request, limit: int | None) -> bool:
    """Whether an extraction of the same data set from the same place, with that encoder, has filled a store."""
    if entry.manifest is None or entry.manifest.limit != limit:
        return False
    try:
        made = load_request(entry.folder)[0]
    except StoreError:
        return False
    wanted = request.for_any_folder()
    return (made.dataset, made.root, made.settings, made.encoder.model, made.encoder.pretrained) == (
        wanted.dataset,
        wanted.root,
        wanted.settings,
        wanted.encoder.model,
        wanted.encoder.pretrained,
    )
