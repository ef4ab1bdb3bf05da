"""Frames to the device that multiplies, and features back."""

from collections.abc import Callable
from itertools import cycle

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_BUFFERS = 2
"""One is filled while the other is being copied."""


class Transfer:
    """The way between numpy arrays and one device.

    To a GPU it goes through page-locked memory, which is copied while the GPU computes; nothing here waits for the GPU
    but what ``arrival`` gives.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._is_asynchronous = device.type == "cuda"
        self._buffers = cycle([_PageLocked() for _ in range(_BUFFERS)])

    def to_device(
        self, frames: UInt8[np.ndarray, "frame height width 3"], num_frames: int
    ) -> UInt8[Tensor, "padded height width 3"]:
        """So many frames on the device, filled up with black ones."""
        shape = (num_frames, *frames.shape[1:])
        if self._is_asynchronous:
            return next(self._buffers).filled(frames, shape).copied_to(self._device)
        padded = np.zeros(shape, np.uint8)
        padded[: len(frames)] = frames
        return torch.from_numpy(padded).to(self._device)

    def to_host(self, features: Tensor) -> Tensor:
        """The features in the host's memory; to be read after ``arrival``."""
        return features.to("cpu", non_blocking=self._is_asynchronous)

    def arrival(self) -> Callable[[], None]:
        """Waits until all that has been sent to the host so far is there."""
        if not self._is_asynchronous:
            return lambda: None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self._device))
        return event.synchronize


class _PageLocked:
    """A buffer in the host's memory that the GPU reads by itself."""

    def __init__(self) -> None:
        self._pixels = torch.empty(0, dtype=torch.uint8)
        self._is_read = torch.cuda.Event() if torch.cuda.is_available() else None

    def filled(
        self, frames: UInt8[np.ndarray, "frame height width 3"], shape: tuple[int, ...]
    ) -> "_PageLocked":
        if self._is_read is not None:
            self._is_read.synchronize()
        if self._pixels.shape != shape:
            self._pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        pixels = self._pixels.numpy()
        pixels[: len(frames)], pixels[len(frames) :] = frames, 0
        return self

    def copied_to(self, device: torch.device) -> Tensor:
        pixels = self._pixels.to(device, non_blocking=True)
        if self._is_read is not None:
            self._is_read.record(torch.cuda.current_stream(device))
        return pixels
