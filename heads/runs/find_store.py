"""The features a run was trained on, found again wherever run and store have gone."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...data.contracts.errors import StoreError, counted
from ...pipeline.store.generations.record import earlier_digests, load_manifest
from ...pipeline.store.manifest import MANIFEST_NAME, Manifest
from ...pipeline.store.reader import FeatureStore
from ...pipeline.workspace import Workspace
from ..features.from_store import CONTENT_DIGEST, feature_settings, identity_of
from .identity import in_one_line, store_differences, store_digest, unrecorded
from .kept_extraction import extract_again_command
from .run_folder import RunRecord

DEPTH = 4
"""How many folders above a run are searched for a store: a run lies in workspace/runs/dataset/name."""


def run_store(run: Path, record: RunRecord, store: Path | None = None) -> FeatureStore:
    """The store a run was trained on, or another of the same encoder that is named.

    Looked for where the user says; else where it lay relative to the run when that was trained, where it lay
    absolutely, and in the workspaces around the run. There it is known by its encoder, sampling, annotations, splits
    and whatever else decides its features, as far as the run says; of several that are alike, the one with the same
    bytes is taken.

    Raises:
        StoreError: it is there and cannot be used, and the message says why; it is in none of these places, and the
            message says by what those differ that are there; or the features of the one that was named are another
            encoder's.
    """
    if store is not None:
        opened = FeatureStore.open(store)
        _check_encoder(opened, record)
        return opened
    recorded = {place.resolve(): None for place in _recorded_places(run, record)}
    found = _Found(record, recorded)
    for folder in recorded | {place.resolve(): None for place in _places_around(run)}:
        if (folder / MANIFEST_NAME).is_file() and found.is_settled_by(folder):
            break
    if found.best is not None:
        return found.best
    if found.unusable:
        raise StoreError("\n".join([*found.unusable, f"{run} was trained on these features"]))
    raise StoreError("\n".join([_gone(run, record), *found.others]))


def stores_of(run: Path, record: RunRecord) -> Iterator[Path]:
    """The folders in which ``run_store`` finds the features of a run, or says what is wrong with them, by what the
    stores there say of themselves; none where they are gone."""
    recorded = {place.resolve(): None for place in _recorded_places(run, record)}
    for folder in recorded | {place.resolve(): None for place in _places_around(run)}:
        if not (folder / MANIFEST_NAME).is_file():
            continue
        try:
            if not differences_from(record.store, folder, load_manifest(folder)):
                yield folder
        except StoreError:
            if folder in recorded:
                yield folder


def differences_from(recorded: Mapping[str, Any], folder: Path, manifest: Manifest) -> list[str]:
    """One line for each thing by which a store is not the one that a run was trained on, nor has grown from that.

    Raises:
        StoreError: what the store says of what it was before cannot be read.
    """
    has_grown = recorded.get(CONTENT_DIGEST) in earlier_digests(folder)
    return store_differences(recorded, feature_settings(manifest), has_grown=has_grown)


def has_another_store(run: Path, record: RunRecord) -> bool:
    """Whether a store lies where that of a run lay; asked where it is not the one."""
    return any((place / MANIFEST_NAME).is_file() for place in _recorded_places(run, record))


def _gone(run: Path, record: RunRecord) -> str:
    """That the features of a run are not there, and how they come back."""
    again = extract_again_command(run, record.store)
    where = record.store.get("path", "a known place")
    said = (
        f"the features that {run} was trained on ({record.store.get('dataset', 'unknown data set')}) are neither at "
        f"{where} nor near the run. Name their folder with --store"
    )
    if again is None:
        return f"{said}, or make them again with the `tvr extract` that made them."
    return f"{said}, or make them again: {again}"


def renamed_store(place: Workspace, digest: str) -> Path | None:
    """The store of a workspace that has this ``store_digest``, whatever its folder is called now; None if not exactly
    one has it.
    """
    whole = [entry.folder for entry in place.stores() if not entry.lacking]
    found = [folder for folder in whole if store_digest(identity_of(FeatureStore.open(folder))) == digest]
    return found[0] if len(found) == 1 else None


def store_notes(record: RunRecord, store: FeatureStore) -> list[str]:
    """What who reads a figure must know where a run is scored on other features than it was trained on, or where
    nobody can tell."""
    recorded, found = record.store, identity_of(store)
    if not recorded:
        return ["the run does not say what features it was trained on"]
    other = recorded.get("dataset") != found["dataset"]
    notes = [f"trained on {recorded.get('dataset')}, scored on {found['dataset']}"] if other else []
    before = earlier_digests(store.folder)
    has_grown = recorded.get(CONTENT_DIGEST) in before
    notes += store_differences(recorded, found, other_dataset=other, has_grown=has_grown)
    if has_grown:
        # Its last digest before it was compacted: then the rows are the same.
        is_compacted = store.generation is None and recorded.get(CONTENT_DIGEST) == before[-1]
        notes += [] if is_compacted else [_growth_note(recorded, found)]
    elif not notes and recorded.get(CONTENT_DIGEST, found[CONTENT_DIGEST]) != found[CONTENT_DIGEST]:
        notes.append("features of the store were extracted again since the run was trained on them")
    if unknown := [name for name in unrecorded(recorded, found) if not (other and name == CONTENT_DIGEST)]:
        notes.append(
            f"an earlier version trained the run and did not keep {', '.join(unknown)}: whether the store has the same "
            "cannot be checked"
        )
    return notes


def _growth_note(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    then, now = (
        [
            counted(store[name], noun)
            for name, noun in (("videos", "video"), ("texts", "caption"))
            if isinstance(store.get(name), int)
        ]
        for store in (recorded, found)
    )
    of_then = f" with {' and '.join(then)}" if then else ""
    return (
        f"the store has changed since the run was trained on generation {recorded.get('generation', 0)} of it"
        f"{of_then}: now it has {' and '.join(now)}"
    )


class _Found:
    """The best of the stores that were looked at, and why the others are not it."""

    def __init__(self, record: RunRecord, places: Collection[Path]) -> None:
        self._recorded, self._places = record.store, places
        self.best: FeatureStore | None = None
        self.unusable: list[str] = []
        """Why stores cannot be read that are the one, by what they say of themselves or by where they lie."""
        self.others: list[str] = []

    def is_settled_by(self, folder: Path) -> bool:
        """Look at one more store; whether no other one can be better."""
        try:
            manifest = load_manifest(folder)
            differing = differences_from(self._recorded, folder, manifest)
            if differing:
                if manifest.dataset == self._recorded.get("dataset"):
                    self.others.append(f"{folder} is another store: {in_one_line(differing)}")
                return False
        except StoreError as error:
            (self.unusable if folder in self._places else self.others).append(str(error))
            return False
        try:
            opened = FeatureStore.open(folder)
        except StoreError as error:
            self.unusable.append(str(error))
            return False
        self.best = self.best or opened
        if self._recorded.get(CONTENT_DIGEST, opened.digest) != opened.digest:
            return False
        self.best = opened
        return True


def _recorded_places(run: Path, record: RunRecord) -> Iterator[Path]:
    # Of a run of a stranger these may be anything.
    if isinstance(relative := record.store.get("relative_path"), str):
        yield run / relative
    if isinstance(path := record.store.get("path"), str):
        yield Path(path)


def _places_around(run: Path) -> Iterator[Path]:
    for above in list(run.resolve().parents)[:DEPTH]:
        yield from (manifest.parent for manifest in sorted(above.glob(f"features/*/*/{MANIFEST_NAME}")))


def _check_encoder(store: FeatureStore, record: RunRecord) -> None:
    encoder, found = record.store.get("encoder"), str(store.manifest.encoder["weights_digest"])
    trained = encoder.get("weights_digest") if isinstance(encoder, Mapping) else None
    if trained == found:
        return
    weights = f"weights {str(trained)[:12]}" if trained else "weights that its run does not name"
    raise StoreError(
        f"{store.folder} holds features of {store.manifest.model} {store.manifest.pretrained} (weights "
        f"{found[:12]}), the head was trained on {weights}: its scores would mean nothing"
    )
