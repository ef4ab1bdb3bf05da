"""Encoding by length changes no loss and no gradient of any head."""

import dataclasses

import pytest
import torch
from torch import Tensor
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape, Head, TextFeatures, VideoFeatures
from tvr.heads.layers import bucketing
from tvr.heads.training import state
from tvr.heads.training.state import encoded_texts

SHAPE = FeatureShape(dim=16, num_frames=4, num_words=9)


def built(name: str) -> Head:
    module = load_plug_in("tvr.heads", name)
    starts = {"init": "random"} if "init" in {f.name for f in dataclasses.fields(module.Config)} else {}
    torch.manual_seed(0)
    return module.Head(module.Config(**starts), SHAPE).double().eval()


def texts() -> TextFeatures:
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(11, 9, 16, generator=generator, dtype=torch.float64)
    mask = torch.arange(9) < torch.randint(2, 10, (11, 1), generator=generator)
    parts = torch.randn(11, 3, 16, generator=generator, dtype=torch.float64)
    sentence = words[torch.arange(11), mask.sum(1) - 1]
    return TextFeatures(words, mask, sentence, parts, torch.ones(11, 3, dtype=torch.bool))


def videos() -> VideoFeatures:
    generator = torch.Generator().manual_seed(2)
    frames = torch.randn(11, 4, 16, generator=generator, dtype=torch.float64)
    return VideoFeatures(frames, torch.arange(4) < torch.randint(1, 5, (11, 1), generator=generator))


def gradients(head: Head, loss: Tensor) -> list[Tensor]:
    trained = [p for p in head.parameters() if p.requires_grad]
    if not trained:
        return []
    found = torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(trained, found, strict=True)]


@pytest.mark.parametrize("name", plug_in_names("tvr.heads"))
def test_texts_by_length_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "TEXTS_AT_A_TIME", 3)
    monkeypatch.setattr(bucketing, "MIN_TEXTS", 2)
    monkeypatch.setattr(bucketing, "NUMBERS_AT_A_TIME", 1)
    head, same = built(name), torch.eye(11, dtype=torch.bool)
    views = [head.encode_video(videos())] * head.num_views
    by_length = head.loss(encoded_texts(head, texts()), views, same)["total"]
    monkeypatch.setattr(bucketing, "MIN_TEXTS", 11)
    whole = head.loss(head.encode_text(texts()), views, same)["total"]
    torch.testing.assert_close(by_length, whole, atol=1e-10, rtol=1e-10)
    for one, other in zip(gradients(head, by_length), gradients(head, whole), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)
