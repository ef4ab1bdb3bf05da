"""From a file that shows a fault to the plainest one that still does."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from .encodes import Encode

_KEPT = ("codec", "seed")
"""Another codec is another fault, and the seed says what was asked."""


def shrunk(encode: Encode, still_fails: Callable[[Encode], bool], most_tries: int = 60) -> Encode:
    """Take one property after another back to what a plain file has, as long as the fault shows."""
    tries = 0
    is_simpler = True
    while is_simpler:
        is_simpler = False
        for candidate in _simpler(encode):
            if tries == most_tries:
                return encode
            tries += 1
            if still_fails(candidate):
                encode, is_simpler = candidate, True
                break
    return encode


def _simpler(encode: Encode) -> Iterator[Encode]:
    """Encodes with one property less, the largest steps first."""
    for frames in (encode.frames // 2, encode.frames - 1):
        if 2 <= frames < encode.frames:
            yield replace(encode, frames=frames)
    plain = Encode()
    for each in fields(Encode):
        value = getattr(plain, each.name)
        if each.name not in (*_KEPT, "frames") and getattr(encode, each.name) != value:
            yield replace(encode, **{each.name: value})
    for name in ("b_frames", "references", "group_size"):
        value = getattr(encode, name)
        if value // 2 > getattr(plain, name):
            yield replace(encode, **{name: value // 2})
