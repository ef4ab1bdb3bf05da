"""One family of errors, so that every failure a user can cause ends in a sentence and an exit code."""

import re
import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What ends a line, moves the cursor or turns the direction of what follows."""

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended: 128 and the number of the signal, as shells have it."""

LONGEST_MESSAGE = 4000
"""Characters: more than any message has, were it not for what it repeats of a file."""
MOST_NAMES, NEAREST_NAMES = 20, 5
"""Of longer lists of names, only so many are shown."""
SHORTEST_BEGINNING = 3
"""Characters from which on what was typed counts as the beginning of a name."""
SAME_OWNER = 0.8
"""How alike two spellings of one owner are, of 1: letters that were exchanged or left out."""


class TvrError(Exception):
    """Something the user can mend. The message says the rule, the value, what is allowed and what to do."""

    exit_code = 1

    def __str__(self) -> str:
        """The message, cut where what it repeats of a file is longer than anybody reads."""
        return cut(super().__str__())


class UsageError(TvrError):
    """A value on the command line or in a Config that is not allowed."""

    exit_code = 2


class DataError(TvrError):
    """An annotation file, a video folder or a caption that breaks its format."""

    exit_code = 3


class NoCaptionsError(DataError):
    """A store on which nothing can be trained or scored, for nothing in it has a caption."""


class StoreError(TvrError):
    """A feature store that is damaged, incomplete, or made in another way than is now asked for."""

    exit_code = 4


class DecodeError(TvrError):
    """A video that cannot be decoded. Inside an extraction it becomes a row with a reason."""

    exit_code = 5


class WeightsError(TvrError):
    """Model weights that are missing, unreadable or of another model."""

    exit_code = 6


class MissingWeightsError(WeightsError):
    """Published weights that are not on this machine and out of reach."""


class TrainingError(TvrError):
    """A training run that cannot start or that left the finite numbers."""

    exit_code = 7


class ClusterError(TvrError):
    """A cluster that cannot do the work: unreachable, without fitting workers, or with workers that fail."""

    exit_code = 9


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not among the known ones, with the nearest of them as a suggestion."""
    choices = sorted(known)
    near = nearest_name(name, choices)
    hint = f" Did you mean {near!r}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} {known_names(name, choices)}"


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant: the shortest that begins so, else the most alike; None where none is
    near. Of names in two parts, both parts have to be near: one of another owner is another thing."""
    choices = sorted(known)
    begun = (
        [choice for choice in choices if choice.startswith(name)] if len(name) >= SHORTEST_BEGINNING else []
    )
    if begun:
        return min(begun, key=len)
    owner, slash, rest = name.rpartition("/")
    if slash:
        parts = [choice.rpartition("/") for choice in choices]
        owners = get_close_matches(owner, {part[0] for part in parts if part[1]}, n=1, cutoff=SAME_OWNER)
        of_owner = [part[2] for part in parts if part[1] and part[0] in owners]
        near = [f"{owners[0]}/{one}" for one in get_close_matches(rest, of_owner, n=1)] if owners else []
    else:
        near = get_close_matches(name, choices, n=1)
    return near[0] if near else None


def known_names(name: str, known: Iterable[str]) -> str:
    """The known names as a sentence: all where they are few, else those nearest to the name that was not found."""
    choices = sorted(known)
    if len(choices) <= MOST_NAMES:
        return f"Known: {', '.join(choices) or 'none'}."
    nearest = get_close_matches(name, choices, n=NEAREST_NAMES, cutoff=0.0)
    return f"Nearest of {len(choices):,}: {', '.join(nearest)}."


def counted(number: int, noun: str) -> str:
    """``1 video``, ``1,200 videos``: a number with its noun, given in the singular, whose plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def cut_short(names: Sequence[str], most: int = 3) -> str:
    """``a, b, c and 4 more``: names in a sentence, few of many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """See that a name is among the known ones.

    Raises:
        UsageError: it is not; the message suggests the nearest.
    """
    choices = tuple(known)
    if name not in choices:
        raise UsageError(unknown_name(kind, name, choices))


def cut(message: str) -> str:
    """A message of at most ``LONGEST_MESSAGE`` characters, and how many more it had."""
    more = len(message) - LONGEST_MESSAGE
    return message if more <= 0 else f"{message[:LONGEST_MESSAGE]} ... ({more:,} characters more)"


def pasteable(word: object) -> str:
    """A path or a text as one word of a command that a message prints: what is pasted means that and does no more."""
    text = str(word)
    if not _CONTROL.search(text):
        return shlex.quote(text)
    inside = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_CONTROL.sub(_as_bytes, inside)}'"


def _as_bytes(found: re.Match[str]) -> str:
    """A character as bash writes its bytes within $'...'."""
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))


def one_line(text: str) -> str:
    """A name, a reason or a caption as a terminal may show it: line ends, tabs and control characters escaped."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
