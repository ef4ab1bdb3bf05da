"""Token merging against HBI's released code."""

import pytest
import torch
from tvr.heads.layers.clustering import density_peaks
from tvr.heads.layers.token_merge import TokenMerge
from tvr.heads.runs.released import renamed

from ...fixtures.oracles import Oracle

pytestmark = pytest.mark.oracle("hbi_ctm")


@pytest.fixture
def merge(oracle: Oracle) -> TokenMerge:
    """The layer with the released weights."""
    arrays = oracle.arrays
    layer = TokenMerge(
        oracle.shape.dim,
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
    return layer


@torch.no_grad()
def test_is_hbi(merge: TokenMerge, oracle: Oracle) -> None:
    videos, arrays = oracle.videos.frames, oracle.arrays
    everything = torch.ones(videos.shape[:2], dtype=torch.bool)
    mixed = merge.norm(videos + merge.mix(videos.transpose(1, 2)).transpose(1, 2))
    score = merge.score(mixed) + arrays["ctm.score.bias"]
    torch.testing.assert_close(score, arrays["token_score"], atol=1e-5, rtol=0)
    clusters = density_peaks(
        mixed, everything, clusters=arrays["merged"].shape[1], neighbours=int(arrays["k"])
    )
    assert torch.equal(clusters.int().argmax(dim=1), arrays["cluster_index"])
    found = merge.merged(mixed, score.squeeze(-1), everything)
    torch.testing.assert_close(found.vectors, arrays["merged"], atol=1e-5, rtol=0)
    torch.testing.assert_close(merge(videos, everything).vectors, arrays["block_out"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_as_many_clusters_as_the_valid_length_asks_for() -> None:
    mask = torch.arange(9) < torch.tensor([[9], [4], [2], [1]])
    layer = TokenMerge(8, ratio=0.25, neighbours=3, heads=None)
    assert layer(torch.randn(4, 9, 8), mask).mask.sum(dim=1).tolist() == [3, 1, 1, 1]


def test_score_bias_would_change_nothing(merge: TokenMerge, oracle: Oracle) -> None:
    tokens, mask = oracle.videos.frames, oracle.videos.mask
    scores = merge.score(tokens).squeeze(-1)
    torch.testing.assert_close(
        merge.merged(tokens, scores + 0.7, mask).vectors, merge.merged(tokens, scores, mask).vectors
    )
