"""Models of the transformers library, from folders on disk: tiny ones of every family, against the library's own
functions."""

import json
import pickle
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tvr.data.contracts.errors import MissingWeightsError, UsageError, WeightsError
from tvr.pipeline.encoders import transformers as plug_in
from tvr.pipeline.encoders.base import NO_TOKEN, is_own_model, load_encoder, plug_in_of, token_names
from tvr.pipeline.encoders.families.repository import find_repository
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.preprocessing import resize

from ...fixtures.transformers_folders import CLIP_LIKE, CONTEXT, save_clip_like, save_qwen, small_tokenizer

pytest.importorskip("transformers", reason="needs the extra transformers")

SHORT, LONG = "a dog runs", "the red car in the house of a man runs " * 3
TEXTS = (SHORT, "the cat", LONG)
near = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)

Folder = Callable[[str], Path]
Loader = Callable[[str], FrozenEncoder]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder of a family's model, which no test may change."""
    root = tmp_path_factory.mktemp("models")

    @lru_cache
    def save(family: str) -> Path:
        return save_qwen(root) if family == "Qwen3VL" else save_clip_like(root, family)

    return save


@pytest.fixture(scope="module")
def encoder_of(folder_of: Folder) -> Loader:
    @lru_cache
    def load(family: str) -> FrozenEncoder:
        encoder = plug_in.load(f"transformers:{folder_of(family)}", device="cpu", precision="fp32")
        encoder.frames.frames_per_pass = 2
        return encoder

    return load


@pytest.fixture
def changed(tmp_path: Path, folder_of: Folder) -> Callable[..., str]:
    """A copy of CLIP's folder, in which one record says something else; its name as a model."""

    def copy(record: str, **settings: Any) -> str:
        for file in folder_of("CLIP").iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        content = json.loads((tmp_path / record).read_bytes()) | settings
        (tmp_path / record).write_text(json.dumps(content))
        return f"transformers:{tmp_path}"

    return copy


def some_frames(encoder: FrozenEncoder, number: int = 3) -> np.ndarray:
    size = encoder.identity.preprocessing.height
    return np.random.default_rng(0).integers(0, 256, (number, size, size, 3), np.uint8)


def library(folder: Path) -> tuple[Any, Any, Any]:
    """Model, tokenizer and image processor as anybody loads them."""
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    return model, AutoTokenizer.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)


@pytest.mark.parametrize("family", CLIP_LIKE)
def test_features_are_the_librarys_own(family: str, folder_of: Folder, encoder_of: Loader) -> None:
    encoder, (model, tokenizer, processor) = encoder_of(family), library(folder_of(family))
    frames = some_frames(encoder)
    padding = "max_length" if family == "Siglip" else "longest"
    tokens = tokenizer(list(TEXTS), padding=padding, max_length=CONTEXT, truncation=True, return_tensors="pt")
    if family == "Siglip":  # was trained without a mask
        del tokens["attention_mask"]
    tokens.pop("token_type_ids", None)
    with torch.no_grad():
        images = model.get_image_features(**processor(list(frames), return_tensors="pt")).pooler_output
        texts = model.get_text_features(**tokens).pooler_output
    encoded = encoder.encode_texts(TEXTS)
    near(encoder.encode_frames(frames), images)
    near([one.words[one.sentence_row] for one in encoded], texts)
    assert [one.truncated for one in encoded] == [False, False, True]
    assert encoder.identity.logit_scale == pytest.approx(min(100, float(model.logit_scale.detach().exp())))
    assert encoder.identity.dim == images.shape[1]


