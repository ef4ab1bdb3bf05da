"""mug against Mug-STAN's released code, by plain loops, and as X-CLIP's attention with identity matrices."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads import xclip
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.mug import Config, Head

from ..fixtures.oracles import Oracle

Mode = Literal["simple", "features"]
SHAPE = FeatureShape(dim=6, num_frames=4, num_words=5)
GENERATOR = torch.Generator().manual_seed(0)
WORDS = torch.randn(3, 5, 6, generator=GENERATOR, dtype=torch.float64)
FRAMES = torch.randn(4, 4, 6, generator=GENERATOR, dtype=torch.float64)
TEXTS = TextFeatures(WORDS, torch.arange(5) < torch.tensor([[5], [2], [4]]), WORDS[:, 1])
VIDEOS = VideoFeatures(FRAMES, torch.arange(4) < torch.tensor([[4], [1], [2], [3]]))


def weights(values: list[float]) -> list[float]:
    found = [math.exp(100 * value) for value in values]
    return [weight / sum(found) for weight in found]


def pooled(values: list[float]) -> float:
    return sum(w * v for w, v in zip(weights(values), values, strict=True))


@pytest.mark.parametrize("mode", ["simple", "features"])
@pytest.mark.parametrize("start_token", [True, False])
def test_by_loops(mode: Mode, start_token: bool) -> None:
    head = Head(Config(mode=mode, start_token=start_token), SHAPE)
    found = head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS))
    for i in range(3):
        words = [w / w.norm() for w, real in zip(WORDS[i], TEXTS.mask[i], strict=True) if real][
            1 - start_token :
        ]
        for j in range(4):
            frames = [f / f.norm() for f, real in zip(FRAMES[j], VIDEOS.mask[j], strict=True) if real]
            by_word = [pooled([float(w @ f) for f in frames]) for w in words]
            by_frame = [pooled([float(w @ f) for w in words]) for f in frames]
            if mode == "simple":
                wanted = (pooled(by_word) + pooled(by_frame)) / 2
            else:
                text = sum(weight * w for weight, w in zip(weights(by_word), words, strict=True))
                video = sum(weight * f for weight, f in zip(weights(by_frame), frames, strict=True))
                wanted = float(torch.as_tensor(text) @ torch.as_tensor(video))
            assert found[i, j].item() == pytest.approx(wanted)


@pytest.mark.oracle("mug")
@pytest.mark.parametrize("mode", ["simple", "features"])
@pytest.mark.parametrize(
    ("key", "start_token"), [("full", True), ("ragged", True), ("no_start_ragged", False)]
)
def test_is_mug(oracle: Oracle, mode: Mode, key: str, start_token: bool) -> None:
    temperature = 1 / float(oracle.arrays["tau"])
    head = oracle.head("mug", mode=mode, temperature=temperature, start_token=start_token)
    some = oracle.whole() if key == "full" else oracle
    wanted = oracle.arrays[f"similarity_{mode}_{key}"]
    torch.testing.assert_close(some.similarity(head), wanted, atol=1e-5, rtol=0)


@pytest.mark.oracle("mug")
def test_loss_and_gradients_are_those_of_mug(oracle: Oracle) -> None:
    """There the losses of both directions are added, here their mean is taken."""
    oracle = replace(oracle, shape=replace(oracle.shape, logit_scale=float(oracle.arrays["scale"])))
    head = oracle.head("mug", temperature=1 / float(oracle.arrays["tau"]), start_token=True)
    words, frames = oracle.texts.words.requires_grad_(), oracle.videos.frames.requires_grad_()
    pairs = oracle.whole(int(oracle.arrays["batch"]))
    train_similarity = pairs.similarity(head)
    torch.testing.assert_close(train_similarity, oracle.arrays["train_similarity"], atol=1e-5, rtol=0)
    loss = 2 * oracle.losses(head)["total"]
    torch.testing.assert_close(loss, oracle.arrays["loss"], atol=0, rtol=1e-4)
    loss.backward()
    assert words.grad is not None and frames.grad is not None
    oracle.assert_gradient("grad.words", words.grad[: len(train_similarity)])
    oracle.assert_gradient("grad.video", frames.grad[: len(train_similarity)])


def test_is_the_word_frame_part_of_a_fresh_xclip() -> None:
    shares = (1e-12, 1e-12, 1e-12, 1.0)
    heads = Head(Config(), SHAPE), xclip.Head(xclip.Config(layers=0, shares=shares), SHAPE).double()
    scores = [head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS)) for head in heads]
    torch.testing.assert_close(*scores, atol=1e-9, rtol=0)


def test_temperature_fails() -> None:
    with pytest.raises(UsageError, match=r"must be above 0, got -1"):
        Config(temperature=-1.0)
