"""Features that hold nothing where something is divided by: every head trains on, and scores finite numbers."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape, Head, TextFeatures, VideoFeatures

SHAPE = FeatureShape(dim=16, num_frames=6, num_words=6)
ITEMS = 5
HALVINGS = 12
"""Of the loss scale, from 1: gradients through two layer norms of a zero video reach 1.7e6, fp16 ends at 65504."""

Features = tuple[TextFeatures, VideoFeatures]


def usual(items: int = ITEMS, words: int = 6, frames: int = 6) -> Features:
    """Texts and videos of several lengths, as CLIP would give them."""
    generator = torch.Generator().manual_seed(0)
    of_words = 3 * torch.randn(items, words, SHAPE.dim, generator=generator)
    of_frames = 3 * torch.randn(items, frames, SHAPE.dim, generator=generator)
    lengths = 1 + torch.arange(items)[:, None]
    word_mask, frame_mask = torch.arange(words) < lengths + 1, torch.arange(frames) < lengths
    sentence = of_words[torch.arange(items), word_mask.sum(dim=1) - 1].clone()
    return TextFeatures(of_words, word_mask, sentence), VideoFeatures(of_frames, frame_mask)


def dead_channel(value: float) -> Features:
    """A channel that is the same in every word, sentence and frame."""
    texts, videos = usual()
    for vectors in (texts.words, texts.sentence, videos.frames):
        vectors[..., 3] = value
    return texts, videos


def zero_frame() -> Features:
    texts, videos = usual()
    videos.frames[4, 2] = 0
    return texts, videos


def zero_video() -> Features:
    """The only frame of one video, and all frames of another."""
    texts, videos = usual()
    videos.frames[0], videos.frames[3] = 0, 0
    return texts, videos


def zero_word() -> Features:
    texts, videos = usual()
    texts.words[4, 2] = 0
    return texts, videos


def zero_sentence() -> Features:
    """The end token is a word too."""
    texts, videos = usual()
    texts.sentence[2] = 0
    texts.words[2, 3] = 0
    return texts, videos


def zeros() -> Features:
    texts, videos = usual()
    return (
        dataclasses.replace(
            texts, words=torch.zeros_like(texts.words), sentence=torch.zeros_like(texts.sentence)
        ),
        dataclasses.replace(videos, frames=torch.zeros_like(videos.frames)),
    )


def constant() -> Features:
    """Every vector is the same number all over, which a layer norm turns into zeros."""
    texts, videos = zeros()
    for vectors in (texts.words, texts.sentence, videos.frames):
        vectors += 0.3
    return texts, videos


def everything() -> Features:
    """A channel that never changes, a zero frame, word, sentence and video."""
    texts, videos = usual()
    texts.words[4, 2], texts.words[2, 3], texts.sentence[2] = 0, 0, 0
    videos.frames[4, 2], videos.frames[0], videos.frames[3] = 0, 0, 0
    for vectors in (texts.words, texts.sentence, videos.frames):
        vectors[..., 3] = 0
    return texts, videos


def twins() -> Features:
    """All words, sentences and frames are one vector."""
    texts, videos = usual()
    for vectors in (texts.words, texts.sentence, videos.frames):
        vectors.copy_(texts.sentence[0].clone().expand_as(vectors))
    return texts, videos


CASES: dict[str, Callable[[], Features]] = {
    "a channel at 0": lambda: dead_channel(0.0),
    "a channel at 1": lambda: dead_channel(1.0),
    "a channel at 1e-20": lambda: dead_channel(1e-20),
    "a zero frame": zero_frame,
    "a zero video": zero_video,
    "a zero word": zero_word,
    "a zero sentence": zero_sentence,
    "zeros": zeros,
    "constant vectors": constant,
    "one vector": twins,
    "one pair": lambda: usual(items=1),
    "one word and one frame in total": lambda: usual(items=1, words=1, frames=1),
}


@pytest.fixture(params=plug_in_names("tvr.heads"))
def module(request: pytest.FixtureRequest) -> ModuleType:
    """Each head's file."""
    return load_plug_in("tvr.heads", request.param)


