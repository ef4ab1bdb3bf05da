"""A decoding child with a decoder that fails as native decoders do, by the name of the file it is given."""

import ctypes
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tvr.pipeline.decoders.pyav import Decoder as PyAV
from tvr.pipeline.decoding import child_main
from tvr.pipeline.video.times import VideoTimes

# PyDLL keeps the interpreter lock during a call, as decord does when it hangs: no Python code runs meanwhile.
LIBC = ctypes.PyDLL(None)


def whisper() -> None:
    os.write(2, b"[h264 @ 0x55d0] concealing 12 DC, 12 AC, 12 MV errors in P frame\n")


class Faulty:
    """Reads by PyAV what it does not choke on."""

    def __init__(self) -> None:
        self._pyav = PyAV()
        self._leaked: list[np.ndarray] = []

    def probe(self, path: Path) -> VideoTimes:
        faults = {
            "segfault": lambda: ctypes.string_at(0),
            "hang": lambda: LIBC.sleep(1000),
            "exit": lambda: os._exit(3),
            "eat": self._eat,
            "abort": lambda: LIBC.abort(),
            "slow": lambda: time.sleep(0.5),
            "shout": whisper,
        }
        faults.get(path.stem.rstrip("0123456789"), lambda: None)()
        return self._pyav.probe(path)

    def _eat(self) -> None:
        while True:
            self._leaked.append(np.ones(16 << 20, np.uint8))

    def read(self, path: Path, indices: Sequence[int]) -> Iterator[np.ndarray]:
        for frame in self._pyav.read(path, indices):
            if path.name.startswith("whisper"):
                whisper()
            yield frame


def main(decoder: str, memory_limit_bytes: int, orphan_seconds: float) -> None:
    child_main._ORPHAN_SECONDS = orphan_seconds
    child_main._decoders = lambda name: [("faulty", Faulty()), ("pyav", PyAV())]
    child_main.serve(decoder, memory_limit_bytes)
