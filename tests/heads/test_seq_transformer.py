"""seq_transformer against CLIP4Clip's released code, and its start at mean_pool."""

from typing import Any

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads import mean_pool
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.seq_transformer import Config, Head

from ..fixtures.oracles import Oracle


@pytest.mark.oracle("clip4clip")
def test_is_clip4clip_seq_transf(oracle: Oracle) -> None:
    sizes = oracle.transformer("seqTransf.resblocks.")
    head = oracle.head("seq_transformer", "seqTransf", "frame_position", **sizes)
    oracle.assert_logits(head, "logits_seqTransf")


@pytest.mark.oracle("teachclip")
def test_is_the_mean_of_teachclips_contextual_frames(oracle: Oracle) -> None:
    sizes = {**oracle.transformer("transformerClip.resblocks."), "heads": int(oracle.arrays["heads"])}
    head = oracle.head("seq_transformer", "transformerClip", "frame_position", **sizes)
    oracle.whole().assert_logits(head, "similarity_mean_full_x100")


def test_parameters_are_those_of_the_paper() -> None:
    head = Head(Config(), FeatureShape(512, 77, 77))
    assert sum(parameter.numel() for parameter in head.parameters()) == 12_648_960


@pytest.mark.parametrize("num_frames", [5, 100])
def test_zero_start_is_exactly_mean_pool(num_frames: int) -> None:
    shape = FeatureShape(24, num_frames, 4)
    frames = 10 * torch.randn(6, num_frames, 24)
    videos = VideoFeatures(frames, torch.arange(num_frames) <= torch.arange(6)[:, None] % num_frames)
    sentence = torch.randn(5, 24)
    texts = TextFeatures(sentence[:, None], torch.ones(5, 1, dtype=torch.bool), sentence)
    scores = [
        head.similarity(head.encode_text(texts), head.encode_video(videos))
        for head in (Head(Config(), shape), mean_pool.Head(mean_pool.Config(), shape))
    ]
    assert torch.equal(*scores)


def test_more_frames_than_positions_fails() -> None:
    head = Head(Config(layers=1), FeatureShape(8, 4, 4))
    with pytest.raises(UsageError, match="at most 4 parts an item, got 5"):
        head.encode_video(VideoFeatures(torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)))


@pytest.mark.parametrize("settings", [{"heads": 5}, {"heads": 0}, {"layers": 0}])
def test_impossible_sizes_fail(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must"):
        Head(Config(**settings), FeatureShape(8, 4, 4))
