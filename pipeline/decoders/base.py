"""The Decoder contract.

Every other file here is one decoder: a class ``Decoder``, and ``available()``, which is empty where it can be used and
otherwise says what is missing. A decoder runs in a killable child process only (``decoding``), on one thread, and
never touches a GPU. Frames are counted in display order, and only those that a player would show: what an edit list
cuts away has no index.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import UInt8

from ...data.sources.video_file import VideoFile

if TYPE_CHECKING:  # whoever asks for a name alone does not wait for PyAV
    from ..video.times import VideoTimes

DEFAULT_DECODER = "pyav"
"""The decoder of whoever names none: it reads every file, so that no second library has to be asked, and it leaves out
what no wanted frame refers to: with 12 frames, four fifths of decord's processor time (``benchmarks.limits``)."""

FORMER_DECODER = "decord"
"""The default of earlier versions, which their stores name. Where it is not installed, PyAV takes its place without a
word; of another one that was asked for, a user is told."""


class Decoder(Protocol):
    """Frames of video files by index. It keeps the file it looked at last open, and serves one caller."""

    def probe(self, path: VideoFile) -> "VideoTimes":
        """The times of a file's frames.

        Raises:
            DecodeError: the file is no video, or is one this decoder would get wrong; the message is the
            reason.
        """
        ...

    def read(self, path: VideoFile, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frames at increasing indices, upright, in RGB; only a few are in memory at a time.

        Raises:
            DecodeError: a frame cannot be decoded; the message is the reason.
        """
        ...
