"""The Encoder contract: frames and texts in, un-normalised features in one space out.

Every other file here is one encoder, and docs/encoders.md says what such a file holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from ...data.contracts.plug_ins import load_plug_in, plug_in_names
from ..preprocessing import Preprocessing

Precision = Literal["fp32", "bf16", "fp16"]
"""Number format of the matrix products in the towers. Features are always handed out in float32."""

RANDOM = "random"
"""In place of a name of weights: the network as it is before any training."""

NO_TOKEN = -1
"""In ``EncodedText.token_ids``: the row is the pooled one and stands for no token of the text."""


PatchKind = Literal["projected", "raw", ""]
"""projected: in the space of a frame's feature. raw: as the image network has them before it pools. Empty: none."""


@dataclass(frozen=True)
class RawPatches:
    """The tokens of a frame before they are pooled, of an image network that projects no single one."""

    per_frame: int
    """Every token that is pooled: ``prefix`` ones, then those of the patches, row by row of the picture."""
    prefix: int
    """How many stand before the patches: class tokens and registers."""
    dim: int
    """Width of a token: the network's, not that of a frame feature."""
    pooling: tuple[str, ...]
    """Where in the model the weights stand that make the frame's feature of the tokens: how their names begin."""
    pooling_digest: str
    """sha256 over names, shapes and bytes of these weights, as loaded; see ``towers.frozen.weights_digest``."""


@dataclass(frozen=True)
class EncoderIdentity:
    """What must agree before two sets of features may be compared. Goes into the store as it is."""

    model: str
    """As ``--model`` names it."""
    pretrained: str
    """What its weights are called, ``random``, or the file name of a local checkpoint."""
    weights_digest: str
    """sha256 over names, shapes and bytes of all weights, as loaded; see ``towers.frozen.weights_digest``."""
    random_weights: bool
    """True where nothing was trained: figures made with it say nothing of retrieval."""
    activation: str
    """Of the networks as they run, whatever the names say; empty where weights of one kind are run in one way."""
    dim: int
    """Width of a frame or word feature."""
    attention_heads: int | None
    """Of a text network that is as wide as a feature, so that heads may take its layers; None where it is not, or
    where it does not say."""
    context_length: int
    """Most tokens of a text, special ones included."""
    logit_scale: float
    """What the model was trained to multiply cosines with, at most 100."""
    preprocessing: Preprocessing
    """How a decoded frame becomes the model's input."""
    precision: Precision
    """Of the matrix products."""
    words_available: bool
    """Whether ``EncodedText.words`` holds every word, or the pooled row alone."""
    words_unavailable_reason: str
    """Empty where words are available."""
    num_patches: int
    """Patches of a frame that have a feature each, in the space of the frame's own; or 0."""
    patches_unavailable_reason: str
    """Why they have none; empty where they have."""
    compiled: bool
    """Whether the image network was compiled, which rounds differently."""
    library_version: str
    """Name and version of the package that runs the networks, such as ``open_clip 3.3.0``."""
    torch_version: str
    raw_patches: RawPatches | None = None
    """What there is instead, where no patch has a feature in the space of the frame's."""

    @property
    def patch_kind(self) -> PatchKind:
        """What ``EncodedFrames.patches`` are."""
        if self.num_patches:
            return "projected"
        return "raw" if self.raw_patches else ""

    @property
    def patches_per_frame(self) -> int:
        """Rows of ``EncodedFrames.patches``; 0 where there are none."""
        raw = self.raw_patches
        return self.num_patches or (raw.per_frame if raw else 0)

    @property
    def patch_dim(self) -> int:
        """Width of ``EncodedFrames.patches``; 0 where there are none."""
        if self.num_patches:
            return self.dim
        return self.raw_patches.dim if self.raw_patches else 0


@dataclass(frozen=True)
class EncodedText:
    """The features of one text."""

    words: Float32[np.ndarray, "word dim"]
    """Every token in order, special ones too; where the model's own feature of the text is none of them (a class token
    behind the padding, or a mean), that row follows as the last one."""
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
    patches: Float32[np.ndarray, "frame patch patch_dim"] | None = None
    """Of each patch, row by row of the picture, as ``EncoderIdentity.patch_kind`` says; None where they were not asked
    for."""


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

        Raises:
            ValueError: frames of another size or type, or patches of a model that has none.
        """
        ...

    def encode_texts(self, texts: Sequence[str], *, repeatable: bool = False) -> list[EncodedText]:
        """Features of each text, in the order given.

        Args:
            texts: any.
            repeatable: whether each text's features are to be the same, bit for bit, whatever it is encoded with, as
                those of a store are; a query by itself is several times faster without.
        """
        ...


_PACKAGE = "tvr.pipeline.encoders"
_OF_ALL_OTHER_NAMES = "clip"
"""The plug-in that is meant by names that begin with no plug-in's: open_clip's models have no common prefix."""


def plug_in_of(model: str) -> str:
    """Name of the plug-in that loads a model: ``words`` of ``words``, ``transformers`` of ``transformers:...``."""
    name = model.partition(":")[0]
    return name if name in plug_in_names(_PACKAGE) else _OF_ALL_OTHER_NAMES


def load_encoder(
    model: str,
    pretrained: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
) -> Encoder:
    """The frozen model of that name with its weights.

    Args:
        model: as a plug-in of this folder knows it.
        pretrained: a name of weights, a checkpoint file, ``random``, or None for the model's usual weights.
        device: ``auto`` (cuda where there is one), ``cpu``, ``cuda``, ``cuda:1`` and so on.
        precision: of the matrix products; ``auto`` is the fastest that the device multiplies in hardware.
        compiled: whether the image network is compiled: the first batch then takes a minute longer.

    Raises:
        UsageError: an unknown model, name of weights, device or precision.
        WeightsError: weights or packages that are missing, unreadable or another model's; it says what to do.
    """
    settings: dict[str, Any] = {"device": device, "precision": precision, "compiled": compiled}
    load = _plug_in(model).load
    return load(model, pretrained, **settings)


def is_own_model(model: str) -> bool:
    """Whether a name of a model means a folder or a repository that anybody may have made."""
    return _plug_in(model).is_own_model(model)


def is_own_file(model: str, pretrained: str | None) -> bool:
    """Whether a name of weights means a file on this machine, not what is published under that name."""
    return _plug_in(model).is_own_file(model, pretrained)


def token_names(model: str, token_ids: Sequence[int]) -> list[str]:
    """The written form of each token of one text; their places where the vocabulary is not known.

    Args:
        model: as the store records it.
        token_ids: of the rows of the text, in order.
    """
    names = _plug_in(model).token_names(model, token_ids)
    return [str(place) for place in range(len(token_ids))] if names is None else names


def _plug_in(model: str) -> Any:
    return load_plug_in(_PACKAGE, plug_in_of(model))