@pytest.mark.parametrize("family", CLIP_LIKE)
def test_words_go_the_way_of_the_pooled_row(family: str, folder_of: Folder, encoder_of: Loader) -> None:
    """Each token's last state through the projection; the pooled row among them, or behind them if it is none."""
    encoder, (model, tokenizer, _) = encoder_of(family), library(folder_of(family))
    [encoded] = encoder.encode_texts([SHORT])
    ids = tokenizer(SHORT)["input_ids"]
    is_siglip = family == "Siglip"
    fed = ids + [0] * (CONTEXT - len(ids)) if is_siglip else ids
    with torch.no_grad():
        states = model.get_text_features(input_ids=torch.tensor([fed])).last_hidden_state[0]
        words = (model.text_model.head if is_siglip else model.text_projection)(states)
    rows = [*range(len(ids)), *([CONTEXT - 1] if is_siglip else [])]
    near(encoded.words, words[rows])
    assert encoded.token_ids.tolist() == ids + ([NO_TOKEN] if is_siglip else [])


def test_a_pooled_row_that_is_a_token_stands_once(encoder_of: Loader) -> None:
    """SigLIP pools at its last position, which is a word where a text fills the context."""
    [encoded] = encoder_of("Siglip").encode_texts([LONG])
    assert NO_TOKEN not in encoded.token_ids
    assert encoded.sentence_row == len(encoded.token_ids) - 1 == CONTEXT - 1


def test_old_configurations_of_clip_pool_at_the_largest_id(
    tmp_path: Path, folder_of: Folder, changed: Callable[..., str]
) -> None:
    """Those that say eos_token_id 2, which was wrong and is what the library knows them by."""
    config = json.loads((folder_of("CLIP") / "config.json").read_bytes())
    name = changed("config.json", text_config=config["text_config"] | {"eos_token_id": 2})
    model, tokenizer, _ = library(tmp_path)
    [encoded] = plug_in.load(name, device="cpu", precision="fp32").encode_texts([SHORT])
    ids = tokenizer(SHORT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        near(encoded.words[encoded.sentence_row], model.get_text_features(input_ids=ids).pooler_output[0])
    assert encoded.sentence_row == int(ids.argmax()) != len(encoded.token_ids) - 1


def test_texts_may_be_padded_in_front(tmp_path: Path, folder_of: Folder) -> None:
    """As the tokenizer of SigLIP 2 does: the last position is the end of every text then."""
    for file in folder_of("Siglip").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    record = tmp_path / "tokenizer_config.json"
    record.write_text(json.dumps(json.loads(record.read_bytes()) | {"padding_side": "left"}))
    model, tokenizer, _ = library(tmp_path)
    [encoded] = plug_in.load(f"transformers:{tmp_path}", device="cpu", precision="fp32").encode_texts([SHORT])
    tokens = tokenizer(SHORT, padding="max_length", max_length=CONTEXT, return_tensors="pt")["input_ids"]
    assert tokens[0, 0] == tokenizer.pad_token_id
    with torch.no_grad():
        found = model.get_text_features(input_ids=tokens)
        words = model.text_model.head(found.last_hidden_state[0, -len(encoded.token_ids) :])
    near(encoded.words, words)
    near(encoded.words[encoded.sentence_row], found.pooler_output[0])
    assert encoded.token_ids.tolist() == tokenizer(SHORT)["input_ids"]


@pytest.mark.parametrize("family", [*CLIP_LIKE, "Qwen3VL"])
def test_a_text_is_alone_in_its_batch(family: str, encoder_of: Loader) -> None:
    encoder = encoder_of(family)
    [alone], [among, *_] = encoder.encode_texts([SHORT]), encoder.encode_texts([SHORT, LONG])
    near(alone.words, among.words)
    assert alone.sentence_row == among.sentence_row


@pytest.mark.parametrize("family", [name for name in CLIP_LIKE if name != "Siglip"])
def test_patches_go_the_way_of_the_frame(family: str, folder_of: Folder, encoder_of: Loader) -> None:
    """What gives the frame's own feature of the class token gives those of the patches."""
    encoder, (model, _, processor) = encoder_of(family), library(folder_of(family))
    frames = some_frames(encoder)
    with torch.no_grad():
        states = model.vision_model(**processor(list(frames), return_tensors="pt")).last_hidden_state
        tokens = model.visual_projection(model.vision_model.post_layernorm(states))
    found = encoder.begin_frames(frames, patches=True)()
    near(found.frames, tokens[:, 0])
    assert found.patches is not None
    near(found.patches, tokens[:, 1:])
    assert encoder.identity.num_patches == tokens.shape[1] - 1


def test_patches_under_attention_pooling_fail(encoder_of: Loader) -> None:
    encoder = encoder_of("Siglip")
    with pytest.raises(ValueError, match="no projection belongs to a single patch"):
        encoder.begin_frames(some_frames(encoder), patches=True)


def test_an_embedding_model_is_the_librarys_own(folder_of: Folder, encoder_of: Loader) -> None:
    """Frames and texts of a Qwen3-VL: states of the conversation that the library's forward gives."""
    encoder, (model, tokenizer, processor) = encoder_of("Qwen3VL"), library(folder_of("Qwen3VL"))
    before = "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n"
    behind = "<|im_end|>\n<|im_start|>assistant\n"
    frames, picture = some_frames(encoder), "<|image_pad|>" * encoder.identity.num_patches
    seen = f"{before}<|vision_start|>{picture}<|vision_end|>{behind}"
    tokens = tokenizer([seen] * len(frames), return_tensors="pt")
    is_picture = tokens["input_ids"] == model.config.image_token_id
    with torch.no_grad():
        of_frames = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            mm_token_type_ids=is_picture.int(),
            **processor(list(frames), return_tensors="pt"),
        ).last_hidden_state
        text = tokenizer(f"{before}{SHORT}{behind}", return_tensors="pt")["input_ids"]
        of_text = model(input_ids=text).last_hidden_state[0]
    found, [encoded] = encoder.begin_frames(frames, patches=True)(), encoder.encode_texts([SHORT])
    near(found.frames, of_frames[:, -1])
    assert found.patches is not None
    near(found.patches, of_frames[is_picture].unflatten(0, (len(frames), -1)))
    near(encoded.words[-1], of_text[-1])
    own = tokenizer(SHORT)["input_ids"]
    assert encoded.token_ids.tolist() == [*own, NO_TOKEN]
    start = next(i for i in range(text.shape[1]) if text[0, i : i + len(own)].tolist() == own)
    near(encoded.words[:-1], of_text[start : start + len(own)])


