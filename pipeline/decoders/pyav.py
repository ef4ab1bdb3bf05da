"""PyAV: every format that a current FFmpeg reads. Slow paths and damaged files end here."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from ...data.contracts.errors import DecodeError
from ..video.damage import DamageLog, intact_frames, shown_pts
from ..video.packets import PacketIndex, VideoTimes, index_packets, video_times

_TIE_SECONDS = 1e-6


def available() -> str:
    """Always: PyAV is a dependency, and this file imports it."""
    return ""


class Decoder:
    """Frames by PyAV; keeps the packet index of the file it looked at last."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._index: PacketIndex | None = None

    def probe(self, path: Path) -> VideoTimes:
        """The times of the file's frames: by its packets, or where those do not tell, by decoding it once."""
        index = self.index(path)
        if index.trustworthy:
            return video_times(index, index.frame_seconds)
        return video_times(index, _counted(shown_pts(path, index), index.time_base))

    def read(self, path: Path, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frames at increasing indices; a damaged one is an error."""
        log = DamageLog()
        given = 0
        for _, picture in intact_frames(path, self.index(path), indices, log):
            given += 1
            yield picture
        if given < len(indices):
            raise DecodeError(log.first or f"{len(indices) - given} frames did not come out of the decoder")

    def index(self, path: Path) -> PacketIndex:
        """The file's packets, read once.

        Raises:
            DecodeError: the file cannot be read, has no video, or its stream holds no packet.
        """
        if self._index is None or self._path != path:
            self._index, self._path = index_packets(path), path
        return self._index


def _counted(pts: Sequence[int | None], time_base: float) -> Float[np.ndarray, " frame"]:
    """Strictly increasing times of decoded frames whose own are missing, repeated or out of order.

    Frames come out of a decoder in display order, so the sorted times belong to them in that order.
    """
    known = np.array([value for value in pts if value is not None], np.float64)
    step = float(np.median(np.diff(np.unique(known)))) if len(np.unique(known)) > 1 else 1.0
    filled = list(np.sort(known))
    filled.extend((filled[-1] if filled else 0.0) + step * (1 + k) for k in range(len(pts) - len(known)))
    times = (np.array(filled) - filled[0]) * time_base
    # A repeated time is moved by less than anything that matters; what counts is that no two frames share
    # one.
    ramp = _TIE_SECONDS * np.arange(len(times))
    return np.maximum.accumulate(times - ramp) + ramp
