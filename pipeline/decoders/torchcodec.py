"""torchcodec: by the FFmpeg libraries of the system, where there are any. Serves what PyAV's own FFmpeg cannot decode.

It is silent about damaged frames unless told otherwise; then, as of decord, what it says makes a video suspect.
"""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from ..packets import index_packets
from ..sample_clip import write_sample
from .base import VideoTimes
from .decord import declined
from .pyav import video_times

_FRAMES_PER_BATCH = 4
_MOST_CHARACTERS = 200
# Read when it is imported. That it paints over a damaged picture, FFmpeg logs as information.
_ENVIRONMENT = {"TORCHCODEC_FFMPEG_LOG_LEVEL": "INFO"}


def available() -> str:
    """Empty where torchcodec decodes a clip that was just written; that it is installed proves nothing."""
    if not installed():
        return "torchcodec is not installed (pip install 'tvr[torchcodec]')"
    try:
        with TemporaryDirectory() as folder:
            clip = Path(folder) / "sample.mp4"
            write_sample(clip)
            brightness = [int(frame.mean().round()) for frame in Decoder().read(clip, range(8))]
    except DecodeError as error:
        return str(error)
    if not np.allclose(brightness, range(20, 161, 20), atol=3):
        return f"torchcodec decodes a sample wrongly: brightness {brightness}"
    return ""


def installed() -> bool:
    """Whether it is worth trying."""
    return importlib.util.find_spec("torchcodec") is not None


class Decoder:
    """Frames by torchcodec on one thread; keeps the file it looked at last open."""

    def __init__(self) -> None:
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
                batch = self._reader.get_frames_at(list(indices[start : start + _FRAMES_PER_BATCH]))
            except Exception as error:  # noqa: BLE001 - whatever torch's native code raises
                raise DecodeError(f"torchcodec: {_short(error)}") from None
            yield from batch.data.numpy()

    def _open(self, path: Path) -> None:
        self._reader = self._times = None
        index = index_packets(path)
        if why := declined(index):
            raise DecodeError(f"torchcodec: {why}")
        try:
            for name, value in _ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            from torchcodec.decoders import VideoDecoder  # pyright: ignore[reportMissingImports]

            self._reader = VideoDecoder(str(path.absolute()), dimension_order="NHWC", num_ffmpeg_threads=1)
        except Exception as error:  # noqa: BLE001 - of a library that is missing, or whatever torch raises
            raise DecodeError(
                f"torchcodec: cannot be used here or not for this file: {_short(error)}"
            ) from None
        if len(self._reader) != len(index.shown_pts):
            raise DecodeError(f"torchcodec: counts {len(self._reader)} frames of {len(index.shown_pts)}")
        self._path, self._times = path, video_times(index, index.frame_seconds)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_MOST_CHARACTERS] or type(error).__name__
