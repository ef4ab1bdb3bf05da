"""Frames to the device, through an image network in passes of one constant size, and features back."""

from collections.abc import Callable
from itertools import cycle

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ...preprocessing import Preprocessing
from ..base import EncodedFrames
from .precision import Arithmetic

MAX_FRAMES_PER_PASS = {"cuda": 256, "mps": 64, "cpu": 32}
"""A CPU gains nothing by more; 64 frames of ViT-B-32 keep a large GPU busy for less time than they take to launch."""

Network = Callable[[Float[Tensor, "frame 3 height width"], bool], tuple[Float[Tensor, "frame *patch _"], ...]]
"""From normalised pictures to their features and, where these are asked for, to those of their patches."""

_BUFFERS = 2
"""In page-locked memory: one is filled while the other is being copied."""


class FrameTower:
    """Runs an image network on uint8 frames.

    A pass always holds ``frames_per_pass`` frames (or a whole batch, where batches are smaller), filled up with
    black ones. Matrix products choose their kernels by shape, so that with one shape the feature of a frame does
    not depend, to the last bit, on how many frames came with it.

    Args:
        network: on the device.
        preprocessing: of its input.
        arithmetic: the device and number format.
        frames_per_pass: what suits the network best; None: what suits a vision transformer on the device.
    """

    def __init__(
        self,
        network: Network,
        preprocessing: Preprocessing,
        arithmetic: Arithmetic,
        frames_per_pass: int | None = None,
    ) -> None:
        self._network, self._preprocessing, self._arithmetic = network, preprocessing, arithmetic
        self.frames_per_pass = frames_per_pass or MAX_FRAMES_PER_PASS[arithmetic.device.type]
        self._transfer = Transfer(arithmetic.device)
        scale = torch.tensor([preprocessing.mean, preprocessing.std], device=arithmetic.device)
        self._mean, self._std = scale[:, None, None, None, :].unbind()

    def begin(
        self, frames: UInt8[np.ndarray, "frame height width 3"], *, batch_size: int | None, patches: bool
    ) -> Callable[[], EncodedFrames]:
        """Start to encode at least one frame; calling the result waits for un-normalised features."""
        self._check(frames)
        size = min(self.frames_per_pass, batch_size or self.frames_per_pass)
        passes = [
            self._one_pass(frames[start : start + size], size, patches=patches)
            for start in range(0, len(frames), size)
        ]
        wait = self._transfer.arrival()

        def finished() -> EncodedFrames:
            wait()
            columns = [torch.cat(column).numpy() for column in zip(*passes, strict=True)]
            return EncodedFrames(columns[0], columns[1] if patches else None)

        return finished

    def _one_pass(
        self, frames: UInt8[np.ndarray, "frame height width 3"], num_frames: int, *, patches: bool
    ) -> tuple[Float[Tensor, "frame *patch _"], ...]:
        """Features of the frames and, if they are wanted, of their patches, on their way to the host."""
        pixels = self._transfer.to_device(frames, num_frames)
        with self._arithmetic.running():
            pictures = pixels.float().div_(255).sub_(self._mean).div_(self._std)
            # Channels stay last in memory, as the weights are: half the time for convolutional towers.
            pictures = pictures.permute(0, 3, 1, 2)
            features = self._network(pictures, patches)
        return tuple(self._transfer.to_host(each.float()[: len(frames)]) for each in features)

    def _check(self, frames: UInt8[np.ndarray, "frame height width 3"]) -> None:
        size = (self._preprocessing.height, self._preprocessing.width, 3)
        if frames.shape[1:] != size or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 of shape [frame, {size}], got {frames.dtype} {frames.shape}"
            )


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
