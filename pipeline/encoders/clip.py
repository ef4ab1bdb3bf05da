"""CLIP and its kin through open_clip: every model, tag and checkpoint that it loads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor

from .base import EncoderIdentity
from .towers.frozen import FrozenEncoder, weights_digest
from .towers.image import FrameTower
from .towers.patch_tokens import num_patches, raw_patches, why_no_patches, with_patches
from .towers.precision import arithmetic, fold_batch_norms
from .towers.text import TextTower, text_tower
from .towers.tokens import Tokenizer
from .weights.build import activation_of, attention_heads_of, build_network, preprocessing_of
from .weights.sources import (
    RANDOM,
    Source,
    find_source,
    is_of_this_machine,
    is_repository,
    known_models,
    model_config,
)
from .weights.tokenizers import clip_vocabulary, tokenizer_of

__all__ = ["is_own_file", "is_own_model", "known_models", "load", "token_names"]

is_own_model, is_own_file = is_repository, is_of_this_machine

MAX_LOGIT_SCALE = 100.0
"""To which CLIP clips its own (Radford et al. 2021, section 2.5)."""

_START_TOKEN, _WORD_END = 49406, "</w>"
"""CLIP's own vocabulary: its first token of every text, and what ends a word."""


def load(
    model: str,
    pretrained: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
    cache_dir: Path | None = None,
) -> FrozenEncoder:
    """Load a model with its weights.

    Args:
        model: a name of open_clip, ``hf-hub:owner/name`` or ``tvr-storyboard``.
        pretrained: a tag, a checkpoint file, ``tag=file``, ``random``, or None for the model's usual weights.
        device: ``auto`` (cuda where there is one), ``cpu``, ``cuda``, ``cuda:1`` and so on.
        precision: of the matrix products; ``auto`` is the fastest that the device multiplies in hardware.
        compiled: whether the image tower is compiled by ``torch.compile``: the first batch then takes a minute
            longer. The text tower is not: texts come in too many lengths.
        cache_dir: folder of downloaded files; None for the usual ones.

    Raises:
        UsageError: an unknown model, tag, device or precision.
        WeightsError: weights that are missing, unreadable or another model's; the message says what to do.
    """
    chosen = arithmetic(device, precision)
    source = find_source(model, pretrained, cache_dir)
    tokenizer = tokenizer_of(source, cache_dir)
    network = build_network(source, 0, cache_dir)
    tokenizer = Tokenizer(tokenizer, tokenizer.context_length)
    texts = text_tower(network, tokenizer, chosen)
    identity = _identity(source, network, texts, compiled=compiled)
    if chosen.precision != "fp32" and isinstance(network.visual, ModifiedResNet):
        fold_batch_norms(network.visual)
    chosen.prepare(network)
    given_patches = with_patches
    if compiled:
        network.visual.compile()
        if identity.patch_kind == "raw":  # which are asked of the tower's parts, not of the tower
            given_patches = torch.compile(with_patches)

    def features(
        pictures: Float[Tensor, "frame 3 height width"], patches: bool
    ) -> tuple[Float[Tensor, "frame *patch _"], ...]:
        if patches:
            return given_patches(network, pictures)
        return (network.encode_image(pictures, normalize=False),)

    return FrozenEncoder(identity, FrameTower(features, identity.preprocessing, chosen), texts)


def token_names(model: str, token_ids: Sequence[int]) -> list[str] | None:
    """The written form of CLIP's own tokens; None where the tokens are of another vocabulary."""
    if not token_ids or token_ids[0] != _START_TOKEN:
        return None
    vocabulary = clip_vocabulary()
    names = [vocabulary.get(token, "?").removesuffix(_WORD_END) for token in token_ids]
    return ["[start]", *names[1:-1], "[end]"]


def _identity(source: Source, network: Any, texts: TextTower, *, compiled: bool) -> EncoderIdentity:
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
        compiled=compiled,
        library_version=f"open_clip {open_clip.__version__}",
        torch_version=str(torch.__version__),
        raw_patches=raw_patches(network),
    )
