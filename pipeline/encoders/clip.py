"""CLIP and its kin through open_clip: every model, tag and checkpoint that it loads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from jaxtyping import Float32, UInt8

from .base import EncodedFrames, EncodedText, EncoderIdentity
from .towers.image import FrameTower
from .towers.patch_tokens import num_patches, why_no_patches
from .towers.precision import arithmetic, fold_batch_norms
from .towers.text import TextTower, text_tower
from .towers.tokens import Tokenizer
from .weights.build import activation_of, attention_heads_of, build_network, preprocessing_of, weights_digest
from .weights.sources import RANDOM, Source, find_source, known_models, model_config
from .weights.tokenizers import tokenizer_of

__all__ = ["ClipEncoder", "known_models", "load"]

MAX_LOGIT_SCALE = 100.0
"""To which CLIP clips its own (Radford et al. 2021, section 2.5)."""


@dataclass(frozen=True)
class ClipEncoder:
    """A frozen open_clip model. Implements ``Encoder``."""

    identity: EncoderIdentity
    frames: FrameTower
    texts: TextTower

    @property
    def frames_per_batch(self) -> int:
        """What suits the device best."""
        return max(64, self.frames.frames_per_pass)

    def encode_frames(
        self, frames: UInt8[np.ndarray, "frame height width 3"]
    ) -> Float32[np.ndarray, "frame dim"]:
        """Un-normalised features after the projection, equal to ``encode_image``.

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
        if patches and not self.identity.num_patches:
            raise ValueError(
                f"{self.identity.model} gives no patches: {self.identity.patches_unavailable_reason}"
            )
        return self.frames.begin(frames, batch_size=batch_size, patches=patches)

    def encode_texts(self, texts: Sequence[str]) -> list[EncodedText]:
        """Un-normalised features after the projection; the pooled row equals ``encode_text``."""
        return self.texts(texts)


def load(
    model: str,
    pretrained: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    cache_dir: Path | None = None,
    seed: int = 0,
) -> ClipEncoder:
    """Load a model with its weights.

    Args:
        model: a name of open_clip, ``hf-hub:owner/name`` or ``tvr-storyboard``.
        pretrained: a tag, a checkpoint file, ``tag=file``, ``random``, or None for the model's usual weights.
        device: ``auto`` (cuda where there is one), ``cpu``, ``cuda``, ``cuda:1`` and so on.
        precision: of the matrix products; ``auto`` is the fastest that the device multiplies in hardware.
        cache_dir: folder of downloaded files; None for the usual ones.
        seed: of ``random`` weights.

    Raises:
        UsageError: an unknown model, tag, device or precision.
        WeightsError: weights that are missing, unreadable or another model's; the message says what to do.
    """
    chosen = arithmetic(device, precision)
    source = find_source(model, pretrained, cache_dir)
    tokenizer = tokenizer_of(source, cache_dir)
    network = build_network(source, seed, cache_dir)
    tokenizer = Tokenizer(tokenizer, tokenizer.context_length)
    texts = text_tower(network, tokenizer, chosen)
    identity = _identity(source, network, texts)
    if chosen.precision != "fp32":
        fold_batch_norms(network)
    chosen.prepare(network)
    return ClipEncoder(identity, FrameTower(network, identity.preprocessing, chosen), texts)


def compiled(encoder: ClipEncoder) -> ClipEncoder:
    """The same encoder, its image tower compiled by ``torch.compile``: the first batch then takes a minute longer.

    The text tower is not: texts come in too many lengths.
    """
    encoder.texts.model.visual.compile()
    return replace(encoder, identity=replace(encoder.identity, compiled=True))


def _identity(source: Source, network: Any, texts: TextTower) -> EncoderIdentity:
    """What the store records, taken from the network itself while its weights are as they were loaded."""
    return EncoderIdentity(
        model=source.model,
        pretrained=source.pretrained,
        weights_digest=weights_digest(network.state_dict()),
        random_weights=source.pretrained == RANDOM,
        activation=activation_of(network),
        dim=int(model_config(source)["embed_dim"]),
        attention_heads=attention_heads_of(model_config(source)),
        context_length=texts.tokenizer.context_length,
        logit_scale=min(float(network.logit_scale.detach().exp()), MAX_LOGIT_SCALE),
        preprocessing=preprocessing_of(network),
        precision=texts.arithmetic.precision,
        words_available=texts.words is not None,
        words_unavailable_reason=texts.words_unavailable_reason,
        num_patches=num_patches(network),
        patches_unavailable_reason=why_no_patches(network),
        compiled=False,
        open_clip_version=open_clip.__version__,
        torch_version=str(torch.__version__),
    )
