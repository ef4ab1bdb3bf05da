"""Splits: the published ones, known by digest, and hold-outs by rule."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..base import Split
from ..contracts.errors import DataError, counted

OWN_LIST = "(own list)"
"""In the source of a split that is not the published one."""


@dataclass(frozen=True, slots=True)
class PublishedSplit:
    """What is known of a split that everybody reports on."""

    count: int
    digest: str
    """``Split.digest`` of the published ids."""


@dataclass(frozen=True, slots=True)
class CheckedSplit:
    """A split held to what is published, and what a reader of its figures must know."""

    split: Split
    notes: tuple[str, ...] = ()


def checked_split(
    name: str, ids: Iterable[str], source: str, published: Sequence[PublishedSplit], *, own_lists: bool
) -> CheckedSplit:
    """The split of these ids, if they are the published ones or if own lists are allowed.

    Args:
        name: ``train``, ``val`` or ``test``.
        ids: the ids of the split, in order.
        source: the file they come from, for messages.
        published: the published split; the first is the usual one, others are known variants.
        own_lists: whether another list is taken, with a note that goes with every figure.

    Raises:
        DataError: the ids are not the published ones.
    """
    split = Split(tuple(ids), published[0].count, source)
    known = next((one for one in published if one.digest == split.digest), None)
    if known:
        return CheckedSplit(Split(split.video_ids, known.count, source))
    usual = published[0].count
    differs = (
        f"{source}: the {name} split is not the published one: {len(split.video_ids):,} ids where {usual:,} "
        f"are published (digest {split.digest[:12]}, published {published[0].digest[:12]})"
    )
    if not own_lists:
        raise DataError(
            f"{differs}. Put the published file in its place; or, to use your own list and have every table say "
            "so, give --data own_lists=true"
        )
    return CheckedSplit(Split(split.video_ids, usual, f"{source} {OWN_LIST}"), (differs,))


def held_out(ids: Sequence[str], count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids without ``count`` of them, and those: the ones whose sha256 is smallest. No seed is needed."""
    chosen = set(sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())[:count])
    return tuple(id for id in ids if id not in chosen), tuple(id for id in ids if id in chosen)


def with_validation(train: CheckedSplit, held: Sequence[str], rule: str) -> dict[str, CheckedSplit]:
    """The training split without the held-out videos, and those as validation split.

    Args:
        train: the published training split.
        held: ids of it that are held out.
        rule: how they were chosen, in words.
    """
    chosen = set(held)
    rest = tuple(id for id in train.split.video_ids if id not in chosen)
    whole = f"{train.split.source} ({counted(len(train.split.video_ids), 'video')})"
    note = (
        f"train: {len(rest):,} of {counted(len(train.split.video_ids), 'published training video')}; "
        f"{len(held):,} are held out for validation: {rule} (--data validation=none trains on all)"
    )
    expected = train.split.expected - len(held)
    return {
        "train": CheckedSplit(
            Split(rest, expected, f"{whole} less {len(held):,} for validation"), (*train.notes, note)
        ),
        "val": CheckedSplit(
            Split(tuple(held), len(held), f"{counted(len(held), 'video')} of {whole}: {rule}")
        ),
    }


def fraction_of(key: str) -> float:
    """Where a key falls between 0 and 1, by the first 64 bits of its sha256: the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64


PART_BOUNDS = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}
"""Which fractions go to which split where a data set has none of its own."""


def part_of(key: str) -> str:
    """The split of a key by its digest alone."""
    fraction = fraction_of(key)
    return "train" if fraction < 0.8 else "val" if fraction < 0.9 else "test"


def parts_by_digest(keys: Iterable[str]) -> dict[str, str]:
    """The split of each key: by its digest alone, so that a video keeps its split when others are added.

    Only where a split would be empty does the key nearest to it move there. Fewer than three keys all train.
    """
    parts = {key: part_of(key) for key in keys}
    if len(parts) < len(PART_BOUNDS):
        return dict.fromkeys(parts, "train")
    sizes = Counter(parts.values())
    for part, (low, high) in PART_BOUNDS.items():
        if not sizes[part]:
            largest = sizes.most_common(1)[0][0]
            donors = [key for key, owner in parts.items() if owner == largest]
            moved = min(donors, key=lambda key: abs(fraction_of(key) - (low + high) / 2))
            parts[moved] = part
            sizes.update({largest: -1, part: 1})
    return parts
