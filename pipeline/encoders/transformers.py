"""Models of the Hugging Face transformers library: CLIP's kin with two networks, and embedding models with one.

``transformers:owner/name`` is a repository of the hub, ``transformers:/path/to/folder`` what ``save_pretrained`` wrote.
Features of frames and pooled rows of texts are those of the library's own functions on the same pixels and tokens.
"""

import math
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from ...data.contracts.errors import UsageError, WeightsError
from .base import NO_TOKEN, RANDOM, EncoderIdentity
from .families.repository import (
    WEIGHTS_NAMES,
    Repository,
    find_repository,
    is_repository_of_transformers,
)
from .towers.frozen import FrozenEncoder, weights_digest
from .towers.image import FrameTower
from .towers.precision import Arithmetic, arithmetic

_OLDEST = (5, 24)
"""Of the library: before it some networks took other arguments and gave other outputs."""

is_own_model = is_repository_of_transformers

_tokenizers: dict[str, Any] = {}
"""Of the models that were loaded here, by name. No other is opened to name a token: a store may be anybody's."""


def known_models() -> dict[str, tuple[str, ...]]:
    """None by name: there are as many as people make."""
    return {}


def is_own_file(model: str, pretrained: str | None) -> bool:
    """False: weights lie in the model's own folder."""
    return False


def token_names(model: str, token_ids: Sequence[int]) -> list[str] | None:
    """The written form of each token, by the tokenizer of a model that was loaded in this process; None of others."""
    if model not in _tokenizers:
        return None
    ids = list(token_ids)
    names = _tokenizers[model].convert_ids_to_tokens([max(one, 0) for one in ids])
    return ["pooled" if one == NO_TOKEN else str(name) for one, name in zip(ids, names, strict=True)]


def load(
    model: str,
    pretrained: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
) -> FrozenEncoder:
    """Load a model with its weights.

    Args:
        model: ``transformers:owner/name``, or ``transformers:`` and a folder.
        pretrained: None or the name of its file for its own weights, or ``random``.
        device: as for ``load_encoder``.
        precision: as for ``load_encoder``.
        compiled: whether the network of pictures is compiled by ``torch.compile``.

    Raises:
        UsageError: an unknown name of weights, device or precision.
        WeightsError: the library or the files are not here, unreadable, of no family that is known here, or ask for
            code of their own.
    """
    chosen = arithmetic(device, precision)
    _require_library(model)
    if pretrained not in (None, RANDOM, *WEIGHTS_NAMES):
        raise UsageError(
            f"a model of the transformers library has the weights of its own folder: --pretrained {RANDOM} draws "
            f"others, and nothing else can be said, got {pretrained!r}"
        )
    from .families.network import UNREADABLE, first_line

    repository = find_repository(model)
    try:
        encoder = _built(repository, chosen, is_random=pretrained == RANDOM, compiled=compiled)
        _try_out(encoder)
    except UNREADABLE as error:
        raise WeightsError(
            f"{repository.model} cannot be run as its files describe it: {first_line(error)}"
        ) from error
    return encoder


def _built(repository: Repository, chosen: Arithmetic, *, is_random: bool, compiled: bool) -> FrozenEncoder:
    family = _family_of(repository, is_random=is_random)
    identity = _identity(repository, family, chosen, is_random=is_random, compiled=compiled)
    if not 0 < identity.logit_scale < math.inf:
        raise WeightsError(f"{repository.model} multiplies cosines with {identity.logit_scale}, not above 0")
    chosen.prepare(family.network)
    if compiled:
        family.image_network.compile()
    _tokenizers[identity.model] = family.tokenizer
    frames = FrameTower(
        family.features, identity.preprocessing, chosen, frames_per_pass=family.frames_per_pass
    )
    return FrozenEncoder(identity, frames, family.texts(chosen))


def _try_out(encoder: FrozenEncoder) -> None:
    """Encode a picture and two texts: what files say of sizes and tokens is only then found to be impossible."""
    size = encoder.identity.preprocessing
    encoder.begin_frames(np.zeros((1, size.height, size.width, 3), np.uint8), batch_size=1)()
    encoder.encode_texts(["a", "word " * encoder.identity.context_length])


def _require_library(model: str) -> None:
    found = version("transformers") if find_spec("transformers") else ""
    if not found or tuple(map(int, found.split(".")[:2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise WeightsError(
            f"--model {model} needs the package transformers, {oldest} or later, and "
            f"{f'{found} is installed' if found else 'it is not installed'}: pip install 'tvr[transformers]'"
        )


def _family_of(repository: Repository, *, is_random: bool) -> Any:
    """The model as its family runs it."""
    from .families.qwen import QWEN_TYPE, QwenEmbedding
    from .families.two_towers import TWO_TOWER_TYPES, TwoTowers

    kind = repository.config.get("model_type")
    if kind in TWO_TOWER_TYPES:
        return TwoTowers(repository, is_random=is_random)
    if kind == QWEN_TYPE:
        return QwenEmbedding(repository, is_random=is_random)
    reason = _UNKNOWN.get(str(kind), "is of no family that gives frames and texts features in one space here")
    known = ", ".join((*TWO_TOWER_TYPES, QWEN_TYPE))
    raise WeightsError(f"{repository.model} has model_type {kind!r} and {reason}. Known: {known}")


_UNKNOWN = {
    "siglip2": "reads pictures of any number of patches, and frames here have one size: take a SigLIP 2 of a fixed "
    "resolution, such as google/siglip2-base-patch16-224",
}
"""Why some kinds that look alike are not run."""


def _identity(
    repository: Repository, family: Any, chosen: Arithmetic, *, is_random: bool, compiled: bool
) -> EncoderIdentity:
    """What the store records, taken from the network while its weights are as they were loaded."""
    return EncoderIdentity(
        model=repository.model,
        pretrained=RANDOM if is_random else repository.weights().name,
        weights_digest=weights_digest(family.network.state_dict()),
        random_weights=is_random,
        activation=family.activation,
        dim=family.dim,
        attention_heads=family.attention_heads,
        context_length=family.context_length,
        logit_scale=family.logit_scale,
        preprocessing=family.preprocessing,
        precision=chosen.precision,
        words_available=True,
        words_unavailable_reason="",
        num_patches=family.num_patches,
        patches_unavailable_reason=family.patches_unavailable_reason,
        compiled=compiled,
        library_version=f"transformers {version('transformers')}",
        torch_version=str(torch.__version__),
    )
