"""Frames of many videos, collected into batches of one size for the encoder."""

import time

import numpy as np
from jaxtyping import Float, UInt8

from .encoders.base import Encoder


class FrameBatches:
    """Collects frames until a batch is full, so that memory does not grow with the length of a video."""

    def __init__(self, encoder: Encoder, size: int) -> None:
        self.encoder, self.size = encoder, size
        self.encode_seconds = 0.0
        self._waiting: list[UInt8[np.ndarray, "frame height width 3"]] = []
        self._features = [np.zeros((0, encoder.identity.dim), np.float32)]

    def add(self, frames: UInt8[np.ndarray, "frame height width 3"]) -> None:
        """Take the frames of one video; full batches go to the encoder at once."""
        if len(frames):
            self._waiting.append(frames)
        if sum(map(len, self._waiting)) < self.size:
            return
        waiting = np.concatenate(self._waiting)
        full = len(waiting) - len(waiting) % self.size
        for start in range(0, full, self.size):
            self._encode(waiting[start : start + self.size])
        self._waiting = [waiting[full:].copy()] if full < len(waiting) else []

    def finished(self) -> Float[np.ndarray, "frame dim"]:
        """Features of all frames in the order they came, the last and smaller batch included."""
        if self._waiting:
            self._encode(np.concatenate(self._waiting))
            self._waiting = []
        return np.concatenate(self._features)

    def _encode(self, frames: UInt8[np.ndarray, "frame height width 3"]) -> None:
        started = time.perf_counter()
        self._features.append(self.encoder.encode_frames(frames))
        self.encode_seconds += time.perf_counter() - started
