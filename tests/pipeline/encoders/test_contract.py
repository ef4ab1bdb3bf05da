"""What every encoder keeps, whoever wrote it: the Encoder contract, on each plug-in with weights that are at hand."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
from jaxtyping import UInt8
from tvr.data.contracts.errors import TvrError, UsageError
from tvr.data.contracts.plug_ins import plug_in_names
from tvr.pipeline.encoders.base import (
    NO_TOKEN,
    Encoder,
    is_own_file,
    is_own_model,
    load_encoder,
    plug_in_of,
    token_names,
)

from ...fixtures.transformers_folders import save_clip_like, save_qwen

ENCODERS = (
    ("small-ViT-B-32", "random"),
    ("small-coca_ViT-B-32", "random"),
    ("tvr-storyboard", None),
    ("words", None),
    ("transformers:{folder}/CLIP", None),
    ("transformers:{folder}/Siglip", "random"),
    ("transformers:{folder}/Qwen3VL", None),
)
"""Model and weights, those of folders in one that is made for the test; at least one of each plug-in."""

TEXTS = (
    "a dog",
    "",
    "a man in a red shirt is slicing ripe tomatoes, and then he smiles!? :-)",
    "a dog",
    "dog " * 600,
)


@cache
def loaded(model: str, pretrained: str | None, precision: str = "fp32") -> Encoder:
    return load_encoder(model, pretrained, device="cpu", precision=precision)


@pytest.fixture(scope="module")
def all_named(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, str | None], tuple[str, str | None]]:
    """What loads each encoder, by its entry in the list."""
    folder = tmp_path_factory.mktemp("transformers")
    for family in ("CLIP", "Siglip"):
        save_clip_like(folder, family)
    save_qwen(folder)
    return {(model, weights): (model.format(folder=folder), weights) for model, weights in ENCODERS}


@pytest.fixture(scope="module", params=ENCODERS, ids=lambda one: f"{one[0]}-{one[1]}")
def named(
    request: pytest.FixtureRequest,
    families: None,
    all_named: dict[tuple[str, str | None], tuple[str, str | None]],
) -> tuple[str, str | None]:
    """Each encoder in turn, by its names; all tests of one follow each other."""
    return all_named[request.param]


@pytest.fixture
def encoder(named: tuple[str, str | None]) -> Encoder:
    return loaded(*named)


def frames_for(encoder: Encoder, count: int) -> UInt8[np.ndarray, "frame height width 3"]:
    size = encoder.identity.preprocessing
    return np.random.default_rng(7).integers(0, 256, (count, size.height, size.width, 3), np.uint8)


def test_every_plug_in_is_tried() -> None:
    assert {plug_in_of(model) for model, _ in ENCODERS} == set(plug_in_names("tvr.pipeline.encoders"))


def test_it_is_an_encoder(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert encoder.frames_per_batch >= 1


def test_the_identity_can_be_written_and_says_what_loads_it(
    encoder: Encoder, named: tuple[str, str | None]
) -> None:
    identity = encoder.identity
    record = json.loads(json.dumps(asdict(identity)))
    assert record["dim"] == identity.dim >= 1
    assert identity.model == named[0]
    assert identity.pretrained == (named[1] or identity.pretrained)
    assert identity.random_weights == (named[1] == "random")
    assert len(identity.weights_digest) == 64
    assert 0 < identity.logit_scale <= 100
    assert identity.words_available == (not identity.words_unavailable_reason)
    assert bool(identity.num_patches) == (not identity.patches_unavailable_reason)
    name, _, version = identity.library_version.partition(" ")
    assert name
    assert version[0].isdigit()


def test_the_digest_is_of_the_weights(
    encoder: Encoder,
    named: tuple[str, str | None],
    all_named: dict[tuple[str, str | None], tuple[str, str | None]],
) -> None:
    again = loaded(*named, "bf16").identity
    assert again.weights_digest == encoder.identity.weights_digest
    assert again.precision == "bf16"
    others = {loaded(*other).identity.weights_digest for other in all_named.values() if other != named}
    assert encoder.identity.weights_digest not in others


def test_frames_have_features(encoder: Encoder) -> None:
    frames = frames_for(encoder, 3)
    found = encoder.encode_frames(frames)
    assert found.shape == (3, encoder.identity.dim)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.ptp(found, axis=0).max() > 0, "other pictures, other features"
    assert encoder.encode_frames(frames[:0]).shape == (0, encoder.identity.dim)


def test_a_frame_does_not_depend_on_how_many_come_with_it(encoder: Encoder) -> None:
    frames = frames_for(encoder, 7)
    whole = encoder.begin_frames(frames, batch_size=8)().frames
    for start, end in ((0, 1), (2, 5)):
        part = encoder.begin_frames(frames[start:end], batch_size=8)().frames
        assert np.array_equal(part, whole[start:end])


@pytest.mark.parametrize("change", ["size", "type"])
def test_other_frames_fail(encoder: Encoder, change: str) -> None:
    frames = frames_for(encoder, 1)
    wrong = frames[:, 1:] if change == "size" else frames.astype(np.float32)
    # The annotation of the parameter refuses the type before the check does, where annotations are checked.
    with pytest.raises((ValueError, TypeError)):
        encoder.encode_frames(wrong)


def test_patches_lie_where_the_identity_says(encoder: Encoder) -> None:
    frames = frames_for(encoder, 2)
    identity = encoder.identity
    if not identity.patch_kind:
        with pytest.raises(ValueError, match="no patches"):
            encoder.begin_frames(frames, patches=True)
        return
    found = encoder.begin_frames(frames, patches=True)()
    assert found.patches is not None
    assert found.patches.shape == (2, identity.patches_per_frame, identity.patch_dim)
    assert identity.patch_kind == "raw" or identity.patch_dim == identity.dim
    assert np.isfinite(found.patches).all()
    np.testing.assert_allclose(found.frames, encoder.encode_frames(frames), rtol=1e-4, atol=1e-6)
    assert encoder.begin_frames(frames)().patches is None


def test_texts_have_a_row_a_token_and_one_of_their_own(encoder: Encoder) -> None:
    texts = encoder.encode_texts(TEXTS)
    assert len(texts) == len(TEXTS)
    for text in texts:
        assert text.words.shape == (len(text.token_ids), encoder.identity.dim)
        assert text.words.dtype == np.float32
        assert text.token_ids.dtype == np.int32
        assert np.isfinite(text.words).all()
        assert 0 <= text.sentence_row < len(text.words)
        assert (text.token_ids[:-1] != NO_TOKEN).all(), "only the last row may be no token"
    assert np.array_equal(texts[0].words, texts[3].words)
    assert not np.array_equal(texts[0].words[texts[0].sentence_row], texts[2].words[texts[2].sentence_row])
    assert [text.truncated for text in texts] == [False, False, False, False, True]
    assert encoder.encode_texts([]) == []


def test_half_a_character_is_replaced(encoder: Encoder) -> None:
    """As an argument that is not UTF-8 has it, or an escape of JSON."""
    broken, replaced = encoder.encode_texts(["a \udcff dog", "a ? dog"])
    assert np.array_equal(broken.words, replaced.words)


def test_a_text_does_not_depend_on_its_batch(encoder: Encoder) -> None:
    for text, expected in zip(TEXTS, encoder.encode_texts(TEXTS), strict=True):
        (alone,) = encoder.encode_texts([text])
        assert np.array_equal(alone.token_ids, expected.token_ids)
        np.testing.assert_allclose(alone.words, expected.words, atol=1e-5 * np.abs(expected.words).max())


def test_bf16_keeps_the_direction(encoder: Encoder, named: tuple[str, str | None]) -> None:
    frames = frames_for(encoder, 4)
    fast = loaded(*named, "bf16")
    for found, expected in _pairs(fast, encoder, frames):
        cosine = (found * expected).sum() / (np.linalg.norm(found) * np.linalg.norm(expected))
        assert cosine >= 0.995


def _pairs(
    fast: Encoder, exact: Encoder, frames: UInt8[np.ndarray, "frame height width 3"]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield from zip(fast.encode_frames(frames), exact.encode_frames(frames), strict=True)
    for found, expected in zip(fast.encode_texts(TEXTS), exact.encode_texts(TEXTS), strict=True):
        yield found.words[found.sentence_row], expected.words[expected.sentence_row]


def test_tokens_have_names(encoder: Encoder) -> None:
    (text,) = encoder.encode_texts(["a dog"])
    names = token_names(encoder.identity.model, text.token_ids.tolist())
    assert len(names) == len(text.token_ids)
    assert "dog" in names
    assert token_names("", [5, 9, 7]) == ["0", "1", "2"], "of an unknown vocabulary their places"


def test_a_name_that_means_a_published_model_is_nobodys_own(named: tuple[str, str | None]) -> None:
    """Only a folder may be anybody's."""
    assert is_own_model(named[0]) == named[0].startswith("transformers:")
    assert not is_own_file(*named)


def test_weights_that_there_are_none_of_fail(named: tuple[str, str | None]) -> None:
    with pytest.raises(TvrError, match="nosuch"):
        load_encoder(named[0], "nosuch")


def test_a_device_that_is_not_there_fails(named: tuple[str, str | None]) -> None:
    with pytest.raises(UsageError, match="device"):
        load_encoder(*named, device="toaster")
