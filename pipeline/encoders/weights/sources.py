"""From ``--model`` and ``--pretrained`` to an architecture, the file of its weights, and how it was trained."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
from open_clip.constants import HF_CONFIG_NAME

from ....data.contracts.cautions import WORDS_MODEL
from ....data.contracts.errors import MissingWeightsError, UsageError, WeightsError, unknown_name
from ..base import RANDOM
from .downloads import MissingFileError, hub_cache, hub_file
from .file_kinds import is_torchscript
from .tags import (
    HUB_WEIGHTS,
    PUBLISHED_AS_TORCHSCRIPT,
    Training,
    likely_training,
    tag_file,
    tag_of_file,
    tags_of,
    training_of,
    usual_tag,
)

STORYBOARD_MODEL, STORYBOARD_TAG = "tvr-storyboard", "storyboard"
_HUB = "hf-hub:"
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")


NOT_A_MODEL = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
)
"""What open_clip raises on a configuration that describes no model."""


@dataclass(frozen=True)
class Source:
    """Everything that decides which network is built and with which weights."""

    model: str
    """As the store records it."""
    pretrained: str
    """As the store records it: a tag, ``random`` or a file name."""
    open_clip_name: str
    """What ``open_clip.create_model`` takes."""
    checkpoint: Path | None
    """The file of the weights; None for random ones and for those shipped with this package."""
    training: Training | None
    """How the weights were trained; None where the model's own configuration file says it."""
    is_scripted: bool = False
    """Whether the checkpoint is a TorchScript archive, which was asked for by the tag that was published as one."""


def model_config(source: Source) -> Mapping[str, Any]:
    """open_clip's configuration of the source's architecture.

    Raises:
        WeightsError: that of a repository of the hub is damaged, or none of a model.
    """
    try:
        config: Any = open_clip.get_model_config(source.open_clip_name)
    except NOT_A_MODEL as error:
        raise WeightsError(no_model(source, str(error))) from error
    parts = {"embed_dim": int, "vision_cfg": dict, "text_cfg": dict}
    for name, kind in parts.items():
        if not isinstance(config, dict) or not isinstance(config.get(name), kind):
            raise WeightsError(no_model(source, f"it has no {name}, or none that is of type {kind.__name__}"))
    return config


def no_model(source: Source, reason: str) -> str:
    """What is said of a configuration that describes no model."""
    return f"{HF_CONFIG_NAME} of {source.model} does not describe a model of open_clip: {reason}"


def refuse_other_places(source: Source) -> None:
    """See that the configuration of a repository names parts that timm and transformers know, and no other place: what
    lies there nobody named, and no record of the store would say.

    Raises:
        WeightsError: it names a folder or another repository.
    """
    if not source.model.startswith(_HUB):
        return
    config = model_config(source)
    picture, text = config["vision_cfg"].get("timm_model_name"), config["text_cfg"]
    names = [text.get(key) for key in ("hf_model_name", "hf_tokenizer_name")]
    elsewhere = [name for name in (picture,) if name and re.search(r"[:/\\]", str(name))]
    elsewhere += [name for name in names if name and (str(name)[0] in "./\\~" or Path(str(name)).exists())]
    if elsewhere:
        raise WeightsError(
            f"the configuration of {source.model} sends to {elsewhere[0]!r}, which is another place than that "
            "repository, and is not followed"
        )


def known_models() -> dict[str, tuple[str, ...]]:
    """Every model that is known by name, with its pretrained tags."""
    models = {name: tags_of(name) for name in open_clip.list_models()}
    return {**models, STORYBOARD_MODEL: (STORYBOARD_TAG,)}


def is_repository(model: str) -> bool:
    """Whether a name of a model means a repository that anybody may have made."""
    return model.startswith(_HUB)


def is_of_this_machine(model: str, pretrained: str | None) -> bool:
    """Whether a name of weights means a file on this machine, not what is published under that name."""
    if pretrained in (None, RANDOM) or (is_repository(model) and pretrained in HUB_WEIGHTS):
        return False
    return pretrained.lower().replace("-", "_") not in known_models().get(model.replace("/", "-"), ())


def find_source(model: str, pretrained: str | None, cache: Path | None) -> Source:
    """What is meant by a model and its weights; downloads the weights if they are not here.

    Args:
        model: a name of open_clip, ``hf-hub:owner/name`` or ``tvr-storyboard``.
        pretrained: a tag, a checkpoint file, ``tag=file`` for a file that holds a tag's weights, ``random``, or
            None for the usual weights of the model.
        cache: folder of downloaded files; None for the usual ones.

    Raises:
        UsageError: an unknown model or tag.
        WeightsError: the weights are not here and cannot be had.
    """
    if model.startswith(_HUB):
        return _hub_source(model.removeprefix(_HUB), pretrained, cache)
    name = model.replace("/", "-")
    if name == STORYBOARD_MODEL:
        from ..storyboard_backbone import register

        register()
        if pretrained in (None, STORYBOARD_TAG):
            return Source(name, STORYBOARD_TAG, name, None, Training())
    if name not in open_clip.list_models():
        raise UsageError(_unknown_model(name))
    choice = usual_tag(name) if pretrained is None else pretrained
    if choice == RANDOM:
        return Source(name, RANDOM, name, None, likely_training(name)[0])
    return _weights_source(name, choice, cache)


