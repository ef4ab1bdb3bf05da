"""tight_transformer against CLIP4Clip's released code."""

import pytest
import torch
from tvr.heads import mean_pool
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.tight_transformer import Config, Head

from ..fixtures.oracles import Oracle


@pytest.mark.oracle("clip4clip")
def test_is_clip4clip_tight_transf(oracle: Oracle) -> None:
    sizes = oracle.transformer("tight.transformer.resblocks.")
    head = oracle.head("tight_transformer", "tight", **sizes, init="random")
    oracle.assert_logits(head, "logits_tightTransf")


def test_zero_start_is_exactly_mean_pool() -> None:
    shape = FeatureShape(16, 5, 4)
    videos = VideoFeatures(torch.randn(4, 5, 16), torch.arange(5) < torch.tensor([[5], [1], [3], [4]]))
    texts = TextFeatures(torch.empty(3, 0, 16), torch.empty(3, 0).bool(), torch.randn(3, 16))
    heads = Head(Config(layers=1), shape), mean_pool.Head(mean_pool.Config(), shape)
    scores = [head.eval().similarity(head.encode_text(texts), head.encode_video(videos)) for head in heads]
    assert torch.equal(*scores)


def test_a_constant_in_all_scores_changes_no_loss() -> None:
    head = Head(Config(layers=1, init="random"), FeatureShape(16, 5, 4)).eval()
    video = head.encode_video(VideoFeatures(torch.randn(4, 5, 16), torch.ones(4, 5, dtype=torch.bool)))
    text = {"sentence": torch.randn(4, 16)}
    same = torch.eye(4, dtype=torch.bool)
    before = head.loss(text, [video], same)["total"]
    head.score_offset += 3
    torch.testing.assert_close(head.loss(text, [video], same)["total"], before)
