"""mean_pool against CLIP4Clip's released code."""

import pytest
import torch
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.mean_pool import Config, Head

from ..fixtures.oracles import Oracle


@pytest.mark.oracle("clip4clip")
def test_is_clip4clip_mean_pooling(oracle: Oracle) -> None:
    oracle.assert_logits(oracle.head("mean_pool"), "logits_meanP")


def test_by_hand() -> None:
    head = Head(Config(), FeatureShape(2, 3, 1))
    frames = torch.tensor([[[3.0, 0.0], [0.0, 0.1], [9.0, 9.0]]])
    video = head.encode_video(VideoFeatures(frames, torch.tensor([[True, True, False]])))
    sentence = torch.tensor([[5.0, 0.0]])
    text = head.encode_text(TextFeatures(sentence[:, None], torch.ones(1, 1, dtype=torch.bool), sentence))
    torch.testing.assert_close(head.similarity(text, video), torch.tensor([[0.5**0.5]]))
