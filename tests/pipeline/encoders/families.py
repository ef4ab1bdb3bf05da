"""One model of each family that open_clip lists, with fewer layers so that a test takes a second.

Towers that timm builds keep their depth. Families whose tokeniser needs files of the hub read texts with CLIP's own;
everything after the token ids is theirs.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip

Config = dict[str, Any]


def _clip_tokens(config: Config) -> None:
    """Ids of CLIP's tokeniser instead of those of one that must be downloaded."""
    del config["text_cfg"]["hf_tokenizer_name"]
    config["text_cfg"].pop("tokenizer_kwargs", None)
    config["text_cfg"]["vocab_size"] = 49408


def _metaclip_2(config: Config) -> None:
    _clip_tokens(config)
    config["text_cfg"]["eos_id"] = 49407
    config["text_cfg"] |= {"width": 256, "heads": 4}
    config["vision_cfg"] |= {"width": 320, "head_width": 64}


def _clipa(config: Config) -> None:
    _clip_tokens(config)
    config["vision_cfg"] |= {"width": 256}


def _unchanged(config: Config) -> None:
    pass


FAMILIES: dict[str, Callable[[Config], None]] = {
    "ViT-B-32-quickgelu": _unchanged,
    "ViT-B-32": _unchanged,
    "RN50-quickgelu": _unchanged,
    "MobileCLIP2-S0": _unchanged,
    "ViT-B-16-SigLIP": _clip_tokens,
    "ViT-L-14-CLIPA": _clipa,
    "ViT-L-14-worldwide-quickgelu": _metaclip_2,
    "coca_ViT-B-32": _unchanged,
    "EVA02-B-16": _unchanged,
    "convnext_tiny": _unchanged,
    "PE-Core-T-16-384": _unchanged,
    "ViTamin-S": _unchanged,
}
"""What is changed in the configuration of each, beside the number of layers."""


def small_name(family: str) -> str:
    """What open_clip calls the small model. With SigLIP in it, it would ask for a tokeniser that must be downloaded."""
    return f"small-{family.replace('SigLIP', 'Sigmoid')}"


def register_families(folder: Path) -> None:
    """Make the small models known to open_clip by ``small_name``."""
    for name, change in FAMILIES.items():
        config = open_clip.get_model_config(name)
        assert config is not None
        for part in ("vision_cfg", "text_cfg", "multimodal_cfg"):
            if isinstance(config.get(part, {}).get("layers"), int):
                config[part]["layers"] = 2
        change(config)
        (folder / f"{small_name(name)}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
