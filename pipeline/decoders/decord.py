"""decord: the default where it is installed, for files whose frames it is known to count as a player does.

Measured on 170 real files: its pixels equal PyAV's exactly on 8-bit MP4 and Matroska. Elsewhere it gives
wrong frames without an error: after a seek in MPEG-TS and in AVI with B-frames, behind an edit list, with
VP9's hidden frames; and it does not mirror. Those files are declined here, and PyAV serves them.
"""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from ..packets import PacketIndex, index_packets
from .base import VideoTimes
from .pyav import video_times

_FRAMES_PER_BATCH = 4
_EIGHT_BIT = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
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


class Decoder:
    """Frames by decord on one thread; keeps the file it looked at last open."""

    def __init__(self) -> None:
        self._decord = _imported()
        # Of its own and of its Python layer, which asserts and converts what a damaged file says.
        self._errors = (self._decord.DECORDError, RuntimeError, AssertionError, ValueError, IndexError)
        self._path: Path | None = None
        self._reader: Any = None
        self._times: VideoTimes | None = None

    def probe(self, path: Path) -> VideoTimes:
        """The times of the file's frames, by its packets."""
        if self._times is None or self._path != path:
            self._open(path)
        assert self._times is not None
        return self._times

    def read(self, path: Path, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frames at increasing indices, a few at a time."""
        self.probe(path)
        for start in range(0, len(indices), _FRAMES_PER_BATCH):
            try:
                batch = self._reader.get_batch(list(indices[start : start + _FRAMES_PER_BATCH])).asnumpy()
            except self._errors as error:
                raise DecodeError(f"decord: {_first_line(error)}") from None
            yield from batch

    def _open(self, path: Path) -> None:
        self._reader = self._times = None
        index = index_packets(path)
        if why := declined(index):
            raise DecodeError(f"decord: {why}")
        try:
            self._reader = self._decord.VideoReader(str(path.absolute()), num_threads=1)
        except self._errors as error:
            raise DecodeError(f"decord: {_first_line(error)}") from None
        if len(self._reader) != len(index.shown_pts):
            raise DecodeError(f"decord: counts {len(self._reader)} frames of {len(index.shown_pts)}")
        self._path, self._times = path, video_times(index, index.frame_seconds)


def _imported() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import decord

    # FFmpeg tells as mere information that it painted over what it could not read.
    decord.logging.set_level(decord.logging.INFO)
    return decord


def declined(index: PacketIndex) -> str:
    """Why a decoder that seeks, as decord does, would get this file wrong, or empty."""
    reasons = (
        (not index.trustworthy, f"does not seek to the right frames of this {index.container} file"),
        (not all(packet.is_shown for packet in index.packets), "counts frames that are not shown"),
        (index.orientation.mirrored or not index.orientation.exact, "does not mirror"),
        (
            index.pixel_format not in _EIGHT_BIT,
            f"does not convert {index.pixel_format or 'this'} as others do",
        ),
        (bool(index.damage), index.damage),
        (any(packet.damage for packet in index.packets), "does not say which frames are sound"),
    )
    return next((why for applies, why in reasons if applies), "")


def _first_line(error: Exception) -> str:
    """decord's message without its stack trace and the path of its source file."""
    line = str(error).strip().split("\n", 1)[0]
    return line.rpartition(".cc:")[2].partition(":")[2].strip() or line
