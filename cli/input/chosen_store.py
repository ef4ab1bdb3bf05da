"""Which store a command takes: the one that is named, else the newest, and then it says which.

A store is named by its folder or, as ``tvr stores`` lists it, by its name in the workspace; the name of a data set
stands for its newest store.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ...data.base import Video
from ...data.contracts.errors import TvrError, UsageError, pasteable
from ...data.contracts.file_names import folder_name
from ...pipeline.request import Named, NotAskedHereError, videos_of_store
from ...pipeline.store.entries import StoreEntry, is_begun
from ...pipeline.workspace import Workspace
from ..output.after_store import completing_words
from ..output.interruptions import typed_command
from ..terminal import err
from .of_dataset import refuse_store_of_other
from .offered_stores import again_offered
from .options import is_there


def taken_store(place: Workspace, store: Path | None, dataset: str | None, *, complete: bool = True) -> Path:
    """The store that is named, or the newest of the data set or of all, of which a line is said.

    Args:
        place: where to look.
        store: a folder, or a name in the workspace.
        dataset: of which data set the newest is taken; None: of any.
        complete: whether one is needed that can be trained on.

    Raises:
        StoreError: there is none yet.
        UsageError: nothing has that name, or the store is of another data set than the one that is named.
    """
    if store is not None:
        return named_store(place, store, dataset)
    with again_offered(place, dataset):
        entry = place.find_store(dataset, complete=complete)
    say(f"{store_in_words(entry)}; {'' if dataset else '--dataset or '}--store chooses another")
    say_left_stores(place, entry, dataset)
    return entry.folder


def named_store(place: Workspace, store: Path, dataset: str | None = None) -> Path:
    """The folder of a store that is named by its folder, or by its name in the workspace; of a data set with several,
    the newest, and a line says which.

    Args:
        place: where to look.
        store: a folder, or a name in the workspace.
        dataset: that was named beside it; None: none was.

    Raises:
        UsageError: it is neither, or it is of another data set.
    """
    folder = _named_store(place, store)
    if dataset is not None:
        refuse_store_of_other(folder, dataset)
    return folder


def _named_store(place: Workspace, store: Path) -> Path:
    if holds_store(store) or not place.root.is_dir():
        return store
    if is_there(store) and (store.is_absolute() or not _fits_store(place, store)):
        return store  # who opens it says that it holds none
    with again_offered(place, str(store)):
        if store.is_absolute():
            raise UsageError(
                f"there is no store at {store}: it was renamed, moved or deleted. `tvr stores` lists those that are "
                "there; name one with --store"
            )
        fitting = place.stores_named(str(store))
    if len(fitting) == 1:
        return fitting[0].folder
    folder = place.named_store(str(store))
    taken = next(entry for entry in fitting if entry.folder == folder)
    others = ", ".join(entry.name for entry in fitting if entry.folder != folder)
    say(f"{store_in_words(taken)}; {store} may also be {others}")
    return folder


def begun_store(place: Workspace, store: Path | None, dataset: str) -> Path | None:
    """Where features of a data set go that are to be extracted: the store of the workspace that has that name (as
    ``<dataset>/<folder>``, or ``<folder>``), else the path itself.

    Raises:
        UsageError: several other data sets have a store of that name, and this one has none.
    """
    if store is None or holds_store(store):
        return store
    found = [entry for entry in place.stores() if str(store) in (entry.name, entry.folder.name)]
    own = [entry for entry in found if entry.folder.parent.name == folder_name(dataset)]
    if not own and len(found) > 1:
        raise UsageError(
            f"several data sets have a store {str(store)!r}: write one of "
            f"{', '.join(sorted(entry.name for entry in found))} for --store, or for a new one "
            f"{pasteable(store.absolute())}"
        )
    chosen = own or found
    return chosen[0].folder if chosen else store


def holds_store(folder: Path) -> bool:
    """Whether something of a store is in a folder; any other folder hides no store of its name."""
    try:
        return is_begun(folder)
    except OSError:  # a sentence may be longer than any name
        return False


def _fits_store(place: Workspace, store: Path) -> bool:
    try:
        return bool(place.stores_named(str(store)))
    except UsageError:
        return False


def say_left_stores(place: Workspace, taken: StoreEntry, dataset: str | None) -> None:
    """Say which store would have been the newest, had its extraction ended."""
    for entry in place.stores(dataset):
        if entry.lacking and entry.written > taken.written:
            how = "another process writes it now"
            if not entry.is_being_written:
                how = completing_words(entry.folder, is_damaged=entry.is_damaged)
            say(f"note: {entry.name} of {entry.day} is passed over: {entry.lacking}; {how}")
            return


def store_in_words(entry: StoreEntry) -> str:
    """A store, its encoder and when it was written."""
    return f"{entry.name} ({entry.encoder}, {entry.day})"


def say(line: str) -> None:
    """A line on what was taken."""
    err.print(line, soft_wrap=True)


@contextmanager
def typed_with_places() -> Generator[None]:
    """Where a store of somebody else needs places that nobody typed, offer the whole command that was typed with them.

    Raises:
        NotAskedHereError: as it came, with that command.
    """
    try:
        yield
    except NotAskedHereError as error:
        again = typed_command(*error.left_open)
        raise NotAskedHereError(error.folder, error.left_open, again) from error


def videos_or_note(store: Path, named: Named, command: str, without: str) -> Mapping[str, Video]:
    """The files of a store's data set; none, and the reason as a note, where nobody knows.

    Args:
        store: its folder.
        named: by the person: where they are, if they have moved or the store is somebody else's.
        command: that asks.
        without: what is missing then, in words.
    """
    try:
        with typed_with_places():
            return videos_of_store(store, named, command)
    except TvrError as error:
        say(f"note: {without}: {error}")
        return {}
