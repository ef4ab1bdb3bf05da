"""Two frozen networks, of frames and of texts, and what tells their weights from others: every encoder here is one."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from ..base import EncodedFrames, EncodedText, EncoderIdentity
from .image import FrameTower

_FRAMES_PER_BATCH = 64
"""At least; so many that a batch is worth its way to the device."""


@dataclass(frozen=True)
class FrozenEncoder:
    """A frozen model of frames and texts. Implements ``Encoder``."""

    identity: EncoderIdentity
    frames: FrameTower
    texts: Callable[[Sequence[str], bool], list[EncodedText]]
    """Of distinct texts, in passes that are repeatable or not."""

    @property
    def frames_per_batch(self) -> int:
        """What suits the device best."""
        return max(_FRAMES_PER_BATCH, self.frames.frames_per_pass)

    def encode_frames(
        self, frames: UInt8[np.ndarray, "frame height width 3"]
    ) -> Float32[np.ndarray, "frame dim"]:
        """Un-normalised features of frames.

        Args:
            frames: of the size of ``identity.preprocessing``, resized as it says.

        Raises:
            ValueError: frames of another size or type.
        """
        if not len(frames):
            return np.zeros((0, self.identity.dim), np.float32)
        return self.begin_frames(frames)().frames

    def begin_frames(
        self,
        frames: UInt8[np.ndarray, "frame height width 3"],
        *,
        batch_size: int | None = None,
        patches: bool = False,
    ) -> Callable[[], EncodedFrames]:
        """Start on at least one frame; calling the result waits for the features.

        Args:
            frames: as for ``encode_frames``.
            batch_size: frames in a full batch, to which a smaller one is filled up.
            patches: whether the features of each frame's patches are wanted as well.

        Raises:
            ValueError: frames of another size or type, or patches of a model that has none.
        """
        if patches and not self.identity.patch_kind:
            raise ValueError(
                f"{self.identity.model} gives no patches: {self.identity.patches_unavailable_reason}"
            )
        return self.frames.begin(frames, batch_size=batch_size, patches=patches)

    def encode_texts(self, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        """Un-normalised features of each text, in the order given. A text that occurs again is not encoded again.

        See ``Encoder.encode_texts``.
        """
        # Half a character, as an argument or a JSON escape may have, is none to any tokenizer.
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return []
        encoded = dict(zip(distinct, self.texts(distinct, repeatable), strict=True))
        return [encoded[text] for text in texts]


def weights_digest(state_dict: Mapping[str, Tensor]) -> str:
    """sha256 over name, dtype, shape and bytes of every tensor, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        tensor = state_dict[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
