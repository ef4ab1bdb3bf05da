"""How much a command says besides its results: ``--quiet``, ``--verbose``, ``--log-file``, and Python's warnings."""

import logging
import sys
import traceback
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from ...data.contracts.errors import TvrError, UsageError, one_line, pasteable

LOG = logging.getLogger("tvr")
"""What ``--log-file`` keeps: every result in words, remark, warning and error, and progress now and then."""
LOG.addHandler(logging.NullHandler())  # without a file they are on the screen already, not twice
# Where nobody handles anything, a library's first `logging.info` would send all of it to the screen.
logging.getLogger().addHandler(logging.NullHandler())


@dataclass(slots=True)
class Verbosity:
    """What this process was asked for."""

    quiet: bool = False
    advises: bool = True
    """Whether commands say what can be typed next; not where somebody types it for the user, as the demo does."""
    demo: str = ""
    """The demo as it was typed, while it types other commands: of these none goes on with it."""


ASKED = Verbosity()


def _be_quiet(asked: bool) -> None:
    ASKED.quiet = ASKED.quiet or asked


def _be_verbose(asked: bool) -> None:
    if asked:
        spoken = logging.StreamHandler()
        spoken.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        spoken.addFilter(
            lambda record: record.name != LOG.name
        )  # tvr's own remarks are on the screen already
        _add(spoken)
        LOG.setLevel(logging.DEBUG)


class _KeptLog(logging.FileHandler):
    """A log that gives up in one line, where logging prints a traceback for every record."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # as logging calls it
        """Say that it is given up; a full disk is no reason to end what runs."""
        logging.getLogger().removeHandler(self)
        why = getattr(sys.exception(), "strerror", None) or sys.exception()
        name = one_line(self.baseFilename)
        sys.stderr.write(
            f"warning: --log-file {name} cannot be written ({why}): the command goes on without it\n"
        )


def _keep_log(file: str | None) -> None:
    """Append what is said to a file.

    Raises:
        UsageError: it cannot be written.
    """
    if file is None:
        return
    try:
        kept = _KeptLog(file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        folder = Path(file).parent
        why = error.strerror if folder.is_dir() else f"there is no folder {folder}"
        raise UsageError(
            f"--log-file {pasteable(file)} cannot be written: {why}. Name a file in a folder that may be written."
        ) from error
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _add(kept)
    LOG.info("tvr %s: tvr %s", version("tvr"), " ".join(map(pasteable, sys.argv[1:])))


def _add(handler: logging.Handler) -> None:
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=_be_quiet,
        is_eager=True,
        expose_value=False,
        help="Only results, warnings and errors: no progress, no remarks.",
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_be_verbose,
        is_eager=True,
        expose_value=False,
        help="Also what the libraries log, and where an error arose.",
    ),
]
LogFileOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        callback=_keep_log,
        is_eager=True,
        expose_value=False,
        help="Append what is said, progress, warnings and errors (no tables, no JSON) to this file, with their times.",
    ),
]


def options() -> list[Any]:
    """The three options as a command takes them after its name."""

    def nothing(
        quiet: QuietOption = False, verbose: VerboseOption = False, log_file: LogFileOption = None
    ) -> None:
        """Whose options these are."""

    alone = typer.Typer(add_completion=False)
    alone.command(add_help_option=False)(nothing)
    return list(typer.main.get_command(alone).params)


def keep_error(message: str, error: BaseException) -> None:
    """An error goes into the log; under ``--verbose`` the place where it arose goes onto the screen first."""
    expected = isinstance(error, TvrError | KeyboardInterrupt)
    LOG.error("%s", message, exc_info=None if expected and not LOG.isEnabledFor(logging.DEBUG) else error)
    if LOG.isEnabledFor(logging.DEBUG) and expected:
        sys.stderr.write("".join(traceback.format_exception(error)))
