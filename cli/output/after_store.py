"""What comes after a store: what makes it whole where it lacks shards, else what is done with it."""

from collections.abc import Sequence
from pathlib import Path

from ...pipeline.request import extract_command, repair_command
from ...pipeline.store.reader import FeatureStore
from .next_command import print_next, words_after


def completing_words(folder: Path, *, is_damaged: bool) -> str:
    """What makes a store whole, to be typed, and what it is.

    Args:
        folder: of the store.
        is_damaged: whether shards were there that are not any more; else they were never made.
    """
    if is_damaged:
        return f"mend: {repair_command(folder)}"
    return f"to go on: {extract_command(folder) or 'the `tvr extract` that began it, typed again'}"


def print_next_of_store(store: FeatureStore, place: Sequence[str]) -> None:
    """What can be done with a store; nothing where it lacks shards, or no video of it has a frame.

    Args:
        store: as it is.
        place: as for ``words_after``.
    """
    receipts = map(store.receipt_facts, store.shard_names("video"))
    if store.absent_shards() or not any(receipt.rows for receipt in receipts if receipt):
        return
    train = store.manifest.splits.get("train")
    can_train = store.manifest.num_texts > 0 and train is not None and train.found > 0
    print_next(*words_after(store.folder, can_train=can_train, place=place))
