"""Tokenizers of text towers, and what the package transformers makes of them, by names of the hub."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import open_clip
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

from ....data.contracts.errors import WeightsError
from .downloads import MissingFileError, check_reachable, hub_file
from .sources import Source, model_config


def tokenizer_of(source: Source, cache: Path | None) -> Any:
    """open_clip's tokenizer of the model.

    Raises:
        WeightsError: it needs a package or files that are not here.
    """
    text = model_config(source)["text_cfg"]
    name = text.get("hf_tokenizer_name")
    if not name:
        return open_clip.get_tokenizer(source.open_clip_name)
    _require_transformers(source.model, "tokenizer")
    settings: dict[str, Any] = {
        "context_length": text.get("context_length", DEFAULT_CONTEXT_LENGTH),
        "cache_dir": cache,
        "tokenizer_mode": text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    }
    try:
        return HFTokenizer(name, **settings, local_files_only=True)
    except (OSError, ValueError):
        try:
            check_reachable()
            return HFTokenizer(name, **settings)
        except (MissingFileError, OSError, ValueError) as error:
            raise WeightsError(
                f"{source.model} reads texts with the tokenizer {name}, which is not on this machine: {error}. "
                f"Run `hf download {name}` on a machine with a network and copy its cache here"
            ) from error


def clip_vocabulary() -> Mapping[int, str]:
    """The written form of each token of CLIP's own tokenizer; ``</w>`` ends a word."""
    return SimpleTokenizer().decoder


def require_text_tower(model: str, name: str, cache: Path | None) -> None:
    """Make sure that a text tower can be built, whose configuration is on the hub.

    Raises:
        WeightsError: the package transformers or the configuration is not here.
    """
    _require_transformers(model, "text tower")
    if Path(name).is_dir():
        return
    try:
        hub_file(name, ["config.json"], cache)
    except MissingFileError as error:
        raise WeightsError(
            f"the text tower of {model} is described by config.json of {name}, which is not on this machine: "
            f"{error}. Run `hf download {name} config.json` on a machine with a network and copy its cache here"
        ) from error


def _require_transformers(model: str, part: str) -> None:
    if find_spec("transformers") is None:
        raise WeightsError(
            f"the {part} of {model} needs the package transformers: run "
            "`pip install transformers sentencepiece protobuf`"
        )