def test_a_long_text_is_cut_within_its_conversation(encoder_of: Loader) -> None:
    encoder = encoder_of("Qwen3VL")
    long, longer = encoder.encode_texts(["a dog " * 400, "a dog " * 500])
    assert long.truncated
    near(long.words, longer.words)
    assert not encoder.encode_texts([SHORT])[0].truncated


def test_an_embedding_models_tokenizer_of_another_model_fails(tmp_path: Path, folder_of: Folder) -> None:
    for file in folder_of("Qwen3VL").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    small_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"does not write <\|image_pad\|> as token"):
        plug_in.load(f"transformers:{tmp_path}", device="cpu")


@pytest.mark.parametrize("family", ["CLIP", "Siglip"])
@pytest.mark.parametrize("size", [(57, 83), (90, 41), (32, 32)])
def test_pixels_are_the_image_processors(
    family: str, size: tuple[int, int], folder_of: Folder, encoder_of: Loader
) -> None:
    """To the rounding of an 8-bit pixel: the library resizes by another routine."""
    preprocessing = encoder_of(family).identity.preprocessing
    rows, columns = np.indices(size)
    frame = np.stack([rows * 3 % 256, columns * 2 % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    expected = library(folder_of(family))[2](frame, return_tensors="pt")["pixel_values"][0]
    scaled = (resize(frame, preprocessing) / 255 - preprocessing.mean) / preprocessing.std
    np.testing.assert_allclose(scaled.transpose(2, 0, 1), expected, atol=2.01 / 255 / min(preprocessing.std))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"size": {"shortest_edge": 40}}, r"'shortest_edge': 40.* cuts 32 x 32"),
        ({"crop_size": {"height": 24, "width": 24}}, "cuts 24 x 24"),
        ({"do_center_crop": False}, "cuts nothing out of their centre; known here is height and width of 32"),
        ({"do_resize": False}, "leaves pictures as large as they are"),
        ({"resample": 1}, "resamples with filter"),
        ({"rescale_factor": 1.0}, "multiplies pixels by 1.0; known here is a multiplication by 1/255"),
        ({"do_rescale": False}, "multiplies pixels by None"),
    ],
)
def test_pictures_made_in_another_way_fail(
    settings: dict[str, Any], reason: str, changed: Callable[..., str]
) -> None:
    with pytest.raises(WeightsError, match=reason):
        plug_in.load(changed("preprocessor_config.json", **settings), "random", device="cpu")


