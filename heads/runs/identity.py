"""Whether a run is the one that is asked for, and whether a store holds the features that it was trained on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...data.contracts.identity import Difference, differing_settings
from ...pipeline.store.manifest import decides_no_feature
from ..features.from_store import CONTENT_DIGEST

Settings = Mapping[str, Any]

STORE_DIGEST = "store-digest"
"""What a file of options calls ``store_digest`` of the store that it names."""

_STORE = "store."
_PLACES = {"path", "relative_path"}
_COUNTS = {"generation", "videos", "texts"}
"""Of a store: what it was when a run was trained, for who reads it; by the digests it is known."""
_OF_MACHINE = {"versions", "training.device", "training.wandb"}
"""What may change between the start of a run and its resumption, beside the place of its store."""

_GROW = ("encoder", "sampling")
"""Settings of a store that have come to hold more from version to version: what a run does not say, it cannot deny."""

_OF_GROWTH = {"protocol", "annotation_digests", "splits"}
"""What changes where videos and captions come and go."""

_OF_DATASET = {"dataset", "protocol", "annotation_digests", "splits", "normalisation", "limit"}
"""What tells the videos and texts of a store, not how features are made of them."""


def run_differences(stored: Settings, wanted: Settings) -> list[str]:
    """One line for each thing that makes two runs' records differ, as far as an older version recorded it.

    Args:
        stored: what ``config.json`` says, or a part of it.
        wanted: the same of the run that is asked for.
    """
    known = {**wanted, "store": _as_far_as_recorded(stored["store"], wanted["store"])}
    told = {**stored, "store": _completed(stored["store"])}
    found = differing_settings(told, known, _of_no_consequence)
    return [
        f"{each.name} is {each.shown[0]} there and {each.shown[1]} here" + _remark(each) for each in found
    ]


def store_differences(
    recorded: Settings, store: Settings, *, other_dataset: bool = False, has_grown: bool = False
) -> list[str]:
    """One line for each thing by which a store is not the one that a run was trained on, its shards' bytes apart.

    Args:
        recorded: what the run says of its store.
        store: ``identity_of`` the one that was found.
        other_dataset: whether it may hold other videos and texts; then only how features are made counts.
        has_grown: whether it was that one, and videos or texts have come, changed or gone since.
    """
    apart = {CONTENT_DIGEST, *_COUNTS, *(_OF_DATASET if other_dataset else _OF_GROWTH if has_grown else ())}
    told, known = (
        {name: value for name, value in some.items() if name not in apart}
        for some in (_completed(recorded), _as_far_as_recorded(recorded, store))
    )
    found = differing_settings(told, known, lambda name: _of_no_consequence(_STORE + name))
    return [
        f"{each.name}: the run was trained on {each.shown[0]}, the store has {each.shown[1]}"
        for each in found
    ]


def unrecorded(recorded: Settings, store: Settings) -> list[str]:
    """What is known of a store, and an older version of tvr did not write down when it trained."""
    return sorted(set(_completed(store)) - set(_completed(recorded)) - _PLACES - _COUNTS)


def settings_digest(settings: Settings) -> str:
    """sha256 of everything that ``run_differences`` compares."""
    text = json.dumps(_of_consequence(settings, ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def store_digest(store: Settings) -> str:
    """sha256 by which options in a file know a store again whose folder was renamed: of its features' bytes, and of the
    videos of each split.

    Args:
        store: ``identity_of`` it, or what a run says of it.
    """
    told = {name: store.get(name) for name in (CONTENT_DIGEST, "dataset", "protocol", "splits")}
    return settings_digest({_STORE.removesuffix("."): told})


def _as_far_as_recorded(recorded: Settings, store: Settings) -> Settings:
    """Of a store, what the run's record speaks of. A record of no store at all denies every one."""
    if not recorded:
        return store
    store = _completed(store)
    known: dict[str, Any] = {name: store.get(name) for name in _completed(recorded)}
    for name in _GROW:
        told, value = recorded.get(name), known.get(name)
        if isinstance(told, Mapping) and isinstance(value, Mapping):
            known[name] = {key: value.get(key) for key in told}
    return known


def _completed(store: Settings) -> Settings:
    """With what was so before there was a choice."""
    return {"pixels": "stored", "resize": "exact", **store} if store else store


def _of_no_consequence(name: str) -> bool:
    if not name.startswith(_STORE):
        return name in _OF_MACHINE
    return name.removeprefix(_STORE) in _PLACES | _COUNTS or decides_no_feature(name)


def _of_consequence(settings: Settings, prefix: str) -> dict[str, Any]:
    return {
        name: _of_consequence(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
        for name, value in settings.items()
        if not _of_no_consequence(prefix + name)
    }


def _remark(difference: Difference) -> str:
    is_content = difference.name == _STORE + CONTENT_DIGEST
    return " (videos were extracted again since)" if is_content else ""


def in_one_line(lines: Sequence[str]) -> str:
    """Differences as a part of a sentence; many of them are cut short."""
    shown = "; ".join(lines[:5])
    return shown + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")
