"""Mending a store: what is damaged is extracted again, what is whole is not touched."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..data.contracts.errors import StoreError, counted
from .extract import extract
from .plan import Plan, manifest_of, plan_extraction
from .progress import OnProgress
from .request import NOTHING_NAMED, Named, request_to_repair, requested_dataset
from .store.claim import refuse_another_store
from .store.generations.record import load_manifest
from .store.manifest import Manifest
from .store.receipts import Receipt, load_receipt
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
    stored = _stored_manifest(folder)
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
        raise StoreError(
            f"the disk lacks {counted(len(lost), 'video')} of damaged shards, the first is {lost[0]!r}: the store "
            "cannot be mended without a loss. Say with --root where what is lacking is, or delete the damaged shards "
            "and run `tvr extract`: such videos then become rows 'file not found'"
        )


def _refuse_other_files(plan: Plan, receipts: Mapping[str, Receipt | None], manifest: Manifest) -> None:
    """Refuse to put features of other files in the place of those that were damaged, as far as receipts tell."""
    differences: dict[str, str] = {}
    for shard in plan.video_shards:
        receipt = receipts.get(shard.name)
        if receipt is None or not receipt.is_of(manifest):
            continue
        for video in shard.videos:
            stored = receipt.file_of(video.id)
            if stored and video.path and (difference := difference_of(stored, video.path)):
                differences[video.id] = difference
    if differences:
        video, difference = next(iter(differences.items()))
        raise StoreError(
            f"{counted(len(differences), 'video')} of damaged shards changed since the extraction: other files are "
            f"there now, such as that of {video!r}: {difference}. Say where the right ones are with --root, or delete "
            "the damaged shards with their receipts (.json) and run `tvr extract --retry changed`: it takes those "
            "that are there"
        )


def _num_found(manifest: Manifest) -> int:
    return sum(split.found for split in manifest.splits.values())


def _differs(shard: Path, before: Receipt | None) -> bool:
    after = load_receipt(shard)
    return before is not None and before.sha256 != after.sha256