def test_a_processor_may_leave_pixels_as_they_are(changed: Callable[..., str]) -> None:
    encoder = plug_in.load(
        changed("preprocessor_config.json", do_normalize=False, resample=2), "random", device="cpu"
    )
    assert (encoder.identity.preprocessing.mean, encoder.identity.preprocessing.std) == ((0,) * 3, (1,) * 3)
    assert encoder.identity.preprocessing.interpolation == "bilinear"


def test_random_weights_are_always_the_same(folder_of: Folder, encoder_of: Loader) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = (
        load_encoder(f"transformers:{folder_of('CLIP')}", "random", device="cpu").identity for _ in range(2)
    )
    assert torch.rand(1) == expected
    assert first.random_weights
    assert first.weights_digest == second.weights_digest != encoder_of("CLIP").identity.weights_digest
    assert (first.pretrained, encoder_of("CLIP").identity.pretrained) == ("random", "model.safetensors")


@pytest.mark.parametrize("family", ["CLIP", "Qwen3VL"])
def test_products_in_bfloat16_are_near(family: str, folder_of: Folder, encoder_of: Loader) -> None:
    exact = encoder_of(family)
    rounded = plug_in.load(f"transformers:{folder_of(family)}", device="cpu", precision="bf16")
    frames = some_frames(exact)
    assert cosine(exact.encode_frames(frames), rounded.encode_frames(frames)) > 0.99
    [one], [other] = exact.encode_texts([SHORT]), rounded.encode_texts([SHORT])
    assert cosine(one.words, other.words) > 0.99


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return float(((first * second).sum(axis=-1) / lengths).min())


def test_tokens_have_names_where_the_model_was_loaded(encoder_of: Loader) -> None:
    encoder = encoder_of("Siglip")
    [encoded] = encoder.encode_texts([SHORT])
    names = token_names(encoder.identity.model, encoded.token_ids.tolist())
    assert names == ["<s>", "a", "dog", "runs", "</s>", "pooled"]


def test_names_of_tokens_of_a_model_that_nobody_loaded_fail(folder_of: Folder, tmp_path: Path) -> None:
    """A store of somebody else names a folder: it is not opened."""
    copy = tmp_path / "stranger"
    copy.symlink_to(folder_of("CLIP"))
    assert token_names(f"transformers:{copy}", [2, 3]) == ["0", "1"]


def test_a_model_is_somebodys_own() -> None:
    assert plug_in_of("transformers:owner/name") == "transformers"
    assert is_own_model("transformers:owner/name")
    assert not plug_in.is_own_file("transformers:owner/name", "model.safetensors")
    assert plug_in.known_models() == {}


@pytest.mark.parametrize(
    ("record", "settings", "reason"),
    [
        ("config.json", {"model_type": "bert"}, r"model_type 'bert' .*Known: clip, metaclip_2, siglip"),
        ("config.json", {"model_type": "siglip2"}, "any number of patches.*take a SigLIP 2 of a fixed"),
        (
            "config.json",
            {"auto_map": {"AutoModel": "evil.Model"}},
            "Python code of its own, which is not run",
        ),
        (
            "tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": "evil.T"}},
            "tokenizer_config.json says auto_map",
        ),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "e.P"}}, "code of its own"),
        ("tokenizer_config.json", {"vocab_file": "/etc/passwd"}, "sends to '/etc/passwd'"),
        ("config.json", {"quantization_config": {"load_in_8bit": True}}, "quantised weights"),
        ("config.json", {"text_config": {"hidden_size": "wide"}}, "its configuration makes no model"),
        ("config.json", {"projection_dim": 7}, r"of another model .* 2 of its tensors .*text_projection"),
        ("tokenizer_config.json", {"pad_token": None}, "no token that pads texts"),
    ],
)
def test_what_no_model_may_say_fails(
    record: str, settings: dict[str, Any], reason: str, changed: Callable[..., str]
) -> None:
    with pytest.raises(WeightsError, match=reason):
        plug_in.load(changed(record, **settings), device="cpu")


