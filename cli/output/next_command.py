"""What a command says can be typed next: one line, whole, that does what it says when it is pasted."""

from collections.abc import Sequence
from pathlib import Path

from ...data.contracts.errors import pasteable
from ..terminal import out
from .verbosity import ASKED

SOMETHING = '"what you look for"'
"""Stands for a query: what is pasted works, and is to be replaced."""


def print_next(*words: object, label: str = "next") -> None:
    """One line behind the results of a command; nothing under ``--quiet``, nor where the demo types what comes next.

    Args:
        words: of the command, behind ``tvr``; paths and names are quoted where that is needed.
        label: what it is; the command that comes next, as a rule.
    """
    if ASKED.advises and not ASKED.quiet:
        out.print(f"{label}: {as_typed(*words)}", soft_wrap=True)


def as_typed(*words: object) -> str:
    """A command as it is typed; the words that stand for a query as they are."""
    return " ".join(["tvr", *(SOMETHING if word is SOMETHING else pasteable(word) for word in words)])


def search_words(run: Path | None, store: Path | None, *more: object) -> Sequence[object]:
    """A search with a run, or without a trained head: always in this form.

    Args:
        run: None for zero-shot, which needs a store.
        store: None for that of the run.
        more: what else is typed.
    """
    by = ["--zero-shot"] if run is None else ["--run", run]
    return ["search", SOMETHING, *by, *([] if store is None else ["--store", store]), *more]


def words_after(store: Path, *, can_train: bool, place: Sequence[str]) -> Sequence[object]:
    """What can be done with a store: a head is trained on captions, a search needs none.

    Args:
        store: its folder.
        can_train: whether its captions are enough for that.
        place: options that name the workspace to a command, nothing where it needs none.
    """
    return ["train-head", *place, "--store", store] if can_train else search_words(None, store)
