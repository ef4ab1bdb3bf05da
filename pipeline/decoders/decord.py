"""decord: the default of earlier versions, for the files in which it is proven to find the right frames.

There its pixels equal PyAV's exactly. Elsewhere it gives wrong frames without an error, because it seeks to a key frame
and counts from there: with open groups of pictures, B-frames of MPEG-4 and MPEG-2, hidden frames of VP9, edit lists, in
MPEG-TS and AVI. It does not mirror, and turns only as the container of an MP4 says. Those files are declined (see
``why_declined``), and PyAV serves them. ``benchmarks.decoding_truth`` is the proof.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from ..video.packets import PacketIndex
from ..video.seeking_decoder import SeekingDecoder

_ENVIRONMENT = {
    # decord reads it when it is imported. It says on stderr when it gave a frame twice for one it could not decode;
    # with 0 it says so from the first such frame on.
    "DECORD_DUPLICATE_WARNING_THRESHOLD": "0",
    # How often it looks at its empty queue before it gives a file up: its own default. With 128 it gave up clean files
    # in four of five attempts on a busy machine, so that chance decided which decoder served them.
    "DECORD_EOF_RETRY_MAX": "10240",
}


def available() -> str:
    """Empty where decord is installed."""
    if importlib.util.find_spec("decord") is None:
        return "decord is not installed (it has no wheels for ARM and recent macOS)"
    return ""


class Decoder(SeekingDecoder):
    """Frames by decord on one thread."""

    name = "decord"

    def __init__(self) -> None:
        super().__init__()
        self._decord = _imported()
        # Of its own and of its Python layer, which asserts and converts what a damaged file says.
        self._errors = (self._decord.DECORDError, RuntimeError, AssertionError, ValueError, IndexError)

    def _reader_of(self, path: Path) -> Any:
        try:
            return self._decord.VideoReader(str(path.absolute()), num_threads=1)
        except self._errors as error:
            raise DecodeError(f"decord: {_first_line(error)}") from None

    def _why_it_would_miss(self, reader: Any, index: PacketIndex) -> str:
        # Its FFmpeg is older than PyAV's: without a table of key frames it takes every frame for one.
        if sorted(reader.get_key_indices()) == _places_of_keys(index):
            return ""
        return "seeks to frames that are no key frames"

    def _batch(self, reader: Any, indices: list[int]) -> UInt8[np.ndarray, "frame height width 3"]:
        try:
            return reader.get_batch(indices).asnumpy()
        except self._errors as error:
            raise DecodeError(f"decord: {_first_line(error)}") from None


def _places_of_keys(index: PacketIndex) -> list[int]:
    """Display indices of the frames from which decoding can begin."""
    return sorted(index.position_of_pts[pts] for pts, _ in index.keys)


def _imported() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import decord

    # FFmpeg tells as mere information that it painted over what it could not read.
    decord.logging.set_level(decord.logging.INFO)
    return decord


def _first_line(error: Exception) -> str:
    """decord's message without its stack trace and the path of its source file."""
    line = str(error).strip().split("\n", 1)[0]
    return line.rpartition(".cc:")[2].partition(":")[2].strip() or line
