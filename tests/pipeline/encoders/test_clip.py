"""What comes out of an encoder, against open_clip's own functions on the same weights."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from jaxtyping import Float, Float32, UInt8
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from tvr.pipeline.encoders.base import NO_TOKEN, EncodedText
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.encoders.towers.precision import arithmetic
from tvr.pipeline.encoders.towers.text import text_tower
from tvr.pipeline.encoders.towers.tokens import Tokenizer
from tvr.pipeline.encoders.weights.build import build_network, preprocessing_of
from tvr.pipeline.encoders.weights.sources import Source
from tvr.pipeline.encoders.weights.tags import training_of
from tvr.pipeline.preprocessing import resize

from ...fixtures.model_families import FAMILIES, small_name
from .conftest import Loader

TEXTS = (
    "a dog",
    "",
    "a man in a red shirt is slicing ripe tomatoes on a wooden board, and then he smiles!? :-)",
    "a dog",
    "running " * 100,
)
BF16_COSINE = 0.999
PUBLISHED = ("mean", "std", "interpolation", "resize_mode")
"""What open_clip publishes of a tag's preprocessing."""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Each family in turn; a fixture, so that all tests of one family follow each other and share its model."""
    return request.param


def pictures(count: int, height: int = 90, width: int = 140) -> UInt8[np.ndarray, "frame height width 3"]:
    """Smooth random pictures: coarse noise, enlarged."""
    noise = np.random.default_rng(count).integers(0, 256, (count, 6, 9, 3), np.uint8)
    enlarged = [Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC) for one in noise]
    return np.stack([np.asarray(one) for one in enlarged])


def inputs(encoder: FrozenEncoder, count: int) -> UInt8[np.ndarray, "frame height width 3"]:
    return np.stack([resize(one, encoder.identity.preprocessing) for one in pictures(count)])


def open_clip_image_features(
    encoder: FrozenEncoder, frames: UInt8[np.ndarray, "frame height width 3"]
) -> Float32[np.ndarray, "frame dim"]:
    model: Any = encoder.texts.model
    transform: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    with torch.no_grad():
        return model.encode_image(
            torch.stack([transform(Image.fromarray(f)) for f in frames]), normalize=False
        ).numpy()


def full_context(
    encoder: FrozenEncoder,
) -> tuple[Float[Tensor, "text dim"], Float[Tensor, "text position dim"]]:
    """``encode_text`` of the padded texts, and every position on its way out, caught behind the last layer."""
    model: Any = encoder.texts.model
    tower = getattr(model, "text", model)
    caught: list[Tensor] = []
    hook = tower.transformer.register_forward_hook(lambda *call: caught.append(call[2]))
    with torch.no_grad():
        pooled = model.encode_text(
            open_clip.get_tokenizer(encoder.identity.model)(list(TEXTS)), normalize=False
        )
        words = tower.ln_final(caught[0])
        if isinstance(tower.text_projection, torch.nn.Linear):
            words = tower.text_projection(words)
        else:
            words = words @ tower.text_projection
    hook.remove()
    return pooled, words


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal to a hundred-thousandth of the largest number."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def assert_apart(features: np.ndarray) -> None:
    """The model tells its inputs apart by more than the tolerance, else nothing would have been compared."""
    assert np.ptp(features, axis=0).max() > 1e-4 * np.abs(features).max()


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return (found * expected).sum(axis=1) / lengths


def pooled_rows(texts: list[EncodedText]) -> Float32[np.ndarray, "text dim"]:
    return np.stack([text.words[text.sentence_row] for text in texts])


def test_frames_equal_encode_image(small: Loader, family: str) -> None:
    encoder = small(family)
    expected = open_clip_image_features(encoder, inputs(encoder, 2))
    found = encoder.encode_frames(inputs(encoder, 2))
    assert found.dtype == np.float32
    assert found.shape == (2, encoder.identity.dim)
    assert_close(found, expected)
    assert_apart(found)


def test_pooled_rows_equal_encode_text(small: Loader, family: str) -> None:
    encoder = small(family)
    assert encoder.identity.words_available, encoder.identity.words_unavailable_reason
    pooled, _ = full_context(encoder)
    found = pooled_rows(encoder.encode_texts(TEXTS))
    assert_close(found, pooled.numpy())
    assert_apart(found)


