"""The pretrained tags of open_clip: how each was trained, and from which file it comes.

Preprocessing and activation belong to weights, not to architectures: ViT-B-32 has tags that were trained with
QuickGELU and tags that were not. Since open_clip 3 the name ``ViT-B-32`` with the tag ``openai`` would run without
QuickGELU, with a warning only (open_clip#1068).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

HUB_WEIGHTS = (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
"""Names of the weights in a repository of the hub, the preferred first."""

PUBLISHED_AS_TORCHSCRIPT = "openai"
"""The one tag whose original files are TorchScript archives; all of its models have QuickGELU."""


@dataclass(frozen=True)
class Training:
    """What running weights rightly takes beside their architecture."""

    mean: tuple[float, ...] = open_clip.OPENAI_DATASET_MEAN
    std: tuple[float, ...] = open_clip.OPENAI_DATASET_STD
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    quick_gelu: bool = False

    @property
    def preprocessing(self) -> dict[str, Any]:
        """As ``force_preprocess_cfg`` of open_clip takes it."""
        return {key: value for key, value in vars(self).items() if key != "quick_gelu"}


@dataclass(frozen=True)
class TagFile:
    """Where the weights of a tag are published."""

    repository: str
    names: tuple[str, ...]
    """File names in the repository; the first that exists is taken."""
    original: str
    """Name of the same weights' file at their first place of publication."""


def tags_of(model: str) -> tuple[str, ...]:
    """The pretrained tags of a model."""
    return tuple(open_clip.list_pretrained_tags_by_model(model))


def usual_tag(model: str) -> str:
    """The tag that is meant where none is named: OpenAI's own weights, else the first; empty without tags."""
    tags = tags_of(model)
    return "openai" if "openai" in tags else next(iter(tags), "")


def training_of(model: str, tag: str) -> Training:
    """How the weights of a tag were trained.

    A tag may say QuickGELU where its model does not, and a model (roberta-ViT-B-32) where its tag does not.
    """
    record = _record(model, tag)
    return Training(
        mean=tuple(record["mean"]),
        std=tuple(record["std"]),
        interpolation=record["interpolation"],
        resize_mode=record["resize_mode"],
        quick_gelu=record.get("quick_gelu", False) or _quick_gelu_by_name(model),
    )


def likely_training(model: str) -> tuple[Training, bool]:
    """How weights without a tag were trained, and whether all tags of the model agree with that.

    The activation is the model's own; the preprocessing is that of its tags where they have one in common, and
    open_clip's default where not.
    """
    tagged = {training_of(model, tag) for tag in tags_of(model)}
    plain = {Training(**one.preprocessing, quick_gelu=_quick_gelu_by_name(model)) for one in tagged}
    likely = plain.pop() if len(plain) == 1 else Training(quick_gelu=_quick_gelu_by_name(model))
    return likely, tagged <= {likely}


def tag_file(model: str, tag: str) -> TagFile:
    """Where the weights of a tag are published."""
    record = _record(model, tag)
    repository, _, name = record["hf_hub"].rpartition("/")
    original = record.get("url", "").rpartition("/")[2]
    if not name:
        return TagFile(repository, HUB_WEIGHTS, original)
    safe = () if name.endswith(".safetensors") else (f"{name.rpartition('.')[0]}.safetensors",)
    return TagFile(repository, (*safe, name), original)


def tag_of_file(model: str, path: Path) -> str | None:
    """The tag whose published file this is, by its name or by the folder it was downloaded to."""
    folders = {parent.name for parent in path.resolve().parents}
    for tag in tags_of(model):
        file = tag_file(model, tag)
        places = {file.repository.rpartition("/")[2], f"models--{file.repository.replace('/', '--')}"}
        own_names = {name for name in (*file.names, file.original) if name not in HUB_WEIGHTS}
        if path.name in own_names or (path.name in file.names and folders & places):
            return tag
    return None


def _record(model: str, tag: str) -> Mapping[str, Any]:
    return open_clip.get_pretrained_cfg(model, tag)


def _quick_gelu_by_name(model: str) -> bool:
    config: Mapping[str, Any] = open_clip.get_model_config(model) or {}
    return bool(config.get("quick_gelu", False))
