"""Small real videos whose every frame tells its own number, and files that are no videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_BLOCK = 16
_BITS = 12
HEIGHT, WIDTH = 64, 96


@dataclass(frozen=True)
class Movie:
    """How a test video is made."""

    num_frames: int = 60
    fps: int = 25
    times: Sequence[int] | None = None
    """Presentation times in milliseconds, for a variable frame rate."""
    codec: str = "libx264"
    group_size: int = 12
    """Frames from one key frame to the next."""
    rotation: int = 0
    """Degrees counter-clockwise in the display matrix."""
    mirrored: bool = False


def numbered_frame(number: int) -> np.ndarray:
    """A picture that holds its number in black and white blocks, one a bit."""
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for bit in range(_BITS):
        row, column = divmod(bit, WIDTH // _BLOCK)
        block = np.s_[row * _BLOCK : (row + 1) * _BLOCK, column * _BLOCK : (column + 1) * _BLOCK]
        frame[block] = 235 if number >> bit & 1 else 20
    # A coloured corner: what is turned or mirrored is seen to be.
    frame[3 * _BLOCK :, : 2 * _BLOCK] = (200, 30, 30)
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number in a decoded frame, whatever its size."""
    rows, columns = frame.shape[0] * _BLOCK / HEIGHT, frame.shape[1] * _BLOCK / WIDTH
    number = 0
    for bit in range(_BITS):
        row, column = divmod(bit, WIDTH // _BLOCK)
        number |= int(frame[int((row + 0.5) * rows), int((column + 0.5) * columns)].mean() > 128) << bit
    return number


def write_movie(path: Path, movie: Movie | None = None) -> Path:
    """Encode numbered frames; the container follows from the file's ending."""
    movie = movie or Movie()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(movie.codec, rate=movie.fps)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuv420p"
        stream.gop_size = movie.group_size
        stream.codec_context.thread_count = 1
        if movie.rotation or movie.mirrored:
            stream.set_display_rotation(movie.rotation, hflip=movie.mirrored)
        if movie.times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(movie.num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            if movie.times is not None:
                frame.pts, frame.time_base = movie.times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """A file with a sound track alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        for _ in range(5):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate = 16_000
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def damage(path: Path, position: float, length: int, seed: int = 0) -> Path:
    """Overwrite some bytes in place; ``position`` is a share of the file's size."""
    data = bytearray(path.read_bytes())
    start = int(position * len(data))
    data[start : start + length] = np.random.default_rng(seed).bytes(length)
    path.write_bytes(bytes(data))
    return path
