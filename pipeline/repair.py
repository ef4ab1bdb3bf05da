"""Mending a store: what is damaged is extracted again, what is whole is not touched."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.base import Dataset
from ..data.contracts.errors import StoreError, counted
from .extract import extract
from .growth.planning import listing_of
from .plan import Plan, manifest_of, plan_extraction
from .progress import OnProgress
from .request import NOTHING_NAMED, Named, request_to_repair, requested_dataset
from .store.claim import refuse_another_store
from .store.generations.record import GENERATIONS, load_manifest
from .store.manifest import Manifest, differences
from .store.receipts import Receipt, load_receipt, receipt_path
from .store.verification import Damage, Verification, verify
from .trust.changes import difference_of


@dataclass(frozen=True, slots=True)
class Repair:
    """What was mended."""

    mended: tuple[Damage, ...]
    """What was damaged and is whole again."""
    changed: tuple[str, ...]
    """Shards whose bytes are not those first written: a video, a library or the machine is another one now."""


def repair(
    found: Verification, named: Named = NOTHING_NAMED, on_progress: OnProgress = lambda progress: None
) -> Repair:
    """Extract again exactly what ``verify`` found damaged.

    Args:
        found: the answer of ``verify``.
        named: by the person: what is elsewhere now, and what a store of somebody else must not name itself.
        on_progress: called often, from this thread.

    Raises:
        StoreError: the store does not know how it was made; or annotations, weights or options are no longer those
            it was made with; or videos of a damaged shard, whose features it had, are not on the disk, or are other
            files now.
        UsageError: the store names files of this machine, and this user did not.
    """
    folder, damages = found.folder, found.damages
    if not damages:
        return Repair((), ())
    request, options = request_to_repair(folder, named)
    dataset, encoder = requested_dataset(request), request.encoder.load()
    plan = plan_extraction(dataset, options)
    manifest = manifest_of(dataset, encoder.identity, plan, options)
    _remove_damaged_records(folder, damages)
    stored = _stored_manifest(folder)
    if stored is not None and _has_changed(stored, manifest, dataset):
        refuse_another_store(folder, stored, listing_of(stored, manifest))
        _refuse_to_lose_wanted(folder, damages, dataset)
        _remove_shards(folder, damages)
        options = dataclasses.replace(options, request=request)
        extract(dataset, encoder, options, folder, on_progress=on_progress)
        return Repair(damages, ())
    if stored is None:
        manifest.save(folder, plan.split_ids)
        # Only now is it known which shards there must be.
        damages = tuple(dict.fromkeys(damages + verify(folder).damages))
    else:
        refuse_another_store(folder, stored, manifest)
    shards = [damage.file for damage in damages if damage.is_shard]
    before = {name: _receipt(folder / name) for name in shards}
    _refuse_to_lose(plan, before, stored, manifest)
    _refuse_other_files(plan, before, manifest)
    options = dataclasses.replace(options, only=frozenset(shards), request=request)
    extract(dataset, encoder, options, folder, on_progress=on_progress)
    return Repair(damages, tuple(name for name in shards if _differs(folder / name, before[name])))


def _stored_manifest(folder: Path) -> Manifest | None:
    try:
        return load_manifest(folder)
    except StoreError:
        return None


def _has_changed(stored: Manifest, wanted: Manifest, dataset: Dataset) -> bool:
    """Whether shards are not those of a plan of all that there is: then what is damaged is made as what is new is."""
    return stored.generation > 0 or (dataset.is_archive and bool(differences(stored, wanted)))


def _remove_damaged_records(folder: Path, damages: Sequence[Damage]) -> None:
    """Remove records of generations that are not what was written: what these held is extracted anew."""
    for damage in damages:
        if damage.file.startswith(f"{GENERATIONS}/"):
            (folder / damage.file).unlink(missing_ok=True)


def _remove_shards(folder: Path, damages: Sequence[Damage]) -> None:
    for damage in damages:
        if damage.is_shard:
            receipt_path(folder / damage.file).unlink(missing_ok=True)
            (folder / damage.file).unlink(missing_ok=True)


def _refuse_to_lose_wanted(folder: Path, damages: Sequence[Damage], dataset: Dataset) -> None:
    """Refuse to give up features of videos that are still wanted and whose files are not there, or are others now."""
    for damage in damages:
        receipt = _receipt(folder / damage.file) if damage.is_shard else None
        for i in receipt.files if receipt else ():
            video, stored = dataset.videos.get(i), receipt.file_of(i) if receipt else None
            if video is not None and video.path is None:
                raise _would_be_lost(1, i)
            if video is not None and video.path and stored and (told := difference_of(stored, video.path)):
                raise _would_be_others({i: told})


def _receipt(shard: Path) -> Receipt | None:
    """The receipt if it can be trusted, though the shard cannot."""
    try:
        return load_receipt(shard)
    except (OSError, ValueError):
        return None


def _refuse_to_lose(
    plan: Plan, receipts: Mapping[str, Receipt | None], stored: Manifest | None, wanted: Manifest
) -> None:
    """Refuse to put rows without features where the store had features.

    Which videos were missing from the start is in a shard's receipt. Where that is damaged too, no more videos may be
    missing from the whole data set than were when the store was made.
    """
    lost: list[str] = []
    fewer = stored is None or _num_found(stored) > _num_found(wanted)
    for shard in plan.video_shards:
        if shard.name in receipts:
            receipt = receipts[shard.name]
            absent = [video.id for video in shard.videos if video.path is None]
            lost += [i for i in absent if (i not in receipt.missing if receipt else fewer)]
    if lost:
        raise _would_be_lost(len(lost), lost[0])


def _would_be_lost(count: int, first: str) -> StoreError:
    return StoreError(
        f"the disk lacks {counted(count, 'video')} of damaged shards, the first is {first!r}: the store "
        "cannot be mended without a loss. Say with --root where what is lacking is, or delete the damaged shards "
        "and run `tvr extract`: such videos then become rows 'file not found'"
    )


def _refuse_other_files(plan: Plan, receipts: Mapping[str, Receipt | None], manifest: Manifest) -> None:
    """Refuse to put features of other files in the place of those that were damaged, as far as receipts tell."""
    found: dict[str, str] = {}
    for shard in plan.video_shards:
        receipt = receipts.get(shard.name)
        if receipt is None or not receipt.is_of(manifest):
            continue
        for video in shard.videos:
            stored = receipt.file_of(video.id)
            if stored and video.path and (difference := difference_of(stored, video.path)):
                found[video.id] = difference
    if found:
        raise _would_be_others(found)


def _would_be_others(differing: Mapping[str, str]) -> StoreError:
    video, difference = next(iter(differing.items()))
    return StoreError(
        f"{counted(len(differing), 'video')} of damaged shards changed since the extraction: other files are "
        f"there now, such as that of {video!r}: {difference}. Say where the right ones are with --root, or delete "
        "the damaged shards with their receipts (.json) and run `tvr extract --retry changed`: it takes those "
        "that are there"
    )


def _num_found(manifest: Manifest) -> int:
    return sum(split.found for split in manifest.splits.values())


def _differs(shard: Path, before: Receipt | None) -> bool:
    after = load_receipt(shard)
    return before is not None and before.sha256 != after.sha256
