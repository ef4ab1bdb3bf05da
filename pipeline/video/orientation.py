"""How a stored picture has to be turned and mirrored to stand upright: the display matrix of its stream."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
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
