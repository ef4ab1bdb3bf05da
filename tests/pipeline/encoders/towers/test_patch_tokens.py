"""Patches against what the model's own layers give: projected ones, raw ones, and which models have none."""

from typing import Any

import numpy as np
import pytest
import torch
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers import patch_tokens
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.encoders.towers.precision import fold_batch_norms

from ..conftest import Loader
from ..test_clip import assert_apart, assert_close, inputs

WITH_PATCHES = ("ViT-B-32-quickgelu", "ViT-B-32", "ViT-L-14-CLIPA", "ViT-L-14-worldwide-quickgelu")
WITHOUT = {
    "RN50-quickgelu": "ModifiedResNet",
    "convnext_tiny": "TimmModel",
}
RAW = {
    "ViT-B-16-SigLIP": ("TimmModel", 196, 0, 768),
    "PE-Core-T-16-384": ("TimmModel", 577, 1, 192),
    "coca_ViT-B-32": ("pools patches by attention", 50, 1, 768),
    "EVA02-B-16": ("TimmModel", 197, 1, 768),
}
"""Why none is projected; tokens of a frame, those before its patches, and their width."""


def direct_patches(encoder: FrozenEncoder, frames: np.ndarray) -> np.ndarray:
    """The patch tokens behind the last layer, through the tower's last norm and projection, one by one."""
    tower: Any = encoder.texts.model.visual
    size = encoder.identity.preprocessing
    mean, std = torch.tensor(size.mean)[:, None, None], torch.tensor(size.std)[:, None, None]
    caught: list[torch.Tensor] = []
    hook = tower.transformer.register_forward_hook(lambda *call: caught.append(call[2]))
    rows: list[torch.Tensor] = []
    with torch.no_grad():
        for frame in frames:
            tower(((torch.from_numpy(frame).permute(2, 0, 1) / 255 - mean) / std)[None])
            rows.append(torch.stack([tower.ln_post(token) @ tower.proj for token in caught[-1][0, 1:]]))
    hook.remove()
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("family", WITH_PATCHES)
def test_patches_are_the_projected_tokens(small: Loader, family: str) -> None:
    encoder = small(family)
    frames = inputs(encoder, 3)
    encoded = encoder.begin_frames(frames, patches=True)()
    assert encoded.patches is not None
    assert encoded.patches.shape == (3, encoder.identity.num_patches, encoder.identity.dim)
    expected = direct_patches(encoder, frames)
    assert_close(encoded.patches, expected)
    assert_apart(encoded.patches[0])
    assert np.array_equal(encoded.frames, encoder.encode_frames(frames)), "the frames are what they were"


def own_features(encoder: FrozenEncoder, tokens: np.ndarray) -> np.ndarray:
    """Raw tokens through the tower's own pooling and projection, layer by layer, in float32."""
    tower: Any = encoder.texts.model.visual
    with torch.no_grad():
        given = torch.from_numpy(tokens).float()
        if not hasattr(tower, "trunk"):  # CoCa's
            return (tower.ln_post(tower.attn_pool(given))[:, 0] @ tower.proj).numpy()
        trunk = tower.trunk
        pooled = given[:, 0] if trunk.attn_pool is None else trunk.attn_pool(given)
        return tower.head(trunk.head(trunk.fc_norm(pooled))).numpy()


