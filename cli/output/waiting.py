"""What a command says while it does something long that cannot be counted: nobody is to wonder whether it hangs."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.text import Text

from ...pipeline.encoders.base import Encoder
from ...pipeline.options import EncoderSpec
from ..terminal import err, warn
from .verbosity import ASKED, LOG

SPINNER = "line"
"""Of plain characters, which every terminal has."""
TAKING_FRAMES = "taking the best frames of the hits out of their files"


@contextmanager
def waiting(what: str) -> Generator[None]:
    """Show on a terminal what is being done for as long as it is; nothing in a pipe, nor under ``--quiet``.

    Args:
        what: in words, such as ``loading words``; names of any kind may be in it.
    """
    LOG.info("%s", what)
    if not err.is_terminal or ASKED.quiet:
        yield
        return
    with err.status(Text(what), spinner=SPINNER):
        yield


def loaded(spec: EncoderSpec) -> Encoder:
    """``spec.load()``, which takes seconds.

    Raises:
        UsageError, WeightsError: as it does.
    """
    with waiting(f"loading {spec.model}"):
        return spec.load()


def loaded_to_measure(spec: EncoderSpec) -> tuple[Encoder, bool]:
    """The encoder, or where its weights are not on this machine one that costs the same, of which a warning is said;
    and whether it is that one.

    Raises:
        UsageError, WeightsError: as ``EncoderSpec.load_or_stand_in`` does.
    """
    with waiting(f"loading {spec.model}"):
        encoder, missing = spec.load_or_stand_in()
    if missing:
        warn(f"{missing}. Measured with random weights of the same architecture, which take as long")
    return encoder, bool(missing)
