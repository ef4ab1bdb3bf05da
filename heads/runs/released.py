"""Weights that a head's authors released, under the names this project gives them.

A head file says how its parameters were called in the release: ``RELEASED_NAMES`` maps a regular expression
over released names to the name here (``\\1`` stands for its first group), or to ``""`` for a weight that
provably changes no similarity and therefore has no place here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ...data.contracts.errors import WeightsError
from ...data.contracts.plug_ins import load_plug_in, plug_in_names
from ..base import Head

POSITIONS = "positions"
"""Tables of learned positions are cut to the positions a head has: the rest is never read."""

CLIP_ALONE = "token_embedding.weight"
"""In the checkpoint of a head, what is CLIP's own has ``clip.`` before it."""

LAYER = re.compile(r"(?:^|\.)blocks\.\d+\.")


@dataclass(frozen=True, slots=True)
class Renamed:
    """A released state dict sorted into what a head takes and what it does not."""

    weights: Mapping[str, Tensor]
    """By the names of this project."""
    without_effect: tuple[str, ...]
    """Released names of weights that change no similarity."""
    of_others: tuple[str, ...]
    """Released names that belong to no part of this head, such as the encoder's."""


def renamed(head: str, released: Mapping[str, Tensor]) -> Renamed:
    """Sort a released state dict by the rules of the head's file.

    Raises:
        WeightsError: the head has no rules, because no weights of it were released.
    """
    rules: Mapping[str, str] | None = getattr(load_plug_in("tvr.heads", head), "RELEASED_NAMES", None)
    if rules is None:
        raise WeightsError(
            f"no released checkpoint is known for the head {head!r}: its file declares no RELEASED_NAMES. "
            "Add them there, or train the head with 'tvr train-head'."
        )
    weights: dict[str, Tensor] = {}
    without_effect: list[str] = []
    of_others: list[str] = []
    for name, value in released.items():
        target = _target(name.removeprefix("module."), rules)
        if target is None:
            of_others.append(name)
        elif target == "":
            without_effect.append(name)
        else:
            weights[target] = value
    return Renamed(weights, tuple(without_effect), tuple(of_others))


def _target(name: str, rules: Mapping[str, str]) -> str | None:
    for pattern, target in rules.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(target)
    return None


def load_released(
    head: Head, name: str, released: Mapping[str, Tensor], *, lowest_layers: bool = False
) -> Renamed:
    """Fill a head with released weights, every parameter of it.

    Args:
        name: the head's name, whose file holds the rules.
        released: the state dict as its authors saved it.
        lowest_layers: leave transformer layers above the head's highest where they are.

    Raises:
        WeightsError: a parameter of the head is not among the released weights, or has another shape, or the
            release holds more layers than the head, or is another head's.
    """
    found = renamed(name, released)
    found = replace(found, weights=head.unpacked(found.weights))
    buffers = {key: value for key, value in head.named_buffers() if key in found.weights}
    wanted = {**dict(head.named_parameters()), **buffers}
    missing = sorted(wanted.keys() - found.weights.keys())
    surplus = sorted(found.weights.keys() - wanted.keys())
    if lowest_layers:
        surplus = [key for key in surplus if not LAYER.search(key)]
    others = "" if lowest_layers else _of_another_head(name, released)
    if missing or surplus or others:
        raise WeightsError(
            f"the checkpoint does not fit the head {name!r} as configured. Missing in it: {_few(missing)}; "
            f"without a place in the head: {_few(surplus)}. {others or _what_to_check(name, found)}"
        )
    fitting = {key: _fitting(key, found.weights[key], place) for key, place in wanted.items()}
    for key, place in wanted.items():
        place.data.copy_(fitting[key])
    return found


def _of_another_head(name: str, released: Mapping[str, Tensor]) -> str:
    """That a CLIP is all it is, or that a head has a place for more of the weights than this one: it would be imported
    for what it is not."""
    if any(key.removeprefix("module.") == CLIP_ALONE for key in released):
        return (
            "It is a CLIP without a head: --head seq_transformer --lowest-layers starts from the lowest layers of its "
            "text tower, as CLIP4Clip does, and nothing else does."
        )
    places = {other: _places(other, released) for other in plug_in_names("tvr.heads")}
    likely = max(places, key=lambda other: places[other])
    if places[likely] <= places[name]:
        return ""
    return f"It is rather one of {likely}: --head {likely} has a place for {places[likely]} of its tensors."


def _what_to_check(name: str, found: Renamed) -> str:
    if found.weights or found.without_effect:
        return "Check the head's name and settings (its layers first)."
    return f"It is no checkpoint of {name}: it holds {_few(sorted(found.of_others))}."


def _places(head: str, released: Mapping[str, Tensor]) -> int:
    """How many released weights the rules of a head speak of."""
    rules = getattr(load_plug_in("tvr.heads", head), "RELEASED_NAMES", {})
    return sum(_target(name.removeprefix("module."), rules) is not None for name in released)


def _fitting(name: str, value: Tensor, place: Tensor) -> Tensor:
    if name.rpartition(".")[2].endswith(POSITIONS):
        value = value[: len(place)]
    if value.shape != place.shape:
        raise WeightsError(
            f"{name} must have the shape {tuple(place.shape)}, the checkpoint has {tuple(value.shape)}. "
            "Give the number of frames and words it was trained with, and features of the model it was trained on."
        )
    return value


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more or "nothing"
