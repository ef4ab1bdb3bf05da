"""``--dataset`` beside the name of a store or a run: where they disagree, none of the two is taken."""

from collections.abc import Mapping
from pathlib import Path

from ...data.contracts.errors import StoreError, UsageError
from ...data.contracts.file_names import folder_name
from ...pipeline.store.entries import name_in_workspace
from ...pipeline.store.generations.record import load_manifest


def refuse_store_of_other(folder: Path, dataset: str) -> None:
    """See that a store is of the data set that is named beside it.

    Raises:
        UsageError: it is of another one.
    """
    try:
        made_of = load_manifest(folder).dataset
    except StoreError:  # who opens it is told
        return
    refuse_other_dataset("store", {name_in_workspace(folder.absolute()): made_of}, dataset)


def refuse_other_dataset(
    kind: str, found: Mapping[str, str], dataset: str, instead: str = "", verb: str = "is of"
) -> None:
    """See that something that is named is of the data set that is named beside it: which of the two counts is nothing
    to guess.

    Args:
        kind: what is named, in a word.
        found: what the name fits, and the data set of each.
        dataset: as it was typed.
        instead: what else can be done than to leave --dataset out.
        verb: how it belongs to its data set.

    Raises:
        UsageError: none of them is of that one.
    """
    if found and folder_name(dataset) not in map(folder_name, found.values()):
        belong = ", ".join(f"{kind} {name} {verb} {of}" for name, of in found.items())
        raise UsageError(
            f"{belong}, and --dataset says {dataset}: leave --dataset out, or {instead or f'name another {kind}'}"
        )
