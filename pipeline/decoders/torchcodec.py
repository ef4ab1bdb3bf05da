"""torchcodec: by the FFmpeg libraries of the system, where there are any. Serves the files that decord may serve.

It is silent about damaged frames unless told otherwise; then, as of decord, what it says makes a video suspect.
"""

import importlib.util
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError
from ..video.sample_clip import write_sample
from ..video.seeking_decoder import SeekingDecoder

_MAX_CHARACTERS = 200
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


class Decoder(SeekingDecoder):
    """Frames by torchcodec on one thread."""

    name = "torchcodec"

    def _reader_of(self, path: Path) -> Any:
        try:
            for name, value in _ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            from torchcodec.decoders import VideoDecoder  # pyright: ignore[reportMissingImports]

            return VideoDecoder(str(path.absolute()), dimension_order="NHWC", num_ffmpeg_threads=1)
        except Exception as error:  # noqa: BLE001 - of a library that is missing, or whatever torch raises
            raise DecodeError(
                f"torchcodec: cannot be used here or not for this file: {_short(error)}"
            ) from None

    def _batch(self, reader: Any, indices: list[int]) -> UInt8[np.ndarray, "frame height width 3"]:
        try:
            batch = reader.get_frames_at(indices)
        except Exception as error:  # noqa: BLE001 - whatever torch's native code raises
            raise DecodeError(f"torchcodec: {_short(error)}") from None
        return batch.data.numpy()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_MAX_CHARACTERS] or type(error).__name__
