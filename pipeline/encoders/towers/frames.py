"""Frames through the image tower, in passes of one constant size."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from ...preprocessing import Preprocessing
from .arithmetic import Arithmetic


class FrameTower:
    """Runs ``encode_image`` on uint8 frames.

    A pass always holds ``frames_per_pass`` frames, filled up with black ones. Matrix products choose their
    kernels by shape, so that with one shape the feature of a frame does not depend, to the last bit, on how many
    frames came with it.
    """

    def __init__(self, model: Any, preprocessing: Preprocessing, arithmetic: Arithmetic) -> None:
        self._model, self._preprocessing, self._arithmetic = model, preprocessing, arithmetic
        self.frames_per_pass = 64 if arithmetic.device.type == "cuda" else 32
        scale = torch.tensor([preprocessing.mean, preprocessing.std], device=arithmetic.device)
        self._mean, self._std = scale[:, None, None, None, :].unbind()

    def __call__(self, frames: UInt8[np.ndarray, "frame height width 3"]) -> Float32[np.ndarray, "frame dim"]:
        """Un-normalised features after the projection. At least one frame."""
        self._check(frames)
        size = self.frames_per_pass
        passes = [self._one_pass(frames[start : start + size]) for start in range(0, len(frames), size)]
        return torch.cat(passes).cpu().numpy()

    def _one_pass(self, frames: UInt8[np.ndarray, "frame height width 3"]) -> Float[Tensor, "frame dim"]:
        padded = np.zeros((self.frames_per_pass, *frames.shape[1:]), np.uint8)
        padded[: len(frames)] = frames
        pixels = torch.from_numpy(padded).to(self._arithmetic.device)
        with self._arithmetic.running():
            pictures = pixels.float().div_(255).sub_(self._mean).div_(self._std)
            # Channels stay last in memory, as the weights are: half the time for convolutional towers.
            features = self._model.encode_image(pictures.permute(0, 3, 1, 2), normalize=False)
        return features.float()[: len(frames)]

    def _check(self, frames: UInt8[np.ndarray, "frame height width 3"]) -> None:
        size = (self._preprocessing.height, self._preprocessing.width, 3)
        if frames.shape[1:] != size or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 of shape [frame, {size}], got {frames.dtype} {frames.shape}"
            )
