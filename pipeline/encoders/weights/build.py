"""From a source to its network with its weights, through open_clip's own loader, and what is read off it."""

import logging
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import open_clip
import torch
from open_clip.transformer import QuickGELU

from ....data.contracts.errors import UsageError, WeightsError
from ...preprocessing import Preprocessing
from .checkpoint import load_checkpoint
from .sources import (
    NOT_A_MODEL,
    STORYBOARD_MODEL,
    STORYBOARD_TAG,
    Source,
    known_models,
    model_config,
    no_model,
    refuse_other_places,
)
from .tokenizers import require_text_tower


def build_network(source: Source, seed: int, cache: Path | None) -> Any:
    """The source's model on the CPU in float32, ready for inference.

    Args:
        source: what to build.
        seed: of the weights, where they are random.
        cache: folder of downloaded files; None for the usual ones.

    Raises:
        WeightsError: the checkpoint is unreadable or another model's, a part of the model cannot be had, or the
            configuration of a repository describes none.
    """
    text = model_config(source)["text_cfg"]
    refuse_other_places(source)
    if text.get("hf_model_name"):
        require_text_tower(source.model, text["hf_model_name"], cache)
    with _quiet_open_clip(), torch.random.fork_rng(devices=[]), _unset_memory_is_nan():
        torch.manual_seed(seed)
        model = _created(source)
        _draw_unset(model)
        if source.checkpoint is not None:
            load_checkpoint(model, source.checkpoint, is_scripted=source.is_scripted, name=source.model)
    if (source.model, source.pretrained) == (STORYBOARD_MODEL, STORYBOARD_TAG):
        from ..storyboard_backbone import state_dict

        model.load_state_dict(state_dict())
    return model.eval()


def preprocessing_of(model: Any) -> Preprocessing:
    """How pictures become this model's input, from open_clip's own record of it."""
    record = open_clip.get_model_preprocess_cfg(model)
    size = record["size"]
    height, width = (size, size) if isinstance(size, int) else size
    return Preprocessing(
        height=height,
        width=width,
        resize_mode=record["resize_mode"],
        interpolation=record["interpolation"],
        mean=_three(record["mean"]),
        std=_three(record["std"]),
        fill_color=record["fill_color"],
    )


def activation_of(model: Any) -> Literal["quick_gelu", "gelu"]:
    """``quick_gelu`` if any layer of the towers has it, else ``gelu``."""
    is_quick = any(isinstance(module, QuickGELU) for module in model.modules())
    return "quick_gelu" if is_quick else "gelu"


def attention_heads_of(config: Mapping[str, Any]) -> int | None:
    """Of a text tower as wide as the features, which open_clip's own code builds; None of any other.

    Args:
        config: open_clip's configuration of the model.
    """
    text = config["text_cfg"]
    if text.get("hf_model_name") or text.get("width", open_clip.CLIPTextCfg.width) != config["embed_dim"]:
        return None
    return int(text.get("heads", open_clip.CLIPTextCfg.heads))


def attention_heads_by_name(model: str) -> int | None:
    """The same of a model by its name alone; None for a repository, and for a name that nobody here knows."""
    name = model.replace("/", "-")
    if name not in known_models():
        return None
    if name == STORYBOARD_MODEL:
        from ..storyboard_backbone import register

        register()
    config: Any = open_clip.get_model_config(name)
    return attention_heads_of(config)


def _created(source: Source) -> Any:
    """The network with weights that are yet to be set."""
    training = source.training
    settings: dict[str, Any] = {"quick_gelu": True} if training and training.quick_gelu else {}
    try:
        model = open_clip.create_model(
            source.open_clip_name,
            load_weights=False,
            pretrained_text=False,
            force_preprocess_cfg=training.preprocessing if training else None,
            **settings,
        )
        preprocessing_of(model)
    # The first of them is what Preprocessing says of an option: here it is the repository's file that says it.
    except (UsageError, *NOT_A_MODEL) as error:
        if source.training is not None:
            raise
        raise WeightsError(no_model(source, str(error))) from error
    return model


@contextmanager
def _unset_memory_is_nan() -> Generator[None, None, None]:
    """Tensors that a model makes and never fills hold NaN, not whatever the memory held before."""
    deterministic: Any = torch.utils.deterministic
    was = torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was[0])
        deterministic.fill_uninitialized_memory = was[1]


def _draw_unset(model: Any) -> None:
    """Draw what open_clip leaves unset, such as the projection of CoCa's captioning tower (open_clip 3.3).

    Without this the digest of random weights would change from process to process.
    """
    for parameter in model.parameters():
        if bool(parameter.isnan().any()):
            torch.nn.init.normal_(parameter, std=parameter.shape[0] ** -0.5)


@contextmanager
def _quiet_open_clip() -> Generator[None]:
    """open_clip logs to the root logger, which sets up a handler there, and warns of weights loaded right after."""
    root, quiet = logging.getLogger(), logging.NullHandler()
    disabled = root.manager.disable
    root.addHandler(quiet)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.removeHandler(quiet)


def _three(numbers: Iterable[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, numbers)
    return red, green, blue
