"""Memory that a decoding child fills with frames and its parent reads.

A file without a name in memory (``memfd``): it is gone when the last process that holds it is, however that one
ended, so nothing can be left behind; and unlike ``/dev/shm`` it is not limited to the 64 MB of a container. Each
child has its own, so a decoder that writes where it should not spoils no other video. The parent reads it and does
not map it: a child that cut it short would make mapped pages fatal.
"""

import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO

import numpy as np
from jaxtyping import UInt8

from ..preprocessing import Pixels, Preprocessing, Resize, resize


class SharedFrames:
    """The parent's end."""

    def __init__(self) -> None:
        self._file = _unnamed_file()

    @property
    def descriptor(self) -> int:
        """To be inherited by the child."""
        return self._file.fileno()

    def read(self, shape: tuple[int, int, int, int]) -> UInt8[np.ndarray, "frame height width 3"] | None:
        """A copy of the first frames there, or None where there are fewer."""
        frames = np.empty(shape, np.uint8)
        left = frames.reshape(-1).data
        while left:
            count = os.preadv(self.descriptor, [left], frames.nbytes - len(left))
            if not count:
                return None
            left = left[count:]
        return frames

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


class FrameWriter:
    """The child's end: resizes the frames of one video into the memory, and hands over every full chunk.

    Args:
        descriptor: of the memory.
        preprocessing: what every frame is resized to.
        frames_per_chunk: how many frames the memory takes.
        hand_over: told the number of a chunk and of its frames; on return the memory may be filled again.
        pixels: whether frames get the proportions in which a player shows them.
        way: how frames are resampled.
    """

    def __init__(
        self,
        descriptor: int,
        preprocessing: Preprocessing,
        frames_per_chunk: int,
        hand_over: Callable[[int, int], None],
        pixels: Pixels,
        way: Resize = "exact",
    ) -> None:
        shape = (frames_per_chunk, preprocessing.height, preprocessing.width, 3)
        self._memory = _mapped(descriptor, shape)
        self._preprocessing, self._hand_over = preprocessing, hand_over
        self._pixels: Pixels = pixels
        self._way: Resize = way
        self._filled, self._pixel_aspect = 0, 1.0
        self.num_chunks = 0
        """Chunks handed over since the last restart."""
        self.resize_seconds = 0.0
        self.waiting_seconds = 0.0
        """How long the chunks waited to be taken."""

    def restart(self) -> None:
        """Forget every frame: another decoder begins with the video."""
        self._filled = self.num_chunks = 0

    def show_with(self, pixel_aspect: float) -> None:
        """Say how wide the pixels of the upright frames that follow are, as a multiple of their height."""
        self._pixel_aspect = pixel_aspect if self._pixels == "square" else 1.0

    def add(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Take the next frame, of any size."""
        started = time.perf_counter()
        self._memory[self._filled] = resize(frame, self._preprocessing, self._pixel_aspect, self._way)
        self.resize_seconds += time.perf_counter() - started
        self._filled += 1
        if self._filled == len(self._memory):
            started = time.perf_counter()
            self._hand_over(self.num_chunks, self._filled)
            self.waiting_seconds += time.perf_counter() - started
            self.num_chunks, self._filled = self.num_chunks + 1, 0

    @property
    def rest(self) -> UInt8[np.ndarray, "frame height width 3"]:
        """The frames that are in the memory: too few for a chunk."""
        return self._memory[: self._filled]


def _unnamed_file() -> IO[bytes]:
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("tvr-frames"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _mapped(descriptor: int, shape: tuple[int, int, int, int]) -> UInt8[np.ndarray, "frame height width 3"]:
    num_bytes = int(np.prod(shape))
    if os.fstat(descriptor).st_size < num_bytes:
        os.ftruncate(descriptor, num_bytes)
    return np.frombuffer(mmap.mmap(descriptor, num_bytes), np.uint8).reshape(shape)
