"""Many encodes over some processes, each with a decoding child for every decoder."""

import atexit
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import av
import av.logging
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.pipeline.decoding.pool import DecoderPool
from tvr.pipeline.machine import end_with_parent

from .differences import Outcome, check
from .encodes import Encode, drawn


def available_decoders() -> list[str]:
    """The plug-ins that work here."""
    names = plug_in_names("tvr.pipeline.decoders")
    return [name for name in names if not load_plug_in("tvr.pipeline.decoders", name).available()]


def run(encodes: Sequence[Encode], decoders: Sequence[str], processes: int) -> Iterator[Outcome]:
    """The outcomes, in the order of the encodes, as they come."""
    if processes == 1:
        with Checker(decoders) as checker:
            yield from map(checker.check, encodes)
        return
    # Not forked: the parent has threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_start, initargs=(tuple(decoders),)) as pool:
        yield from pool.map(_checked, encodes, chunksize=4)


def numbered(seed: int, count: int) -> list[Encode]:
    """The first encodes of a seed."""
    return list(map(partial(drawn, seed), range(count)))


class Checker:
    """Checks encodes one by one. A context manager: its children live as long as it is open."""

    def __init__(self, decoders: Sequence[str]) -> None:
        self._decoders = decoders
        self._open = ExitStack()
        self._pools: dict[str, DecoderPool] = {}

    def __enter__(self) -> "Checker":
        # Encoders and the plain decode of damaged files have much to say.
        av.logging.set_level(av.logging.PANIC)
        self._pools = {name: self._open.enter_context(DecoderPool(1, name)) for name in self._decoders}
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def check(self, encode: Encode) -> Outcome:
        """Write the file to a folder that is gone afterwards, and compare."""
        with tempfile.TemporaryDirectory() as folder:
            return check(encode, Path(folder), self._pools)


_checkers: list[Checker] = []
"""The one of this process."""


def _start(decoders: Sequence[str]) -> None:
    end_with_parent()
    checker = Checker(decoders).__enter__()
    atexit.register(checker.__exit__)
    _checkers.append(checker)


def _checked(encode: Encode) -> Outcome:
    return _checkers[0].check(encode)
