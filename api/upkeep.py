"""What keeps a store in order, from a program."""

from .opened_store import Store, open_store
from .pipeline.growth import compaction
from .pipeline.growth.compaction import Compaction
from .pipeline.store import verification
from .pipeline.store.generations.record import load_manifest
from .pipeline.store.verification import Verification
from .places import Place, store_folder_of, workspace_at
from .shown import progress_bar


def verify(
    store: Store | Place | None = None, *, workspace: Place | None = None, progress: bool = True
) -> Verification:
    """Compare every shard of a store with the sha256 in its receipt: ``damages`` is empty where all is whole.

    Args:
        store: a store, its folder or its name; None: the newest.
        workspace: where names are looked for.
        progress: whether a bar is shown.

    Raises:
        StoreError: there is no store.
    """
    place = workspace_at(workspace)
    if isinstance(store, Store):
        folder = store.folder
    else:
        folder = (
            place.find_store(None, complete=False).folder if store is None else store_folder_of(place, store)
        )
    load_manifest(folder)
    with progress_bar("verifying", "files", shown=progress) as done:
        return verification.verify(folder, done)


def compact(
    store: Store | Place | None = None, *, workspace: Place | None = None, progress: bool = True
) -> Compaction:
    """Write a store that has grown anew, as if it had been extracted at once; nothing is encoded.

    Args:
        store: a store, its folder or its name; None: the newest. One that is open has to be opened again.
        workspace: where names are looked for.
        progress: whether a bar is shown.

    Raises:
        StoreError: it is damaged, another process writes it, or there is no room for both.
    """
    folder = (store if isinstance(store, Store) else open_store(store, workspace=workspace)).folder
    with progress_bar("compacting", "shards", shown=progress) as done:
        return compaction.compact_store(folder, done)
