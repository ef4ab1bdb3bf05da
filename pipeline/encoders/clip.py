"""CLIP and its kin through open_clip: every model, tag and checkpoint that it loads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from jaxtyping import Float32, UInt8

from .base import EncodedText, EncoderIdentity
from .towers.arithmetic import arithmetic
from .towers.digest import weights_digest
from .towers.frames import FrameTower
from .towers.hub_texts import tokenizer_of
from .towers.networks import activation_of, build_network, preprocessing_of
from .towers.sources import RANDOM, Source, find_source, known_models, model_config
from .towers.texts import TextTower, text_tower
from .towers.tokens import Tokeniser

__all__ = ["ClipEncoder", "known_models", "load"]

LARGEST_LOGIT_SCALE = 100.0
"""To which CLIP clips its own (Radford et al. 2021, section 2.5)."""


@dataclass(frozen=True)
class ClipEncoder:
    """A frozen open_clip model. Implements ``Encoder``."""

    identity: EncoderIdentity
    frames: FrameTower
    texts: TextTower

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
        return self.frames(frames)

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
    tokeniser = Tokeniser(tokenizer, tokenizer.context_length)
    texts = text_tower(network, tokeniser, chosen)
    identity = _identity(source, network, texts)
    chosen.prepare(network)
    return ClipEncoder(identity, FrameTower(network, identity.preprocessing, chosen), texts)


def _identity(source: Source, network: Any, texts: TextTower) -> EncoderIdentity:
    """What the store records, taken from the network itself while its weights are as they were loaded."""
    return EncoderIdentity(
        model=source.model,
        pretrained=source.pretrained,
        weights_digest=weights_digest(network.state_dict()),
        random_weights=source.pretrained == RANDOM,
        activation=activation_of(network),
        dim=int(model_config(source)["embed_dim"]),
        context_length=texts.tokeniser.context_length,
        logit_scale=min(float(network.logit_scale.detach().exp()), LARGEST_LOGIT_SCALE),
        preprocessing=preprocessing_of(network),
        precision=texts.arithmetic.precision,
        words_available=texts.words is not None,
        words_unavailable_reason=texts.words_unavailable_reason,
        open_clip_version=open_clip.__version__,
        torch_version=str(torch.__version__),
    )
