"""PyAV: every format that a current FFmpeg reads. Slow paths and damaged files end here."""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from ...data.contracts.byte_source import ByteSource
from ...data.contracts.errors import DecodeError, counted
from ...data.sources.video_file import VideoFile
from ..video.damage import DamageLog
from ..video.decoder_output import ComplaintError
from ..video.frames import Survey, counted_frames, lenient_frames, strict_frames, survey
from ..video.packets import PacketIndex, index_packets
from ..video.times import VideoTimes, video_times


def available() -> str:
    """Always: PyAV is a dependency, and this file imports it."""
    return ""


class Decoder:
    """Frames by PyAV; keeps what it learnt of the file it looked at last, but nothing that changes its answers."""

    def __init__(self) -> None:
        self._file: Hashable = None
        self._index: PacketIndex | None = None
        self._survey: Survey | None = None

    def probe(self, path: VideoFile) -> VideoTimes:
        """The times of the file's frames: by its packets, or where those do not tell, by decoding it once."""
        index = self.index(path)
        return video_times(index, index.frame_seconds) if index.trustworthy else self.counted_times(path)

    def counted_times(self, path: VideoFile) -> VideoTimes:
        """The times of the frames that come out when the whole file is decoded in order.

        Raises:
            DecodeError: none comes.
        """
        return video_times(self.index(path), self.survey(path).seconds)

    def read(self, path: VideoFile, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frames at increasing indices; a damaged one is an error."""
        index, log = self.index(path), DamageLog()
        given = 0
        try:
            for _, picture in strict_frames(path, index, indices) if index.trustworthy else ():
                given += 1
                yield picture
        except ComplaintError as complaint:
            log.first = str(complaint)
        left = indices[given:]
        for _, picture in self.intact_frames(path, left, log):
            given += 1
            yield picture
        if given < len(indices):
            raise DecodeError(
                log.first or f"{counted(len(indices) - given, 'frame')} did not come out of the decoder"
            )

    def intact_frames(
        self, path: VideoFile, indices: Sequence[int], log: DamageLog, *, counted: bool = False
    ) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
        """Those of the wanted frames that are intact: display index and upright picture, in display order.

        Args:
            path: the file.
            indices: the wanted frames, increasing.
            log: told of the damage that was met on the way.
            counted: whether indices count what comes out of the decoder, not what the packets announce. So it is
                for every file whose packets do not tell.

        Raises:
            DecodeError: the file cannot be opened.
        """
        index = self.index(path)
        if index.trustworthy and not counted:
            yield from lenient_frames(path, index, indices, log)
            return
        surveyed = self.survey(path)
        log.first = log.first or surveyed.log.first
        yield from counted_frames(path, index, surveyed, indices)

    def index(self, path: VideoFile) -> PacketIndex:
        """The file's packets, read once.

        Raises:
            DecodeError: the file cannot be read, has no video, or its stream holds no packet.
        """
        if self._index is None or self._file != _identity(path):
            self._index, self._survey, self._file = index_packets(path), None, _identity(path)
        return self._index

    def survey(self, path: VideoFile) -> Survey:
        """What decoding the whole file in order shows, done once.

        Raises:
            DecodeError: nothing comes out.
        """
        index = self.index(path)
        if self._survey is None:
            self._survey = survey(path, index)
        return self._survey


def _identity(path: VideoFile) -> Hashable:
    """Changes when the file does; None where it cannot be looked at."""
    try:
        if isinstance(path, ByteSource):
            return path, path.version()
        found = path.stat()
    except OSError:
        return None
    return path, found.st_size, found.st_mtime_ns
