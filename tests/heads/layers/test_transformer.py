"""The transformer against torch's own."""

from typing import Any

import open_clip
import pytest
import torch
from torch import nn
from tvr.data.contracts.errors import UsageError
from tvr.heads.base import NARROWEST, FeatureShape
from tvr.heads.layers.transformer import LAYER_NORM_EPS, SelfAttention, Transformer, attention_heads
from tvr.pipeline.encoders.weights.build import attention_heads_of


def test_attention_is_torchs() -> None:
    torch.manual_seed(0)
    own, theirs = SelfAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        own.qkv.weight.copy_(theirs.in_proj_weight)
        own.qkv.bias.copy_(theirs.in_proj_bias.normal_())
        own.out.load_state_dict(theirs.out_proj.state_dict())
    parts, mask = torch.randn(4, 5, 12), torch.arange(5) < torch.tensor([[5], [1], [3], [2]])
    normal = nn.functional.layer_norm(parts, (12,))
    wanted, _ = theirs(normal, normal, normal, key_padding_mask=~mask)
    torch.testing.assert_close(own(parts, mask)[mask], (parts + wanted)[mask])


def test_zero_start_is_twice_the_input() -> None:
    parts, mask = torch.randn(2, 3, 8), torch.tensor([[True, True, True], [True, False, False]])
    assert torch.equal(Transformer(8, 3, layers=2)(parts, mask), 2 * parts * mask[..., None])
    assert torch.equal(Transformer(8, 3, layers=2, around=False)(parts, mask), parts * mask[..., None])


def test_random_start_moves_the_parts() -> None:
    parts, mask = torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)
    moved = Transformer(8, 3, layers=2, start="random")(parts, mask)
    assert (moved - 2 * parts).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("dim", "heads"),
    [(512, 8), (768, 12), (1024, 16), (128, 8), (64, 4), (6, 1), (100, 5), (1000, 10), (1152, 18)],
)
def test_heads_follow_the_width(dim: int, heads: int) -> None:
    assert attention_heads(dim, None) == heads
    assert LAYER_NORM_EPS == 1e-12


def test_heads_are_those_of_the_encoder() -> None:
    """Of every model that open_clip lists whose text tower is as wide as its features; narrower ones keep eight."""
    found: dict[str, tuple[int, int | None, int | None]] = {}
    for name in open_clip.list_models():
        config: Any = open_clip.get_model_config(name)
        shape = FeatureShape(config["embed_dim"], 4, 4, attention_heads=attention_heads_of(config))
        found[name] = shape.dim, shape.attention_heads, shape.heads(None)
    assert found["ViT-S-32"] == (384, 6, 6)
    assert found["ViT-S-16-alt"] == (256, 4, 4)
    assert found["ViT-SO400M-14-SigLIP"] == (1152, 16, 16)
    assert found["RN50"] == (1024, None, None), "its text tower is 512 wide"
    assert found["roberta-ViT-B-32"] == (512, None, None), "its text tower is of another kind"
    others = [name for name, (dim, own, _) in found.items() if own and own != attention_heads(dim, None)]
    assert len(others) >= 19
    # Not of the narrow models that other tests register.
    wide = [(dim, own, used) for dim, own, used in found.values() if dim >= NARROWEST]
    assert all(own == used and (own is None or dim % own == 0) for dim, own, used in wide)


def test_heads_as_asked_and_of_narrow_features() -> None:
    assert FeatureShape(384, 4, 4, attention_heads=6).heads(12) == 12
    assert FeatureShape(128, 4, 4, attention_heads=4).heads(None) is None


@pytest.mark.parametrize("heads", [0, -2, 5])
def test_heads_fail(heads: int) -> None:
    with pytest.raises(UsageError, match=r"must divide the feature width 12.*Allowed: 1, 2, 3, 4, 6, 12"):
        attention_heads(12, heads)
