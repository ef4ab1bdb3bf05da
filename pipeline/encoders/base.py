"""The Encoder contract: frames and texts in, un-normalised features after the projection out.

Every other file here is one encoder: ``load(model, pretrained, ...) -> Encoder``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from ..preprocessing import Preprocessing

Precision = Literal["fp32", "bf16", "fp16"]
"""Number format of the matrix products in the towers. Features are always handed out in float32."""

NO_TOKEN = -1
"""In ``EncodedText.token_ids``: the row is the pooled one and stands for no token of the text."""


@dataclass(frozen=True)
class EncoderIdentity:
    """What must agree before two sets of features may be compared. Goes into the store as it is."""

    model: str
    """As open_clip calls it."""
    pretrained: str
    """A pretrained tag, ``random``, or the file name of a local checkpoint."""
    weights_digest: str
    """sha256 over names, shapes and bytes of all weights in float32, as loaded; see ``weights.build``."""
    random_weights: bool
    """True where nothing was trained: figures made with it say nothing of retrieval."""
    activation: Literal["quick_gelu", "gelu"]
    """Of the towers as they run, whatever name and tag say."""
    dim: int
    """Width of a frame or word feature."""
    attention_heads: int | None
    """Of the text tower where it is as wide as a feature, so that heads may take its layers; None where it is not, or
    where it does not say."""
    context_length: int
    """Most tokens of a text, start and end token included."""
    logit_scale: float
    """What the model multiplies cosines with, at most 100."""
    preprocessing: Preprocessing
    """How a decoded frame becomes the model's input."""
    precision: Precision
    """Of the towers."""
    words_available: bool
    """Whether ``EncodedText.words`` holds every word, or the pooled row alone."""
    words_unavailable_reason: str
    """Empty where words are available."""
    num_patches: int
    """Patches of a frame that have a feature each, or 0."""
    patches_unavailable_reason: str
    """Empty where patches are available."""
    compiled: bool
    """Whether the image tower was compiled, which rounds differently."""
    open_clip_version: str
    torch_version: str


@dataclass(frozen=True)
class EncodedText:
    """The features of one text."""

    words: Float32[np.ndarray, "word dim"]
    """Every position from the start to the end token, in order; where the model pools at another position (a
    class token, or the last of the padding), that row follows as the last one."""
    token_ids: Int32[np.ndarray, " word"]
    """The token of each row; ``NO_TOKEN`` for a pooled row that has none."""
    sentence_row: int
    """Which row of ``words`` is what the model itself gives for the text."""
    truncated: bool
    """Whether the text has more tokens than the model reads."""


@dataclass(frozen=True)
class EncodedFrames:
    """The features of a batch of frames."""

    frames: Float32[np.ndarray, "frame dim"]
    patches: Float32[np.ndarray, "frame patch dim"] | None = None
    """Of each patch, row by row of the picture, in the space of ``frames``; None where they were not asked for."""


@runtime_checkable
class Encoder(Protocol):
    """A frozen model of frames and texts."""

    @property
    def identity(self) -> EncoderIdentity:
        """What these features are, for the store's record."""
        ...

    @property
    def frames_per_batch(self) -> int:
        """What suits its device best."""
        ...

    def encode_frames(
        self, frames: UInt8[np.ndarray, "frame height width 3"]
    ) -> Float32[np.ndarray, "frame dim"]:
        """Features of frames that have the size of ``identity.preprocessing``."""
        ...

    def begin_frames(
        self,
        frames: UInt8[np.ndarray, "frame height width 3"],
        *,
        batch_size: int | None = None,
        patches: bool = False,
    ) -> Callable[[], EncodedFrames]:
        """Start to encode at least one frame; calling the result waits for the features.

        Where a GPU computes, the caller has its hands free until then. A batch of fewer than ``batch_size`` frames
        gives the same features to the last bit as if it were full.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> list[EncodedText]:
        """Features of each text, in the order given."""
        ...