@pytest.mark.parametrize(
    ("record", "settings"),
    [
        ("tokenizer_config.json", {"model_max_length": -5}),
        ("tokenizer_config.json", {"model_max_length": "x"}),
        ("preprocessor_config.json", {"image_mean": None}),
        ("preprocessor_config.json", {"image_mean": [1]}),
        ("preprocessor_config.json", {"size": None}),
        ("preprocessor_config.json", {"rescale_factor": "x"}),
    ],
)
def test_records_of_another_kind_fail(
    record: str, settings: dict[str, Any], changed: Callable[..., str]
) -> None:
    with pytest.raises(WeightsError):
        plug_in.load(changed(record, **settings), device="cpu", precision="fp32")


@pytest.mark.parametrize("end", [None, [3]])
def test_a_text_without_an_end_fails(end: Any, folder_of: Folder, changed: Callable[..., str]) -> None:
    config = json.loads((folder_of("CLIP") / "config.json").read_bytes())["text_config"]
    with pytest.raises(WeightsError):
        plug_in.load(changed("config.json", text_config=config | {"eos_token_id": end}), device="cpu")


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_a_scale_that_is_none_fails(number: float, tmp_path: Path, changed: Callable[..., str]) -> None:
    name, file = changed("config.json"), tmp_path / "model.safetensors"
    save_file(load_file(file) | {"logit_scale": torch.tensor(number)}, file)
    with pytest.raises(WeightsError, match="multiplies cosines with"):
        plug_in.load(name, device="cpu")


def test_quantised_weights_fail(tmp_path: Path, changed: Callable[..., str]) -> None:
    name, file = changed("config.json"), tmp_path / "model.safetensors"
    save_file({key: value.to(torch.int8) for key, value in load_file(file).items()}, file)
    with pytest.raises(WeightsError, match="quantised weights"):
        plug_in.load(name, device="cpu")


def test_settings_of_how_a_network_is_run_are_left_out(
    folder_of: Folder, changed: Callable[..., str]
) -> None:
    """Among them code of the hub for attention, of the whole network or of a part of it."""
    settings = {"attn_implementation": "somebody/kernel", "output_attentions": True, "return_dict": False}
    parts = json.loads((folder_of("CLIP") / "config.json").read_bytes())
    text = parts["text_config"] | settings
    model = plug_in.load(changed("config.json", text_config=text, **settings), device="cpu")
    assert model.encode_texts([SHORT])
    assert not find_repository(model.identity.model).config.keys() & settings.keys()
    assert not find_repository(model.identity.model).config["text_config"].keys() & settings.keys()


def test_a_tokenizer_that_ends_no_text_fails(tmp_path: Path, changed: Callable[..., str]) -> None:
    model = changed("config.json")
    small_tokenizer(is_framed=False).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="does not end texts with token 3"):
        plug_in.load(model, device="cpu")


def test_an_unknown_name_of_weights_fails(folder_of: Folder) -> None:
    with pytest.raises(UsageError, match=r"--pretrained random draws others.*got 'openai'"):
        plug_in.load(f"transformers:{folder_of('CLIP')}", "openai", device="cpu")


