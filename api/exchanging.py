"""Features of others into a store, and a store into the layouts of others, from a program."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypedDict, Unpack

from .exchange_request import ForeignFeatures, export_request, import_request, imported_folder
from .opened_store import Store, open_store
from .pipeline.exchange.exporting import ExportSummary, export_store, plan_export
from .pipeline.exchange.importing import import_store, plan_import
from .places import Place, path_or_none, workspace_at
from .shown import bar_a_stage, progress_bar


class ImportOptions(ForeignFeatures, total=False):
    """What ``import_features`` takes, called as the options of ``tvr import-features``."""

    store: Place | None
    """Folder of the new store. Default: one in the workspace."""
    workspace: Place | None
    progress: bool


def import_features(layout: str, path: Place, **options: Unpack[ImportOptions]) -> Store:
    """Make a store of features that others extracted; what was stopped goes on.

    Args:
        layout: ``univtg``, ``npy``, ``clip-video-encode``, ``clip-retrieval`` or ``parquet``.
        path: the folder, or for parquet the file, with features.
        **options: see ``ImportOptions``.

    Raises:
        UsageError: something that the files do not say and nobody has said, or a value that is not allowed.
        DataError: a file is damaged, has other widths, names an id twice or holds a pickle.
        StoreError: the folder holds another store.
    """
    asked: ForeignFeatures = {key: options[key] for key in ForeignFeatures.__annotations__ if key in options}  # pyright: ignore[reportAssignmentType]  # the keys are its own
    planned = plan_import(import_request(layout, Path(path).expanduser(), asked))
    place = workspace_at(options.get("workspace"))
    folder = imported_folder(place, path_or_none(options.get("store")), planned)
    with _stages(shown=options.get("progress", True)) as told:
        import_store(planned, folder, told)
    return Store(folder)


class ExportOptions(TypedDict, total=False):
    """What ``export`` takes, called as the options of ``tvr export``."""

    rows: str | None
    """Of clip-retrieval: a row a ``frame`` (default) or a ``video``."""
    tar: bool
    """Of clip-video-encode: WebDataset tar files."""
    workspace: Place | None
    progress: bool


def export(store: Store | Place, layout: str, path: Place, **options: Unpack[ExportOptions]) -> ExportSummary:
    """Write a store as other tools read features; what was stopped goes on.

    Args:
        store: a store, its folder or its name.
        layout: as of ``import_features``.
        path: a new folder, or one of an export that was stopped.
        **options: see ``ExportOptions``.

    Returns:
        What was written; ``losses`` says what the layout cannot hold.

    Raises:
        UsageError: no such layout, or a value that is not of it.
        StoreError: the folder holds something else, or the store is damaged.
    """
    opened = store if isinstance(store, Store) else open_store(store, workspace=options.get("workspace"))
    request = export_request(
        layout, Path(path).expanduser(), options.get("rows"), tar=options.get("tar", False)
    )
    plan = plan_export(request, opened.features)
    with _stages(shown=options.get("progress", True)) as told:
        return export_store(plan, told)


def _stages(*, shown: bool) -> AbstractContextManager[Callable[[str, int, int], None]]:
    return bar_a_stage(lambda stage: progress_bar(stage, stage, shown=shown))
