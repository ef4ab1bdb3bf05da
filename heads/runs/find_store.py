"""The features a run was trained on, found again wherever run and store have gone."""

from collections.abc import Iterator
from pathlib import Path

from ...data.contracts.errors import StoreError
from ...pipeline.store.manifest import MANIFEST_NAME
from ...pipeline.store.reader import FeatureStore
from .run_folder import RunRecord

DEPTH = 4
"""How many folders above a run are searched for a store: a run lies in workspace/runs/dataset/name."""


def run_store(run: Path, record: RunRecord, store: Path | None = None) -> FeatureStore:
    """The store a run was trained on, or another of the same encoder that is named.

    Looked for where the user says; else where it lay relative to the run when that was trained, where it lay
    absolutely, and in the workspaces around the run.

    Raises:
        StoreError: it is in none of these places, or its features are another encoder's.
    """
    if store is not None:
        opened = FeatureStore.open(store)
        _check_encoder(opened, record)
        return opened
    for folder in _places(run, record):
        if (folder / MANIFEST_NAME).is_file():
            opened = FeatureStore.open(folder)
            if _is_same(opened, record):
                return opened
    raise StoreError(
        f"the features that {run} was trained on ({record.store.get('dataset', 'unknown data set')}) are neither at "
        f"{record.store.get('path', 'a known place')} nor near the run. Name their folder with --store."
    )


def _places(run: Path, record: RunRecord) -> Iterator[Path]:
    if "relative_path" in record.store:
        yield run / record.store["relative_path"]
    if "path" in record.store:
        yield Path(record.store["path"])
    for above in list(run.resolve().parents)[:DEPTH]:
        yield from (manifest.parent for manifest in sorted(above.glob(f"features/*/*/{MANIFEST_NAME}")))


def _is_same(store: FeatureStore, record: RunRecord) -> bool:
    manifest = store.manifest
    return (
        manifest.encoder["weights_digest"] == record.store["encoder"]["weights_digest"]
        and manifest.dataset == record.store["dataset"]
    )


def _check_encoder(store: FeatureStore, record: RunRecord) -> None:
    trained, found = record.store["encoder"]["weights_digest"], store.manifest.encoder["weights_digest"]
    if trained != found:
        raise StoreError(
            f"{store.folder} holds features of {store.manifest.model} {store.manifest.pretrained} (weights "
            f"{found[:12]}), the head was trained on weights {trained[:12]}: its scores would mean nothing"
        )
