"""The Decoder contract. Every other file here is one decoder: a class ``Decoder`` and ``available()``.

A decoder runs in a killable child process only (``decoding.py``), on one thread, and never touches a GPU.
Frames are counted in display order, and only those that a player would show: what an edit list cuts away has
no index.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True, eq=False)
class VideoTimes:
    """When every displayable frame of a file is shown, and how large the upright picture is."""

    frame_seconds: Float[np.ndarray, " frame"]
    """Presentation times relative to the first displayed frame; strictly increasing, at least one."""
    width: int
    """In pixels, after display rotation."""
    height: int
    """In pixels, after display rotation."""
    duration_seconds: float
    """What the file claims or its frames last, whichever is longer."""
    rotation: int
    """Degrees clockwise by which the stored picture is turned for display: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether the stored picture is mirrored left to right before it is turned."""


class Decoder(Protocol):
    """Frames of video files by index. It keeps the file it looked at last open, and serves one caller."""

    def probe(self, path: Path) -> VideoTimes:
        """The times of a file's frames.

        Raises:
            DecodeError: the file is no video, or is one this decoder would get wrong; the message is the
            reason.
        """
        ...

    def read(self, path: Path, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frames at increasing indices, upright, in RGB; only a few are in memory at a time.

        Raises:
            DecodeError: a frame cannot be decoded; the message is the reason.
        """
        ...


class DecoderPlugIn(Protocol):
    """What a plug-in file holds."""

    Decoder: type[Decoder]

    def available(self) -> str:
        """Empty where the decoder can be used, otherwise what is missing."""
        ...
