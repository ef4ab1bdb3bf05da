"""How a stored picture is shown: how it is turned and mirrored to stand upright, and how wide its pixels are."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8


@dataclass(frozen=True, slots=True)
class Orientation:
    """A turn by right angles, perhaps after mirroring."""

    rotation: int = 0
    """Degrees clockwise: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether the picture is mirrored left to right before it is turned."""
    exact: bool = True
    """False where the matrix asks for more than right angles; then the nearest right angle is taken."""

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.rotation in (90, 270)


UPRIGHT = Orientation()

MAX_PIXEL_ASPECT = 10.0
"""Of a pixel's sides. The widest that are really used are 2.91 (half the columns of a wide PAL picture) and 0.45."""


def orientation_from_matrix(a: float, b: float, c: float, d: float) -> Orientation:
    """From the display matrix: a stored column p and row q are shown at x = a p + c q, y = b p + d q."""
    degrees = math.degrees(math.atan2(-c, d)) % 360
    exact = min(abs(a) + abs(d), abs(b) + abs(c)) == 0
    return Orientation(round(degrees / 90) % 4 * 90, a * d - b * c < 0, exact)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Of one decoded frame; upright where nothing is said."""
    try:
        side_data: Any = frame.side_data
        matrix = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)
    except KeyError:
        return UPRIGHT
    except ValueError:
        # PyAV refuses all side data where one kind is newer than it knows; the rotation is still there.
        return Orientation(-frame.rotation % 360)
    return orientation_from_matrix(*(float(matrix[i]) for i in (0, 1, 3, 4)))


def upright(
    picture: UInt8[np.ndarray, "height width 3"], orientation: Orientation
) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
    """The picture as a player shows it."""
    mirrored = picture[:, ::-1] if orientation.mirrored else picture
    return np.ascontiguousarray(np.rot90(mirrored, k=-orientation.rotation // 90))


def pixel_aspect_of(stream: VideoStream) -> float:
    """Width of a stored pixel over its height; 1 where nothing is said, or nothing that can be meant.

    What the container says goes before what the stream says, as in FFmpeg (``av_guess_sample_aspect_ratio``). A stream
    whose headers tell only its decoder is asked after a frame was decoded.
    """
    aspect = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    return aspect if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else 1.0
