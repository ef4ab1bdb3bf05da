"""Frames through the image tower, in passes of one constant size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ...preprocessing import Preprocessing
from ..base import EncodedFrames
from .arithmetic import Arithmetic
from .patches import with_patches
from .transfer import Transfer

MOST_FRAMES_PER_PASS = {"cuda": 256, "mps": 64, "cpu": 32}
"""A CPU gains nothing by more; 64 frames of ViT-B-32 keep a large GPU busy for less time than they take to launch."""


class FrameTower:
    """Runs ``encode_image`` on uint8 frames.

    A pass always holds ``frames_per_pass`` frames (or a whole batch, where batches are smaller), filled up with
    black ones. Matrix products choose their kernels by shape, so that with one shape the feature of a frame does
    not depend, to the last bit, on how many frames came with it.
    """

    def __init__(self, model: Any, preprocessing: Preprocessing, arithmetic: Arithmetic) -> None:
        self._model, self._preprocessing, self._arithmetic = model, preprocessing, arithmetic
        self.frames_per_pass = MOST_FRAMES_PER_PASS[arithmetic.device.type]
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
    ) -> tuple[Float[Tensor, "frame *patch dim"], ...]:
        """Features of the frames and, if they are wanted, of their patches, on their way to the host."""
        pixels = self._transfer.to_device(frames, num_frames)
        with self._arithmetic.running():
            pictures = pixels.float().div_(255).sub_(self._mean).div_(self._std)
            # Channels stay last in memory, as the weights are: half the time for convolutional towers.
            pictures = pictures.permute(0, 3, 1, 2)
            if patches:
                features = with_patches(self._model, pictures)
            else:
                features = (self._model.encode_image(pictures, normalize=False),)
        return tuple(self._transfer.to_host(each.float()[: len(frames)]) for each in features)

    def _check(self, frames: UInt8[np.ndarray, "frame height width 3"]) -> None:
        size = (self._preprocessing.height, self._preprocessing.width, 3)
        if frames.shape[1:] != size or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 of shape [frame, {size}], got {frames.dtype} {frames.shape}"
            )
