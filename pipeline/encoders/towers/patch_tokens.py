"""What an image network knows of each patch of a frame: projected as the frame is, or raw, before it is pooled.

A vision transformer projects its class token, or the mean of its patches, after the last norm. The same norm and
projection of every patch token give patches that can be compared with words. Where patches are pooled by attention
(SigLIP, PE, CoCa), no projection belongs to a single one: then the tokens come as they are, all that are pooled.
"""

from typing import Any

from jaxtyping import Float
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor

from ..base import RawPatches
from .frozen import weights_digest

_POOLING_OF_TIMM = ("visual.trunk.attn_pool.", "visual.trunk.fc_norm.", "visual.trunk.head.", "visual.head.")
_POOLING_OF_COCA = (
    "visual.attn_pool.",
    "visual.attn_pool_contrastive.",
    "visual.ln_post.",
    "visual.proj",
)
"""How the names of the weights begin that make a frame's feature of its tokens."""


def why_no_patches(model: Any) -> str:
    """Empty where patches have a feature in the space of the frame's, otherwise why they have none."""
    tower = model.visual
    if not isinstance(tower, VisionTransformer):
        return (
            f"its image tower, {type(tower).__name__}, has no patch tokens in the space of its frame feature"
        )
    if tower.attn_pool is not None:
        return "its image tower pools patches by attention, so that no projection belongs to a single patch"
    if tower.proj is None or tower.pool_type not in ("tok", "avg"):
        return f"its image tower pools as {tower.pool_type!r}, without a projection of its own"
    return ""


def num_patches(model: Any) -> int:
    """Patches of a frame that have a feature in the space of the frame's; 0 where they have none."""
    if why_no_patches(model):
        return 0
    rows, columns = model.visual.grid_size
    return int(rows * columns)


def raw_patches(model: Any) -> RawPatches | None:
    """The tokens that the image tower pools; None where they are projected, or where it pools a map instead."""
    tower = model.visual
    if (trunk := _trunk_of_tokens(tower)) is not None:
        grid, prefix = trunk.patch_embed.grid_size, int(trunk.num_prefix_tokens)
        width, begin = int(trunk.embed_dim), _POOLING_OF_TIMM
    elif isinstance(tower, VisionTransformer) and tower.attn_pool is not None:
        grid, prefix = tower.grid_size, 1
        width, begin = int(tower.transformer.width), _POOLING_OF_COCA
    else:
        return None
    weights = {name: value for name, value in model.state_dict().items() if name.startswith(begin)}
    places = tuple(start for start in begin if any(name.startswith(start) for name in weights))
    return RawPatches(prefix + int(grid[0] * grid[1]), prefix, width, places, weights_digest(weights))


def _trunk_of_tokens(tower: Any) -> Any:
    """The network of timm, if it is a transformer whose tokens lie in a row, rather than in a map; None otherwise."""
    trunk: Any = tower.trunk if isinstance(tower, TimmModel) else None
    has_tokens = hasattr(trunk, "num_prefix_tokens") and hasattr(trunk, "patch_embed")
    return trunk if has_tokens and hasattr(trunk.patch_embed, "grid_size") else None


def with_patches(
    model: Any, pictures: Float[Tensor, "frame 3 height width"]
) -> tuple[Float[Tensor, "frame dim"], Float[Tensor, "frame patch _"]]:
    """What ``encode_image`` gives, and the patches, row by row of the picture: projected ones where there are any, or
    every token before pooling."""
    if why_no_patches(model):
        tokens = _raw_tokens(model, pictures)
        return pooled(model, tokens), tokens
    tower = model.visual
    asked_before, tower.output_tokens = tower.output_tokens, True
    try:
        features, tokens = tower(pictures)
    finally:
        tower.output_tokens = asked_before
    if tower.final_ln_after_pool:
        tokens = tower.ln_post(tokens)
    return features, tokens @ tower.proj


def pooled(model: Any, tokens: Float[Tensor, "frame patch patch_dim"]) -> Float[Tensor, "frame dim"]:
    """The frames' features, made of raw tokens by the weights that ``RawPatches.pooling`` names."""
    tower = model.visual
    if (trunk := _trunk_of_tokens(tower)) is not None:
        return tower.head(trunk.forward_head(tokens))
    pool, _ = tower._pool(tokens)
    return pool @ tower.proj


def _raw_tokens(
    model: Any, pictures: Float[Tensor, "frame 3 height width"]
) -> Float[Tensor, "frame patch patch_dim"]:
    tower = model.visual
    if (trunk := _trunk_of_tokens(tower)) is not None:
        return trunk.forward_features(pictures)
    return tower.transformer(tower._embeds(pictures))
