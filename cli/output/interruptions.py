"""Ctrl-C: what is kept, what is lost, and the command that goes on. A second one ends the command at once."""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import typer

from ...data.contracts.errors import INTERRUPTED, one_line, pasteable
from ...pipeline.decoding.child_process import kill_every_child
from .verbosity import ASKED, LOG
from .wrapping import for_standard_error

SHOW_CURSOR = "\x1b[?25h"
ERASE_LINE = "\r\x1b[2K"


ENCODER = ("--model", "--pretrained")
"""Options that may be typed several times, once for each encoder."""


@contextmanager
def interruptible(otherwise: str, again: Callable[[], str] | None = None) -> Generator[None]:
    """Let Ctrl-C end a command in words, with 130, once what runs has been ended in order.

    Args:
        otherwise: what is kept, where the interrupt itself does not say it.
        again: the command that goes on, asked for when it is needed. Default: the one that was typed.
    """
    # In another thread nothing can be asked, and a command that nohup started is to go on.
    if threading.current_thread() is not threading.main_thread() or _is_deaf():
        yield
        return
    before = signal.signal(signal.SIGINT, _first)
    told_before = sys.unraisablehook
    sys.unraisablehook = partial(_raised_again, told_before)
    try:
        yield
    except KeyboardInterrupt as interrupt:  # and from here on another one ends it at once
        sys.stderr.write(begun_line())
        _tell(f"interrupted: {str(interrupt) or otherwise}")
        _tell(f"to go on: {ASKED.demo or (again or typed_command)()}")
        raise typer.Exit(INTERRUPTED) from None
    except BaseException:
        signal.signal(signal.SIGINT, before)
        raise
    finally:
        sys.unraisablehook = told_before
    signal.signal(signal.SIGINT, before)


@contextmanager
def nothing_to_lose(kept: str) -> Generator[None]:
    """Within an interruptible command: from here on Ctrl-C loses nothing any more.

    Args:
        kept: what is said of it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{kept}, and nothing is lost") from None


def typed_command(*more: str, without: Sequence[str] = ()) -> str:
    """This command as it was typed, with more options behind, so that it can be pasted; of two values of an option the
    last one counts, and another model takes the place of all that were typed.

    Args:
        more: options and their values.
        without: options that are left out, with their values, as what comes behind disagrees with them.
    """
    left_out = (*without, *(ENCODER if ENCODER[0] in more else ()))
    return " ".join(["tvr", *map(pasteable, (*_without(sys.argv[1:], left_out), *more))])


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Words of a command without some options and their values."""
    kept: list[str] = []
    is_value = False
    for word in words:
        if not is_value and word.partition("=")[0] not in options:
            kept.append(word)
        is_value = not is_value and word in options
    return kept


def begun_line() -> str:
    """What brings a terminal to the beginning of an empty line, where it shows the keys of an interrupt; nothing where
    standard error is none."""
    if not os.isatty(2):
        return ""
    return "\n" if os.environ.get("TERM", "dumb") in ("dumb", "unknown") else ERASE_LINE


def _is_deaf() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def _first(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _second)
    raise KeyboardInterrupt


def _raised_again(otherwise: Callable[[Any], Any], swallowed: Any) -> None:
    """An interrupt that came while Python cleaned up an object, where nothing can be raised, comes a moment later."""
    if not issubclass(swallowed.exc_type, KeyboardInterrupt):
        otherwise(swallowed)
        return
    signal.signal(signal.SIGINT, _first)
    again = threading.Timer(0.01, _thread.interrupt_main)
    again.daemon = True
    again.start()


def _second(signum: int, frame: FrameType | None) -> None:
    """Nothing in order any more: no shard is spoilt by it, since each takes its place whole."""
    kill_every_child()
    shown_again = SHOW_CURSOR if os.isatty(2) else ""  # which a bar hides while it runs
    os.write(
        2, f"{shown_again}\ntvr: interrupted twice: ended at once; files in their places are whole\n".encode()
    )
    os._exit(INTERRUPTED)


def _tell(message: str) -> None:
    """Also under ``--quiet``."""
    LOG.warning("%s", message)
    sys.stderr.write(for_standard_error(f"tvr: {one_line(message)}") + "\n")
    sys.stderr.flush()