@pytest.mark.parametrize("family", RAW)
def test_raw_tokens_pool_to_the_feature(small: Loader, family: str) -> None:
    encoder = small(family)
    identity, frames = encoder.identity, inputs(encoder, 3)
    reason, per_frame, prefix, width = RAW[family]
    assert identity.patch_kind == "raw"
    assert reason in identity.patches_unavailable_reason
    assert identity.raw_patches is not None
    assert identity.raw_patches.prefix == prefix
    encoded = encoder.begin_frames(frames, patches=True)()
    assert encoded.patches is not None
    assert encoded.patches.shape == (3, per_frame, width)
    assert (identity.patches_per_frame, identity.patch_dim) == (per_frame, width)
    assert np.array_equal(encoded.frames, encoder.encode_frames(frames)), "the frames are what they were"
    assert_apart(encoded.patches[0])
    expected = own_features(encoder, encoded.patches)
    assert np.abs(encoded.frames - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_raw_token_stands_where_its_patch_is(small: Loader) -> None:
    """Without mixing by blocks, a change of one square of the picture changes its own token alone."""
    encoder = small("ViT-B-16-SigLIP")
    trunk: Any = encoder.texts.model.visual.trunk
    blocks, trunk.blocks = trunk.blocks, torch.nn.Identity()
    try:
        frames = inputs(encoder, 1)
        changed = frames.copy()
        changed[:, 16 * 3 : 16 * 4, 16 * 5 : 16 * 6] ^= 255
        before, after = (encoder.begin_frames(each, patches=True)().patches for each in (frames, changed))
    finally:
        trunk.blocks = blocks
    assert before is not None
    assert after is not None
    assert np.flatnonzero((before != after).any(axis=-1)[0]).tolist() == [3 * 14 + 5]


def test_what_pools_is_told_by_its_digest(small: Loader) -> None:
    """A change of the pooling changes it, one of another weight does not; the names lead to these weights alone."""
    model: Any = small("PE-Core-T-16-384").texts.model
    before = patch_tokens.raw_patches(model)
    assert before == small("PE-Core-T-16-384").identity.raw_patches
    assert before is not None
    assert before.pooling == ("visual.trunk.attn_pool.", "visual.trunk.head.")
    with torch.no_grad():
        for weight, same in (
            (model.visual.trunk.norm.weight, True),
            (model.visual.trunk.attn_pool.latent, False),
        ):
            weight.add_(1)
            after = patch_tokens.raw_patches(model)
            weight.sub_(1)
            assert (after == before) == same


def test_raw_tokens_in_bfloat16_pool_to_the_feature(small: Loader) -> None:
    encoder = small("PE-Core-T-16-384", "bf16")
    frames = inputs(encoder, 2)
    encoded = encoder.begin_frames(frames, patches=True)()
    assert encoded.patches is not None
    tokens = torch.from_numpy(encoded.patches)
    with encoder.texts.arithmetic.running():
        expected = patch_tokens.pooled(encoder.texts.model, tokens).float().numpy()
    assert np.array_equal(encoded.frames, encoder.encode_frames(frames))
    assert np.abs(encoded.frames - expected).max() <= 1e-2 * np.abs(expected).max()


@pytest.mark.parametrize("family", WITHOUT)
def test_patches_fails(small: Loader, family: str) -> None:
    encoder = small(family)
    assert encoder.identity.patch_kind == ""
    assert encoder.identity.patches_per_frame == encoder.identity.patch_dim == 0
    assert WITHOUT[family] in encoder.identity.patches_unavailable_reason
    with pytest.raises(ValueError, match="gives no patches"):
        encoder.begin_frames(inputs(encoder, 1), patches=True)


def test_a_batch_that_is_not_full_changes_no_bit(small: Loader) -> None:
    encoder = small("ViT-B-32")
    frames = inputs(encoder, 2)
    full = encoder.begin_frames(frames, batch_size=2)().frames
    assert np.array_equal(encoder.begin_frames(frames[:1], batch_size=2)().frames, full[:1])


def test_batch_norms_are_folded_in_bfloat16_and_change_nothing(small: Loader) -> None:
    family = "RN50-quickgelu"
    exact = small(family)
    norms = [m for m in exact.texts.model.visual.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms, "in fp32 the tower is open_clip's own"
    for seed, norm in enumerate(norms):
        torch.manual_seed(seed)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_(0, 0.05)
        norm.running_var.uniform_(0.8, 1.25)
    frames = inputs(exact, 2)
    before = exact.encode_frames(frames)
    fold_batch_norms(exact.texts.model)
    small.cache_clear()  # type: ignore[attr-defined]  # the model that others would get is changed
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in exact.texts.model.visual.modules())
    after = exact.encode_frames(frames)
    assert np.abs(after - before).max() <= 1e-4 * np.abs(before).max()
    folded = small(family, "bf16").texts.model.visual
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())


@pytest.mark.slow
def test_a_compiled_tower_gives_the_same_directions(small: Loader) -> None:
    encoder = small("ViT-B-32")
    frames = inputs(encoder, 2)
    expected = encoder.encode_frames(frames)
    compiled = clip.load("small-ViT-B-32", "random", device="cpu", precision="fp32", compiled=True)
    compiled.frames.frames_per_pass = 2
    assert compiled.identity.compiled
    assert not encoder.identity.compiled
    found = compiled.encode_frames(frames)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
