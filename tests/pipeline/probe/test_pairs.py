"""Sound encoders see; the same ones broken on purpose, in each of the ways that happen, see less."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.encoders.base import EncodedText, load_encoder
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.encoders.towers.image import FrameTower
from tvr.pipeline.encoders.towers.precision import arithmetic
from tvr.pipeline.probe.pairs import ProbeResult, as_record, of_record, probe
from tvr.pipeline.probe.stills import rendered_stills

Network = Callable[[Float[Tensor, "frame 3 height width"], bool], tuple[Tensor, ...]]


@cache
def sound(model: str, pretrained: str | None = None) -> FrozenEncoder:
    encoder = load_encoder(model, pretrained, device="cpu", precision="fp32")
    assert isinstance(encoder, FrozenEncoder)
    return encoder


def with_network(encoder: FrozenEncoder, change: Callable[[Network], Network], name: str) -> FrozenEncoder:
    """The same encoder with another image network, under another name: results are remembered by identity."""
    network: Network = encoder.frames._network
    tower = FrameTower(change(network), encoder.identity.preprocessing, arithmetic("cpu", "fp32"))
    return replace(encoder, identity=replace(encoder.identity, pretrained=name), frames=tower)


def channels_reversed(network: Network) -> Network:
    """BGR in place of RGB."""
    return lambda pictures, patches: network(pictures.flip(1), patches)


def not_normalised(network: Network) -> Network:
    """Pixels of 0..1, as nobody subtracted a mean (about 0.5) or divided by a deviation (about 0.25)."""
    return lambda pictures, patches: network(pictures * 0.25 + 0.5, patches)


def rows_as_channels(network: Network) -> Network:
    """A picture of [height, width, channel] read as [channel, height, width]."""
    return lambda pictures, patches: network(pictures.permute(0, 2, 3, 1).reshape(pictures.shape), patches)


def of_another_checkpoint(encoder: FrozenEncoder) -> FrozenEncoder:
    """Pictures through weights that were never trained, texts through those that were."""
    other = sound(encoder.identity.model, "random")
    return replace(encoder, identity=replace(encoder.identity, pretrained="mixed"), frames=other.frames)


@pytest.mark.parametrize(("model", "least"), [("tvr-storyboard", 90), ("words", 85)])
def test_a_sound_encoder_sees(model: str, least: float) -> None:
    result = probe(sound(model))
    assert result.sees
    assert result.pairs == 32 * 31 // 2
    assert result.pairs_of_kind == 8 * 7 // 2
    assert result.share >= least
    assert set(result.by_kind) == {"colours", "shapes", "counts", "places"}


@pytest.mark.parametrize("model", ["tvr-storyboard", "words"])
@pytest.mark.parametrize("change", [channels_reversed, not_normalised, rows_as_channels])
def test_a_wrong_preprocessor_sees_less(model: str, change: Callable[[Network], Network]) -> None:
    broken = probe(with_network(sound(model), change, change.__name__))
    assert broken.share < probe(sound(model)).share - 2
    if change is rows_as_channels:
        assert not broken.sees


@pytest.mark.parametrize("model", ["tvr-storyboard", "words"])
def test_a_wrong_checkpoint_sees_less(model: str) -> None:
    assert probe(of_another_checkpoint(sound(model))).share < probe(sound(model)).share - 15


def test_a_wrong_activation_sees_less() -> None:
    encoder = sound("tvr-storyboard")
    texts: Any = copy.deepcopy(encoder.texts)

    class Sharper(nn.Module):
        """QuickGELU where the weights were trained with GELU (open_clip#1068)."""

        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(1.702 * x)

    for module in texts.model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.GELU):
                setattr(module, name, Sharper())

    def network(pictures: Tensor, patches: bool) -> tuple[Tensor, ...]:
        return (texts.model.encode_image(pictures, normalize=False),)

    identity = replace(encoder.identity, activation="quick_gelu")
    tower = FrameTower(network, identity.preprocessing, arithmetic("cpu", "fp32"))
    broken, whole = probe(FrozenEncoder(identity, tower, texts)), probe(encoder)
    assert broken.told_apart != whole.told_apart
    assert broken.share <= whole.share + 1


@pytest.mark.parametrize("model", ["tvr-storyboard", "words"])
def test_an_encoder_that_was_never_trained_does_not_see(model: str) -> None:
    assert not probe(sound(model, "random")).sees


def test_an_encoder_of_one_vector_tells_nothing_apart() -> None:
    encoder = sound("tvr-storyboard")

    def network(pictures: Tensor, patches: bool) -> tuple[Tensor, ...]:
        return (torch.ones(len(pictures), encoder.identity.dim),)

    result = probe(with_network(encoder, lambda _: network, "flat"))
    assert (result.told_apart, result.sees) == (0, False)


def test_pairs_are_counted_one_by_one() -> None:
    encoder = sound("tvr-storyboard")
    captions_of_stills = [still.caption for still in rendered_stills()]
    dice = np.random.default_rng(0)
    frames = dice.standard_normal((32, encoder.identity.dim)).astype(np.float32)
    sentences = dice.standard_normal((32, encoder.identity.dim)).astype(np.float32)

    def texts(captions: Any, repeatable: bool) -> list[EncodedText]:
        assert list(captions) == captions_of_stills
        return [EncodedText(row[None], np.zeros(1, np.int32), 0, truncated=False) for row in sentences]

    shown = iter(torch.from_numpy(frames).split(encoder.frames.frames_per_pass))
    made = with_network(encoder, lambda _: lambda pictures, _: (next(shown),), "made up")
    found = probe(replace(made, texts=texts))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (frames, sentences)]
    scores = unit[0] @ unit[1].T
    expected = sum(
        scores[i, i] + scores[j, j] > scores[i, j] + scores[j, i] for i in range(32) for j in range(i + 1, 32)
    )
    assert found.told_apart == expected
    assert found.at_random > 248


def test_a_result_comes_back_from_its_record() -> None:
    result = ProbeResult(400, 496, 320, {"colours": 28}, 28)
    assert of_record(as_record(result)) == result
    assert str(result).startswith("tells 81 % of 496 pairs of drawn stills apart")


@pytest.mark.parametrize("record", [{}, {"pairs": "many"}, as_record(ProbeResult(0, 0, 0, {}, 0))])
def test_a_record_that_is_none_fails(record: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"store\.json"):
        of_record(record)
