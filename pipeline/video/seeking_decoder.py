"""What decoders share that give frames by number: which files they would get wrong, and one reader for each use."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ...data.contracts.errors import DecodeError, counted
from ...data.sources.video_file import VideoFile
from .container import MP4
from .packet import Packet
from .packets import PacketIndex, index_packets
from .times import VideoTimes, video_times

_FRAMES_PER_BATCH = 4
_CONVERTED_MATRICES = (0, 1, 2, 4, 5, 6, 7, 9)
"""Of ITU-T H.273, table 4: those that FFmpeg converts to RGB. Older versions took the others for BT.601."""
_EIGHT_BIT = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")


class SeekingDecoder(ABC):
    """A ``Decoder`` by a library that seeks to frames by itself; each of its readers is used for one reading."""

    name: str
    """The library; begins every message."""

    def __init__(self) -> None:
        self._path: VideoFile | None = None
        self._reader: Any = None
        self._times: VideoTimes | None = None

    @abstractmethod
    def _reader_of(self, path: Path) -> Any:
        """The library's reader of a file, on one thread; its length is the number of frames.

        Raises:
            DecodeError: the library cannot open it.
        """

    @abstractmethod
    def _batch(self, reader: Any, indices: list[int]) -> UInt8[np.ndarray, "frame height width 3"]:
        """A few frames of it.

        Raises:
            DecodeError: one of them cannot be decoded.
        """

    def _why_it_would_miss(self, reader: Any, index: PacketIndex) -> str:
        """Why this reader would not seek to the frames from which decoding can begin; empty if nothing is known."""
        del reader, index
        return ""

    def probe(self, path: VideoFile) -> VideoTimes:
        """The times of the file's frames, by its packets."""
        if self._times is None or self._path != path:
            self._open(path)
        assert self._times is not None
        return self._times

    def read(self, path: VideoFile, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frames at increasing indices, a few at a time."""
        self.probe(path)
        # Where a reader stands in its file must not decide what it gives next: each is used once.
        reader, self._path = self._reader, None
        for start in range(0, len(indices), _FRAMES_PER_BATCH):
            yield from self._batch(reader, list(indices[start : start + _FRAMES_PER_BATCH]))

    def _open(self, path: VideoFile) -> None:
        self._reader = self._times = None
        if not isinstance(path, Path):
            raise DecodeError(f"{self.name}: reads files of their own alone")
        index = index_packets(path)
        if why := why_declined(index):
            raise DecodeError(f"{self.name}: {why}")
        self._reader = self._reader_of(path)
        if len(self._reader) != len(index.shown_pts):
            raise DecodeError(
                f"{self.name}: counts {counted(len(self._reader), 'frame')} of {len(index.shown_pts)}"
            )
        if why := self._why_it_would_miss(self._reader, index):
            raise DecodeError(f"{self.name}: {why}")
        self._path, self._times = path, video_times(index, index.frame_seconds)


def why_declined(index: PacketIndex) -> str:
    """Why a library that seeks by itself would get this file wrong, or empty.

    It may serve what ``benchmarks.decoding_truth`` shows that decord gives right: H.264 in MP4 and MOV, every frame of
    which is shown, with groups of pictures that refer to nothing outside.
    """
    reasons = (
        (index.codec != "h264" or index.container != MP4, f"not trusted to seek in {_kind(index)}"),
        (index.num_videos > 1, "may read another of its video streams"),
        (not index.trustworthy, "its packets do not tell where its frames are"),
        (
            any(_is_far_from_decoding(packet) for packet in index.packets),
            "loses times that are too far apart",
        ),
        (not all(packet.is_shown for packet in index.packets), "counts frames that are not shown"),
        (_has_late_keys(index), "does not seek to key frames that are shown late or not in their turn"),
        (not all(p.pictures.is_idr for p in index.packets if p.is_key), "has open groups of pictures"),
        (index.orientation.mirrored or not index.orientation.exact, "does not mirror"),
        # A library may know the container's display matrix and not that of the stream.
        (
            any(p.pictures.is_turned for p in index.packets),
            "does not turn what the stream says is to be turned",
        ),
        (index.cuts_left, "does not cut columns off at the left"),
        (
            index.pixel_format not in _EIGHT_BIT,
            f"does not convert {index.pixel_format or 'this'} as others do",
        ),
        (index.matrix not in _CONVERTED_MATRICES, "takes its colours for those of another matrix"),
        (bool(index.damage), index.damage),
        (any(packet.damage for packet in index.packets), "does not say which frames are sound"),
    )
    return next((why for applies, why in reasons if applies), "")


def _is_far_from_decoding(packet: Packet) -> bool:
    """Whether a frame is shown so long after it is decoded that FFmpeg 4 takes its time for damaged."""
    return None not in (packet.pts, packet.dts) and abs((packet.pts or 0) - (packet.dts or 0)) >= 1 << 28


def _has_late_keys(index: PacketIndex) -> bool:
    """Whether a key frame is shown when the next one is decoded already: a search by decoding times finds that one.

    Or when a frame that was decoded before it is not shown yet: who counts from the key frame leaves that one out.
    """
    keys = [packet for packet in index.packets if packet.is_key]
    latest = accumulate((packet.pts or 0 for packet in index.packets), max)
    is_passed = any(
        key.is_key and (key.pts or 0) < before for key, before in zip(index.packets, latest, strict=True)
    )
    return is_passed or any((later.dts or 0) <= (key.pts or 0) for key, later in pairwise(keys))


def _kind(index: PacketIndex) -> str:
    return f"{index.codec} in {index.container.partition(',')[0]}"
