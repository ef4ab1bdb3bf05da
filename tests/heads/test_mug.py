"""mug by plain loops, and as X-CLIP's attention over similarities with identity matrices."""

import math

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads import xclip
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.mug import Config, Head

SHAPE = FeatureShape(dim=6, num_frames=4, num_words=5)
GENERATOR = torch.Generator().manual_seed(0)
WORDS = torch.randn(3, 5, 6, generator=GENERATOR, dtype=torch.float64)
FRAMES = torch.randn(4, 4, 6, generator=GENERATOR, dtype=torch.float64)
TEXTS = TextFeatures(WORDS, torch.arange(5) < torch.tensor([[5], [2], [4]]), WORDS[:, 1])
VIDEOS = VideoFeatures(FRAMES, torch.arange(4) < torch.tensor([[4], [1], [2], [3]]))


def pooled(values: list[float]) -> float:
    weights = [math.exp(100 * value) for value in values]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


@pytest.mark.parametrize("start_token", [True, False])
def test_by_loops(start_token: bool) -> None:
    head = Head(Config(start_token=start_token), SHAPE)
    found = head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS))
    for i in range(3):
        words = [w / w.norm() for w, real in zip(WORDS[i], TEXTS.mask[i], strict=True) if real][
            1 - start_token :
        ]
        for j in range(4):
            frames = [f / f.norm() for f, real in zip(FRAMES[j], VIDEOS.mask[j], strict=True) if real]
            by_word = [pooled([float(w @ f) for f in frames]) for w in words]
            by_frame = [pooled([float(w @ f) for w in words]) for f in frames]
            assert found[i, j].item() == pytest.approx((pooled(by_word) + pooled(by_frame)) / 2)


def test_is_the_word_frame_part_of_a_fresh_xclip() -> None:
    shares = (1e-12, 1e-12, 1e-12, 1.0)
    heads = Head(Config(), SHAPE), xclip.Head(xclip.Config(layers=0, shares=shares), SHAPE).double()
    scores = [head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS)) for head in heads]
    torch.testing.assert_close(*scores, atol=1e-9, rtol=0)


def test_temperature_fails() -> None:
    with pytest.raises(UsageError, match=r"must be above 0, got -1"):
        Config(temperature=-1.0)