def test_a_missing_folder_fails(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such folder"):
        plug_in.load(f"transformers:{tmp_path}/none", device="cpu")
    with pytest.raises(WeightsError, match="there is no such folder"):
        plug_in.load("transformers:", device="cpu")
    with pytest.raises(WeightsError, match=r"it has no config\.json"):
        plug_in.load(f"transformers:{tmp_path}", device="cpu")


def test_missing_weights_fail(tmp_path: Path, changed: Callable[..., str]) -> None:
    model = changed("config.json")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match="--pretrained random"):
        plug_in.load(model, device="cpu")
    assert plug_in.load(model, "random", device="cpu").identity.random_weights


def test_weights_in_several_files(tmp_path: Path, changed: Callable[..., str], encoder_of: Loader) -> None:
    from safetensors.torch import load_file, save_file

    model = changed("config.json")
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    halves = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(weights)}
    for part in set(halves.values()):
        save_file({name: weights[name] for name in halves if halves[name] == part}, tmp_path / part)
    listing = tmp_path / "model.safetensors.index.json"
    listing.write_text(json.dumps({"weight_map": halves}))
    found = plug_in.load(model, device="cpu").identity
    assert found.weights_digest == encoder_of("CLIP").identity.weights_digest
    assert found.pretrained == listing.name


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ("../elsewhere.safetensors", "which is in another folder, and is not followed"),
        ("part-9.safetensors", r"has no part-9\.safetensors"),
        (7, "does not list files of weights"),
    ],
)
def test_a_list_of_files_of_another_place_fails(
    listed: Any, reason: str, tmp_path: Path, changed: Callable[..., str]
) -> None:
    model = changed("config.json")
    (tmp_path / "model.safetensors").rename(tmp_path.parent / "elsewhere.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": listed}}))
    with pytest.raises(WeightsError, match=reason):
        plug_in.load(model, device="cpu")


def test_weights_of_the_older_format(tmp_path: Path, changed: Callable[..., str], encoder_of: Loader) -> None:
    from safetensors.torch import load_file

    model = changed("config.json")
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    found = plug_in.load(model, device="cpu").identity
    assert (found.pretrained, found.weights_digest) == (
        "pytorch_model.bin",
        encoder_of("CLIP").identity.weights_digest,
    )


class Evil:
    """Runs code where a file of weights is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


@pytest.mark.parametrize(
    "content", [pickle.dumps({"a": Evil()}), b"<html>", b""], ids=["code", "a page", "nothing"]
)
def test_a_file_of_no_weights_fails(content: bytes, tmp_path: Path, changed: Callable[..., str]) -> None:
    model = changed("config.json")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(WeightsError, match="does not hold weights of transformers:"):
        plug_in.load(model, device="cpu")


def test_a_repository_comes_from_the_cache(
    tmp_path: Path, folder_of: Folder, monkeypatch: pytest.MonkeyPatch, encoder_of: Loader
) -> None:
    """As ``hf download`` leaves it, without a question to anybody."""
    from huggingface_hub import constants

    repository = tmp_path / "models--some--one"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / ("0" * 40)).symlink_to(folder_of("CLIP"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = plug_in.load("transformers:some/one", device="cpu").identity
    assert found.model == "transformers:some/one"
    assert found.weights_digest == encoder_of("CLIP").identity.weights_digest


def test_a_missing_repository_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeightsError) as caught:
        plug_in.load("transformers:some/one", device="cpu")
    first, second = str(caught.value).splitlines()
    assert first == "the files of transformers:some/one are not on this machine: HF_HUB_OFFLINE is set"
    assert second.startswith(
        f"to bring them: `hf download some/one` with a network, into {tmp_path}; or --model"
    )


def test_without_the_library_it_fails(folder_of: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = f"transformers:{folder_of('CLIP')}"
    monkeypatch.setattr(plug_in, "version", lambda name: "5.9.1")
    with pytest.raises(WeightsError, match=r"5\.24 or later, and 5\.9\.1 is installed: pip install 'tvr"):
        plug_in.load(model, device="cpu")
    monkeypatch.setattr(plug_in, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"it is not installed: pip install 'tvr\[transformers\]'"):
        plug_in.load(model, device="cpu")
