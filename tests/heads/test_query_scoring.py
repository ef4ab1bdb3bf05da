"""query_scoring against the released code of the Hitchhiker's Guide, and by plain loops."""

import math

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads import mean_pool
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.query_scoring import Config, Head

from ..fixtures.oracles import Oracle

SHAPE = FeatureShape(dim=6, num_frames=4, num_words=1)
TEXTS = TextFeatures(torch.empty(3, 0, 6), torch.empty(3, 0).bool(), torch.randn(3, 6, dtype=torch.float64))
VIDEOS = VideoFeatures(
    20 * torch.randn(5, 4, 6, dtype=torch.float64), torch.arange(4) < torch.arange(5)[:, None]
)
VIDEOS.mask[:, 0] = True


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_by_loops(temperature: float) -> None:
    head = Head(Config(temperature), SHAPE)
    found = head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS))
    for i, sentence in enumerate(TEXTS.sentence):
        for j, (frames, mask) in enumerate(zip(VIDEOS.frames, VIDEOS.mask, strict=True)):
            real = [frame for frame, is_real in zip(frames, mask, strict=True) if is_real]
            cosines = [float(sentence @ f / (sentence.norm() * f.norm())) for f in real]
            weights = [math.exp(cosine / temperature) for cosine in cosines]
            pooled = torch.stack([w * f for w, f in zip(weights, real, strict=True)]).sum(0)
            assert found[i, j].item() == pytest.approx(
                float(sentence @ pooled / (sentence.norm() * pooled.norm()))
            )


@pytest.mark.oracle("query_scoring")
@pytest.mark.parametrize("padding", ["full", "ragged"])
@pytest.mark.parametrize(("key", "temperature"), [("", None), ("_t1", 1.0), ("_mean", 1e6)])
def test_is_query_scoring(oracle: Oracle, padding: str, key: str, temperature: float | None) -> None:
    """Hot enough it is their mean of frames that keep their lengths."""
    stored = float(oracle.arrays["temperature"])
    head = oracle.head("query_scoring", temperature=stored if temperature is None else temperature)
    some = oracle.whole() if padding == "full" else oracle
    wanted = oracle.arrays[f"similarity{key}_{padding}"]
    torch.testing.assert_close(some.similarity(head), wanted, atol=1e-5, rtol=0)


@pytest.mark.oracle("adaclip")
def test_is_the_scoring_of_adaclip(oracle: Oracle) -> None:
    oracle.whole().assert_logits(oracle.head("query_scoring", temperature=0.1), "similarity_qscore_full")


def test_hot_enough_it_is_the_mean_of_frames_of_equal_length() -> None:
    frames = torch.nn.functional.normalize(VIDEOS.frames, dim=-1)
    videos = VideoFeatures(frames, VIDEOS.mask)
    hot, mean = Head(Config(1e9), SHAPE), mean_pool.Head(mean_pool.Config(), SHAPE)
    scores = [head.similarity(head.encode_text(TEXTS), head.encode_video(videos)) for head in (hot, mean)]
    torch.testing.assert_close(*scores)


def test_temperature_fails() -> None:
    with pytest.raises(UsageError, match=r"must be above 0, got 0"):
        Config(0.0)
