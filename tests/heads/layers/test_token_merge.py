"""Token merging against HBI's released code."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tvr.heads.layers.clustering import density_peaks
from tvr.heads.layers.token_merge import TokenMerge
from tvr.heads.runs.released import renamed


@pytest.fixture
def merge(oracle: Callable[[str], Any]) -> tuple[TokenMerge, Any]:
    """The layer with the released weights, and the oracle."""
    reference = oracle("hbi_ctm")
    arrays = reference.arrays
    layer = TokenMerge(
        reference.shape.dim,
        ratio=float(arrays["sample_ratio"]),
        neighbours=int(arrays["k"]),
        heads=int(arrays["num_heads"]),
    )
    names = {"ctm.": "v_ctm0.", "block.": "v_block0."}
    released = {
        there + key.removeprefix(here): value
        for key, value in arrays.items()
        for here, there in names.items()
        if key.startswith(here)
    }
    found = renamed("hbi", released)
    assert found.without_effect == ("v_ctm0.score.bias",) and not found.of_others
    layer.load_state_dict({k.removeprefix("video_merges.0."): v for k, v in found.weights.items()})
    return layer, reference


@torch.no_grad()
def test_is_hbi(merge: tuple[TokenMerge, Any]) -> None:
    layer, reference = merge
    videos, arrays = reference.videos.frames, reference.arrays
    everything = torch.ones(videos.shape[:2], dtype=torch.bool)
    mixed = layer.norm(videos + layer.mix(videos.transpose(1, 2)).transpose(1, 2))
    score = layer.score(mixed) + arrays["ctm.score.bias"]
    torch.testing.assert_close(score, arrays["token_score"], atol=1e-5, rtol=0)
    clusters = density_peaks(mixed, everything, clusters=4, neighbours=3)
    assert torch.equal(clusters.int().argmax(dim=1), arrays["cluster_index"])
    found = layer.merged(mixed, score.squeeze(-1), everything)
    torch.testing.assert_close(found.vectors, arrays["merged"], atol=1e-5, rtol=0)
    torch.testing.assert_close(layer(videos, everything).vectors, arrays["block_out"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_as_many_clusters_as_the_valid_length_asks_for() -> None:
    mask = torch.arange(9) < torch.tensor([[9], [4], [2], [1]])
    layer = TokenMerge(8, ratio=0.25, neighbours=3, heads=None)
    assert layer(torch.randn(4, 9, 8), mask).mask.sum(dim=1).tolist() == [3, 1, 1, 1]


def test_score_bias_would_change_nothing(merge: tuple[TokenMerge, Any]) -> None:
    layer, reference = merge
    tokens, mask = reference.videos.frames, reference.videos.mask
    scores = layer.score(tokens).squeeze(-1)
    torch.testing.assert_close(
        layer.merged(tokens, scores + 0.7, mask).vectors, layer.merged(tokens, scores, mask).vectors
    )
