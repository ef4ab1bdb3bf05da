"""What is right of a file: a plain decode from its first packet to its last, and the numbers in its pictures.

Nothing here uses how tvr decodes; PyAV is asked for one frame after another and nothing is skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Float64, Int64, UInt8
from tvr.pipeline.preprocessing import Preprocessing, resize

from .encodes import HOLD_TIMES, Encode
from .pictures import numbers_of

SIDE = 64
"""Pictures are compared squashed to so many pixels a side, as an encoder would see them."""
PREPROCESSING = Preprocessing(SIDE, SIDE, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}


@dataclass(frozen=True, eq=False)
class Truth:
    """The displayed frames of one file, in display order."""

    numbers: Int64[np.ndarray, " frame"]
    """What each picture says."""
    seconds: Float64[np.ndarray, " frame"]
    """When each is shown, counted from the first; strictly increasing."""
    pictures: UInt8[np.ndarray, "frame side side 3"]
    first_seconds: float
    """Time stamp of the first frame, or 0 where the file has none."""
    is_stamped: bool
    """Whether the file says of each when it is shown."""
    is_steady: bool
    """Whether one frame follows another at the rate of the encode. Of a file that is neither (repeated or missing
    time stamps) only the order of frames is known, and ``seconds`` are a guess."""

    @property
    def half_a_frame(self) -> float:
        """Half the shortest time between two frames, in seconds."""
        return float(np.diff(self.seconds).min()) / 2 if len(self.seconds) > 1 else 0.5


def true_frames(path: Path, encode: Encode) -> Truth:
    """Decode the file and read its numbers.

    Raises:
        av.error.FFmpegError: it cannot be decoded at all.
        ValueError: it shows no frame.
    """
    pts: list[int | None] = []
    pictures: list[np.ndarray] = []
    reformatter = VideoReformatter()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        time_base = float(stream.time_base or 1)
        for frame in _decoded(container, stream, encode):
            pts.append(frame.pts)
            pictures.append(
                resize(_upright(reformatter.reformat(frame, format="rgb24"), encode), PREPROCESSING)
            )
    if not pictures:
        raise ValueError("the file shows no frame")
    seconds, is_stamped = _seconds(pts, time_base, encode, path)
    shown = np.stack(pictures)
    first = (pts[0] or 0) * time_base
    # Pieces of a video may have a pause of a frame between them; and these streams do not say their rate.
    tells_rate = encode.edit not in ("two", "four") and encode.container not in ("mjpeg", "obu")
    is_steady = encode.times == "constant" and tells_rate
    return Truth(numbers_of(shown), seconds, shown, first, is_stamped, is_steady)


def _decoded(container: InputContainer, stream: VideoStream, encode: Encode) -> Iterator[VideoFrame]:
    """Every frame in order. Each piece of an edited or joined file by itself, as a player does that seeks to it."""
    has_pieces = encode.edit in ("two", "four") or encode.damage == "joined"
    before: int | None = None
    for packet in container.demux(stream):
        goes_back = None not in (before, packet.dts) and (packet.dts or 0) < (before or 0)
        if has_pieces and goes_back and packet.is_keyframe:
            yield from stream.codec_context.decode(None)
            stream.codec_context.flush_buffers()
        before = before if packet.dts is None else packet.dts
        yield from packet.decode()


def complains(path: Path) -> bool:
    """Whether FFmpeg notices any damage when it decodes the file as strictly as it can."""
    noticed = False
    with av.logging.Capture() as messages:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    return True
                context: Any = container.streams.video[0].codec_context
                context.thread_type, context.thread_count, context.options = "NONE", 1, dict(_STRICT)
                if context.name in ("mpeg1video", "mpeg2video"):
                    # It takes legal stuffing for damage otherwise.
                    context.options = {"err_detect": "crccheck+buffer+explode"}
                for packet in container.demux(container.streams.video[0]):
                    noticed |= packet.is_corrupt
                    noticed |= any(frame.is_corrupt for frame in packet.decode())
        except av.error.FFmpegError:
            noticed = True
        finally:
            av.logging.set_level(level)
    return noticed or any(level <= av.logging.ERROR for level, _, _ in messages)


def first_packet_seconds(path: Path) -> list[float]:
    """Where the clock of a damaged file may begin: at its earliest time stamp, or at that of its first packet."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return []
            stream = container.streams.video[0]
            pts = [
                packet.pts
                for packet in container.demux(stream)
                if packet.pts is not None and not packet.is_discard
            ]
    except av.error.FFmpegError:
        return []
    return [value * float(stream.time_base or 1) for value in ({min(pts), pts[0]} if pts else ())]


def _upright(frame: VideoFrame, encode: Encode) -> np.ndarray:
    """Turned as the encode asked its container to say."""
    picture = np.rot90(frame.to_ndarray(), encode.rotation // 90)
    return np.ascontiguousarray(picture[:, ::-1] if encode.mirrored else picture)


def _seconds(pts: list[int | None], time_base: float, encode: Encode, path: Path) -> tuple[np.ndarray, bool]:
    """When each frame is shown, counted from the first, and whether the file says so."""
    ticks = np.array([np.nan if value is None else value for value in pts], np.float64)
    gaps = np.diff(ticks)
    if encode.damage == "joined" and np.isfinite(ticks).all():
        # The clock starts anew in the second recording, whose first frame follows the last as any other does.
        gaps[encode.frames - 1 : encode.frames] = np.median(gaps)
    seconds = np.concatenate(([0.0], np.cumsum(gaps))) * time_base
    if np.isfinite(seconds).all() and (gaps > 0).all() and _are_written(path, encode):
        return seconds, True
    return np.arange(len(pts)) / float(encode.frames_per_second), False


def _are_written(path: Path, encode: Encode) -> bool:
    """Whether the file says of every frame when it is shown, and the demuxer makes nothing up.

    Raw streams and AVI have no times. In a program stream frames share a packet and its one time stamp, if they are
    small.
    """
    if encode.container != "mpg":
        return encode.container in HOLD_TIMES
    with av.open(str(path), options={"fflags": "nofillin"}) as container:
        return all(frame.pts is not None for frame in container.decode(video=0))