def _weights_source(name: str, choice: str, cache: Path | None) -> Source:
    """Weights by a tag, a file, or ``tag=file``."""
    tag, _, file = choice.partition("=")
    tag = tag.lower().replace("-", "_")
    if tag in tags_of(name):
        path = _existing(file) if file else _downloaded(name, tag, cache)
        if is_torchscript(path) and tag == PUBLISHED_AS_TORCHSCRIPT:
            training = replace(
                training_of(name, tag), quick_gelu=True
            )  # as all models that were published so
            return Source(name, path.name if file else tag, name, path, training, is_scripted=True)
        return _trained_as(name, path, tag, path.name if file else tag)
    if Path(choice).is_file() or re.search(r"[\\/]", choice) or choice.endswith(_SUFFIXES):
        path = _existing(choice)
        return _trained_as(name, path, tag_of_file(name, path), path.name)
    raise UsageError(_unknown_tag(name, choice))


def _trained_as(name: str, path: Path, tag: str | None, label: str) -> Source:
    """Tensors of a file, trained as those of the tag, where that is known."""
    if is_torchscript(path):
        raise WeightsError(_how_to_ask_for_torchscript(name, path))
    if tag is not None:
        return Source(name, label, name, path, training_of(name, tag))
    training, is_certain = likely_training(name)
    if not is_certain:
        activation = "QuickGELU" if training.quick_gelu else "GELU"
        warnings.warn(
            f"{path.name} does not say how it was trained, and the published weights of {name} differ in "
            f"activation or preprocessing. It is run with {activation} and {training.preprocessing}. If it holds "
            f"the weights of a tag, say so: --pretrained {usual_tag(name)}={path.name}",
            stacklevel=2,
        )
    return Source(name, label, name, path, training)


def _hub_source(repository: str, pretrained: str | None, cache: Path | None) -> Source:
    """A repository of the hub that holds an open_clip model: its configuration and its weights."""
    model = _HUB + repository
    try:
        config = hub_file(repository, [HF_CONFIG_NAME], cache)
        source = Source(model, RANDOM, f"local-dir:{config.parent}", None, None)
        if pretrained == RANDOM:
            return source
        own = pretrained or HUB_WEIGHTS[0]
        path = hub_file(repository, HUB_WEIGHTS, cache) if own in HUB_WEIGHTS else _existing(own)
    except MissingFileError as error:
        names = f"its {HF_CONFIG_NAME} and {HUB_WEIGHTS[0]} by hand"
        raise _missing(model, repository, names, cache, error) from error
    if is_torchscript(path):
        raise WeightsError(_how_to_ask_for_torchscript(model, path))
    return replace(source, pretrained=path.name, checkpoint=path)


def _downloaded(name: str, tag: str, cache: Path | None) -> Path:
    """The file of a tag: as its authors first published it, if it lies in a cache, else from the hub."""
    file = tag_file(name, tag)
    original = (cache or Path("~/.cache/clip").expanduser()) / file.original
    if original.is_file():
        return original
    try:
        return hub_file(file.repository, file.names, cache)
    except MissingFileError as error:
        names = f"--pretrained {tag}=/path/to/{file.names[0]}"
        raise _missing(f"{name} ({tag})", file.repository, names, cache, error) from error


def _missing(
    what: str, repository: str, one_file: str, cache: Path | None, error: MissingFileError
) -> MissingWeightsError:
    """What is said of weights that are not here: what is wrong, and how to bring them. Who knows which command was
    typed adds what works without."""
    return MissingWeightsError(
        f"the weights of {what} are not on this machine: {error}\n"
        f"to bring them: `hf download {repository}` with a network, into {hub_cache(cache)}; or {one_file}"
    )


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"--pretrained {name}: there is no such file; name a checkpoint file, a tag, or {RANDOM}"
        )
    return path


def _unknown_model(name: str) -> str:
    known = unknown_name("model", name, [*known_models(), WORDS_MODEL])
    return (
        f"{known} Or hf-hub:owner/name, or transformers:owner/name, for a repository of the Hugging Face hub."
    )


def _unknown_tag(name: str, tag: str) -> str:
    tags, plain = known_models()[name], name.removesuffix("-quickgelu")
    if not tags:
        return f"{name} has no published weights: --pretrained must be a checkpoint file or {RANDOM}, got {tag!r}"
    message = unknown_name(f"pretrained tag of {name}", tag, tags)
    if tag in tags_of(plain):
        message += f" The weights {tag} were trained without QuickGELU: use --model {plain}."
    return f"{message} Or a checkpoint file, or {RANDOM} for untrained weights."


def _how_to_ask_for_torchscript(model: str, path: Path) -> str:
    asking = ""
    if PUBLISHED_AS_TORCHSCRIPT in tags_of(model):
        asking = (
            f"If it holds OpenAI's weights and you trust who gave it to you, ask for it by their tag: --pretrained "
            f"{PUBLISHED_AS_TORCHSCRIPT}={path}. Or "
        )
    return (
        f"{path} is a TorchScript archive, which is a program: to load it is to run it, and it may read and write "
        f"your files. {asking or 'Only weights are loaded: '}save its state_dict() as .safetensors where you trust it"
    )