def test_words_are_every_position_of_the_full_context(small: Loader, family: str) -> None:
    encoder = small(family)
    _, words = full_context(encoder)
    ids = open_clip.get_tokenizer(encoder.identity.model)(list(TEXTS))
    for text, row, its_words in zip(encoder.encode_texts(TEXTS), ids, words.numpy(), strict=True):
        length = int((row == 49407).int().argmax()) + 1
        assert text.token_ids[:length].tolist() == row[:length].tolist()
        assert len(text.words) == len(text.token_ids) == max(length, text.sentence_row + 1)
        assert_close(text.words[:length], its_words[:length])


def test_bf16_keeps_the_direction(small: Loader, family: str) -> None:
    exact, fast = small(family), small(family, "bf16")
    assert fast.identity.weights_digest == exact.identity.weights_digest
    frames = inputs(exact, 2)
    assert cosines(fast.encode_frames(frames), exact.encode_frames(frames)).min() >= BF16_COSINE
    for found, expected in zip(fast.encode_texts(TEXTS), exact.encode_texts(TEXTS), strict=True):
        assert found.words.dtype == np.float32
        assert cosines(found.words, expected.words).min() >= BF16_COSINE


@pytest.mark.parametrize(
    ("family", "tag"),
    [
        ("ViT-B-32", "openai"),
        ("RN50-quickgelu", "cc12m"),
        ("MobileCLIP2-S0", "dfndr2b"),
        ("ViT-B-16-SigLIP", "webli"),
        ("ViT-L-14-CLIPA", "datacomp1b"),
        ("coca_ViT-B-32", "laion2b_s13b_b90k"),
        ("PE-Core-T-16-384", "meta"),
        ("ViTamin-S", "datacomp1b"),
    ],
)
def test_preprocessing_is_that_of_the_tag(family: str, tag: str) -> None:
    source = Source(small_name(family), "random", small_name(family), None, training_of(family, tag))
    model = build_network(source, 0, None)
    record = preprocessing_of(model)
    published = {key: open_clip.get_pretrained_cfg(family, tag)[key] for key in PUBLISHED}
    transform: Any = image_transform_v2(
        PreprocessCfg(size=model.visual.image_size, **published), is_train=False
    )
    for picture in (*pictures(1, 360, 640), *pictures(1, 500, 281)):
        expected = transform(Image.fromarray(picture)).permute(1, 2, 0).numpy()
        mean, std = np.array(record.mean, np.float32), np.array(record.std, np.float32)
        found = (resize(picture, record) / np.float32(255) - mean) / std
        assert found.shape == expected.shape
        assert np.abs((found - expected) * std).max() <= 1.001 / 255


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_frame_does_not_depend_on_how_many_come_with_it(small: Loader, precision: str) -> None:
    encoder = small("ViT-B-32", precision)
    frames = inputs(encoder, 11)
    whole = encoder.encode_frames(frames)
    for count in (1, 4, 6, 10):
        assert np.array_equal(encoder.encode_frames(frames[:count]), whole[:count]), count
    assert np.array_equal(encoder.encode_frames(frames[4:9]), whole[4:9])


def test_no_frames_give_no_features(small: Loader) -> None:
    encoder = small("ViT-B-32")
    assert encoder.encode_frames(inputs(encoder, 1)[:0]).shape == (0, encoder.identity.dim)


def test_frames_of_another_size_fail(small: Loader) -> None:
    with pytest.raises(ValueError, match=r"\(224, 224, 3\)\], got uint8 \(1, 90, 140, 3\)"):
        small("ViT-B-32").encode_frames(pictures(1))


def test_a_text_does_not_depend_on_its_batch(small: Loader, family: str) -> None:
    encoder = small(family)
    together = encoder.encode_texts(TEXTS)
    for text, expected in zip(TEXTS, together, strict=True):
        (alone,) = encoder.encode_texts([text])
        assert_close(alone.words, expected.words)
        assert alone.token_ids.tolist() == expected.token_ids.tolist()
        assert (alone.sentence_row, alone.truncated) == (expected.sentence_row, expected.truncated)


def test_the_same_call_gives_the_same_bytes(small: Loader) -> None:
    encoder = small("ViT-B-32", "bf16")
    first, second = encoder.encode_texts(TEXTS), encoder.encode_texts(TEXTS)
    assert all(np.array_equal(one.words, other.words) for one, other in zip(first, second, strict=True))


def test_a_caption_that_occurs_again_is_encoded_once(small: Loader) -> None:
    encoder = small("ViT-B-32")
    runs: list[int] = []
    tower: Any = encoder.texts.model.transformer
    hook = tower.register_forward_pre_hook(lambda _, inputs: runs.append(len(inputs[0])))
    texts = encoder.encode_texts(["a cat", "a dog"] * 50)
    hook.remove()
    assert runs == [2]
    assert np.array_equal(texts[0].words, texts[98].words)


