"""Tokenizers of text towers, and what the package transformers makes of them, by names of the hub."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import open_clip
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

from ....data.contracts.errors import WeightsError
from .downloads import MissingFileError, check_reachable, hub_file
from .sources import Source, model_config, refuse_other_places

_OWN_SETTINGS = ("clean", "strip_sep_token", "language")
"""What a configuration may say of its tokenizer. Whatever else it says open_clip would hand to transformers, which runs
code of a repository that says ``trust_remote_code``."""


def tokenizer_of(source: Source, cache: Path | None) -> Any:
    """open_clip's tokenizer of the model.

    Raises:
        WeightsError: it needs a package or files that are not here, or settings that could run code.
    """
    refuse_other_places(source)
    text = model_config(source)["text_cfg"]
    name, kwargs = text.get("hf_tokenizer_name"), text.get("tokenizer_kwargs", {})
    if unknown := sorted(set(kwargs).difference(_OWN_SETTINGS)):
        raise WeightsError(
            f"the configuration of {source.model} sets {', '.join(unknown)} of its tokenizer; only "
            f"{', '.join(_OWN_SETTINGS)} are taken from a configuration, because others can run code"
        )
    if not name:
        own = source.open_clip_name
        # A repository or folder may hold another tokenizer by the next time.
        is_known = ":" not in own
        return _known_tokenizer(own, json.dumps(text)) if is_known else open_clip.get_tokenizer(own)
    _require_transformers(source.model, "tokenizer")
    settings: dict[str, Any] = {
        "context_length": text.get("context_length", DEFAULT_CONTEXT_LENGTH),
        "cache_dir": cache,
        "tokenizer_mode": text.get("tokenizer_mode"),
        **kwargs,
        "trust_remote_code": False,
    }
    try:
        return HFTokenizer(name, **settings, local_files_only=True)
    except (OSError, ValueError, TypeError):
        try:
            check_reachable()
            return HFTokenizer(name, **settings)
        except (MissingFileError, OSError, ValueError, TypeError) as error:
            raise WeightsError(
                f"{source.model} reads texts with the tokenizer {name}, which is not on this machine: {error}. "
                f"Run `hf download {name}` on a machine with a network and copy its cache here"
            ) from error


@lru_cache(maxsize=4)
def _known_tokenizer(model: str, configuration: str) -> Any:
    """That of a model which open_clip knows by name, as it is configured now. No call changes it; making it takes
    0.1 s.
    """
    return open_clip.get_tokenizer(model)


@cache
def clip_vocabulary() -> Mapping[int, str]:
    """The written form of each token of CLIP's own tokenizer; ``</w>`` ends a word."""
    return SimpleTokenizer().decoder


def require_text_tower(model: str, name: str, cache: Path | None) -> None:
    """Make sure that a text tower can be built, whose configuration is on the hub, without code of its own.

    Raises:
        WeightsError: the package transformers or the configuration is not here, or it asks for code of its own.
    """
    _require_transformers(model, "text tower")
    try:
        own = Path(name) / "config.json"
        config = own if own.is_file() else hub_file(name, ["config.json"], cache)
        is_coded = "auto_map" in json.loads(config.read_bytes())
    except MissingFileError as error:
        raise WeightsError(
            f"the text tower of {model} is described by config.json of {name}, which is not on this machine: "
            f"{error}. Run `hf download {name} config.json` on a machine with a network and copy its cache here"
        ) from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"the text tower of {model}: config.json of {name} cannot be read: {error}"
        ) from error
    if is_coded:
        raise WeightsError(
            f"the text tower of {model} is built by Python code of {name} itself, which is not run: only towers that "
            "transformers knows are"
        )


def _require_transformers(model: str, part: str) -> None:
    if find_spec("transformers") is None:
        raise WeightsError(
            f"the {part} of {model} needs the package transformers: run "
            "`pip install transformers sentencepiece protobuf`"
        )
