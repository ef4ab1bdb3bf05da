"""Patch features against what the model's own layers give, and which models have none."""

from typing import Any

import numpy as np
import pytest
import torch
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.encoders.towers.precision import fold_batch_norms

from ..conftest import Loader
from ..test_clip import assert_apart, assert_close, inputs

WITH_PATCHES = ("ViT-B-32-quickgelu", "ViT-B-32", "ViT-L-14-CLIPA", "ViT-L-14-worldwide-quickgelu")
WITHOUT = {
    "RN50-quickgelu": "ModifiedResNet",
    "ViT-B-16-SigLIP": "TimmModel",
    "coca_ViT-B-32": "pools patches by attention",
    "EVA02-B-16": "TimmModel",
    "convnext_tiny": "TimmModel",
}


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


@pytest.mark.parametrize("family", WITHOUT)
def test_patches_fails(small: Loader, family: str) -> None:
    encoder = small(family)
    assert encoder.identity.num_patches == 0
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
