"""A feature of each patch of a frame, in the space of the frame's own feature.

A vision transformer projects its class token, or the mean of its patches, after the last norm. The same norm and
projection of every patch token give patches that can be compared with words.
"""

from typing import Any

from jaxtyping import Float
from open_clip.transformer import VisionTransformer
from torch import Tensor


def why_no_patches(model: Any) -> str:
    """Empty where the model has patch features, otherwise why it has none."""
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
    """Patches of a frame; 0 where the model has no feature of them."""
    if why_no_patches(model):
        return 0
    rows, columns = model.visual.grid_size
    return int(rows * columns)


def with_patches(
    model: Any, pictures: Float[Tensor, "frame 3 height width"]
) -> tuple[Float[Tensor, "frame dim"], Float[Tensor, "frame patch dim"]]:
    """What ``encode_image`` gives, and the features of the patches, row by row of the picture."""
    tower = model.visual
    asked_before, tower.output_tokens = tower.output_tokens, True
    try:
        features, tokens = tower(pictures)
    finally:
        tower.output_tokens = asked_before
    if tower.final_ln_after_pool:
        tokens = tower.ln_post(tokens)
    return features, tokens @ tower.proj