def test_a_causal_tower_runs_no_further_than_the_longest_text(small: Loader) -> None:
    lengths: list[int] = []
    for name in ("ViT-B-32", "coca_ViT-B-32", "MobileCLIP2-S0"):
        encoder = small(name)
        tower: Any = getattr(encoder.texts.model, "text", encoder.texts.model)
        hook = tower.transformer.register_forward_pre_hook(
            lambda _, inputs: lengths.append(inputs[0].shape[1])
        )
        encoder.encode_texts(["a cat", "a big cat"])
        hook.remove()
    # start, three words, end; CoCa also one position of padding, which its class token sees, and that token.
    assert lengths == [5, 7, 77]


def test_a_text_longer_than_the_context_says_so(small: Loader, family: str) -> None:
    encoder = small(family)
    room = encoder.identity.context_length - 2
    texts = encoder.encode_texts(
        [" ".join(["dog"] * count) for count in (1, room - 1, room, room + 1, 3 * room)]
    )
    assert [text.truncated for text in texts] == [False, False, False, True, True]


def test_a_pooled_row_without_a_token_is_marked(small: Loader) -> None:
    (coca,) = small("coca_ViT-B-32").encode_texts(["a dog"])
    assert coca.token_ids.tolist() == [49406, 320, 1929, 49407, NO_TOKEN]
    assert coca.sentence_row == 4
    (clip,) = small("ViT-B-32").encode_texts(["a dog"])
    assert clip.token_ids.tolist() == [49406, 320, 1929, 49407]
    assert clip.sentence_row == 3


class MeanOfEmbeddings(torch.nn.Module):
    """A text tower of a kind that nobody has heard of."""

    attn_mask = None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(49408, dim)

    def forward(self, ids: Tensor) -> Tensor:
        return self.embedding(ids).mean(dim=1)


def test_an_unknown_text_tower_gives_the_sentence_and_says_why() -> None:
    model: Any = open_clip.create_model("small-PE-Core-T-16-384", load_weights=False).eval()
    model.text = MeanOfEmbeddings(512)
    tower = text_tower(model, Tokenizer(open_clip.SimpleTokenizer(), 32), arithmetic("cpu", "fp32"))
    assert tower.words is None
    assert tower.words_unavailable_reason == "its text tower, MeanOfEmbeddings, gives no feature at each word"
    texts = tower(TEXTS)
    with torch.no_grad():
        expected = model.encode_text(open_clip.SimpleTokenizer()(list(TEXTS), context_length=32))
    assert_close(pooled_rows(texts), expected.numpy())
    assert [(text.words.shape[0], text.token_ids.tolist(), text.sentence_row) for text in texts] == [
        (1, [-1], 0)
    ] * 5


def test_a_text_tower_that_computes_something_else_is_found_out() -> None:
    model: Any = open_clip.create_model("small-PE-Core-T-16-384", load_weights=False).eval()
    model.text.register_forward_hook(lambda _module, _inputs, pooled: pooled * 1.01)
    tower = text_tower(model, Tokenizer(open_clip.SimpleTokenizer(), 32), arithmetic("cpu", "fp32"))
    assert tower.words is None
    assert tower.words_unavailable_reason.startswith("its pooled rows differ from encode_text by ")


def test_the_identity_can_be_written_as_json(small: Loader) -> None:
    identity = small("ViT-B-32-quickgelu").identity
    record = json.loads(json.dumps(asdict(identity)))
    assert record["preprocessing"]["height"] == 224
    assert record["activation"] == "quick_gelu"
    assert record["random_weights"] is True
    assert record["pretrained"] == "random"
    assert record["context_length"] == 77
    assert 0 < record["logit_scale"] <= 100


def test_the_activation_is_that_of_the_layers(small: Loader) -> None:
    assert small("ViT-B-32").identity.activation == "gelu"
    assert small("ViT-B-32-quickgelu").identity.activation == "quick_gelu"


@pytest.mark.parametrize("family", ["ViT-B-32", "ViT-B-16-SigLIP", "RN50-quickgelu"])
def test_attention_heads_are_those_of_the_text_tower(small: Loader, family: str) -> None:
    encoder = small(family)
    tower = encoder.texts.model
    block = getattr(tower, "text", tower).transformer.resblocks[0]
    width = block.attn.embed_dim
    own = block.attn.num_heads if width == encoder.identity.dim else None
    assert encoder.identity.attention_heads == own