@pytest.mark.parametrize("case", CASES)
def test_features_that_hold_nothing_leave_everything_finite(module: ModuleType, case: str) -> None:
    assert_stays_finite(module, module.Config(), *CASES[case]())


def test_so_does_a_head_as_its_authors_have_it(module: ModuleType) -> None:
    if not hasattr(module, "PUBLISHED"):
        pytest.skip("its defaults are")
    assert_stays_finite(module, module.PUBLISHED, *everything())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["everything", "one vector", "one word and one frame in total"])
def test_so_does_half_precision(module: ModuleType, kind: torch.dtype, case: str) -> None:
    """As training has it: products in half precision, and in fp16 a loss scale that is halved until gradients fit."""
    torch.manual_seed(0)
    head = module.Head(module.Config(), SHAPE).train()
    texts, videos = everything() if case == "everything" else CASES[case]()
    scale = 1.0
    for _ in range(HALVINGS):
        frames = videos.frames.clone().requires_grad_()
        head.zero_grad()
        with torch.autocast("cpu", kind):
            terms = loss_terms(head, texts, VideoFeatures(frames, videos.mask))
        for name, term in terms.items():
            assert term.abs() < 1e6, (name, term)
        (scale * terms["total"]).backward()
        broken = [name for name, g in gradients(head, frames=frames).items() if not g.isfinite().all()]
        if not broken or kind == torch.bfloat16:
            break
        scale /= 2
    assert not broken
    with torch.autocast("cpu", kind):
        assert scores(head.eval(), texts, videos).isfinite().all()


def assert_stays_finite(module: ModuleType, config: Any, texts: TextFeatures, videos: VideoFeatures) -> None:
    """The first step leaves the start, where gradients of zero-initialised layers are 0; the second shows them all."""
    torch.manual_seed(0)
    head = module.Head(config, SHAPE).train()
    optimiser = torch.optim.AdamW([{"params": list(head.parameters())}], lr=1e-3)
    for step in range(2):
        assert_trains_one_step(head, texts, videos, optimiser, step)
    assert scores(head.eval(), texts, videos).isfinite().all()


def assert_trains_one_step(
    head: Head, texts: TextFeatures, videos: VideoFeatures, optimiser: torch.optim.Optimizer, step: int
) -> None:
    """Loss terms of a usual size, finite gradients in the weights and in the features, finite weights afterwards."""
    words, frames = texts.words.clone().requires_grad_(), videos.frames.clone().requires_grad_()
    sentence = texts.sentence.clone().requires_grad_()
    optimiser.zero_grad()
    terms = loss_terms(head, TextFeatures(words, texts.mask, sentence), VideoFeatures(frames, videos.mask))
    for name, term in terms.items():
        assert term.abs() < 1e6, (step, name, term)
    terms["total"].backward()
    for name, gradient in gradients(head, words=words, frames=frames, sentence=sentence).items():
        assert gradient.isfinite().all(), (step, name)
    optimiser.step()
    for name, parameter in head.named_parameters():
        assert parameter.isfinite().all(), (step, name)


def loss_terms(head: Head, texts: TextFeatures, videos: VideoFeatures) -> dict[str, Tensor]:
    views = [head.encode_video(videos)] * head.num_views
    return head.loss(head.encode_text(texts), views, torch.eye(len(videos.frames), dtype=torch.bool))


def gradients(head: Head, **inputs: Tensor) -> dict[str, Tensor]:
    """Of whatever has one."""
    found = {**dict(head.named_parameters()), **inputs}
    return {name: tensor.grad for name, tensor in found.items() if tensor.grad is not None}


def scores(head: Head, texts: TextFeatures, videos: VideoFeatures) -> Tensor:
    with torch.no_grad():
        return head.similarity(head.encode_text(texts), head.encode_video(videos))
