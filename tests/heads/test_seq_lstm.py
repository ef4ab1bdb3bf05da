"""seq_lstm against CLIP4Clip's released code."""

import pytest
import torch
from tvr.heads.base import FeatureShape, VideoFeatures
from tvr.heads.seq_lstm import Config, Head

from ..fixtures.oracles import Oracle


@pytest.mark.oracle("clip4clip")
def test_is_clip4clip_seq_lstm(oracle: Oracle) -> None:
    oracle.assert_logits(oracle.head("seq_lstm", "lstm", init="random"), "logits_seqLSTM")


def test_parameters_are_those_of_the_paper() -> None:
    head = Head(Config(init="random"), FeatureShape(512, 12, 32))
    assert sum(parameter.numel() for parameter in head.parameters()) == 2_101_248


def test_gaps_between_frames_are_skipped() -> None:
    head = Head(Config(init="random"), FeatureShape(8, 5, 2))
    frames = torch.randn(1, 5, 8)
    gaps = torch.tensor([[False, True, False, True, True]])
    dense = VideoFeatures(frames[:, [1, 3, 4]], torch.ones(1, 3, dtype=torch.bool))
    found = head.encode_video(VideoFeatures(frames, gaps))["video"]
    torch.testing.assert_close(found, head.encode_video(dense)["video"])
