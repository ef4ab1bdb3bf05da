"""Text towers and tokenizers that the package transformers makes, from small ones built on the spot."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from tvr.data.contracts.errors import WeightsError
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.base import NO_TOKEN
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.encoders.weights import tokenizers

WORDS = ("a", "dog", "cat", "runs", "jumps", "on", "grass")
TEXTS = ("a dog runs", "a cat jumps on grass", "dog " * 30, "")


@pytest.fixture
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="needs transformers, which only some text towers need")


def save_tokenizer(folder: Path, special: Sequence[str], template: str, **roles: str) -> Path:
    """A word-level tokenizer: special tokens first, then the words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # pyright: ignore[reportMissingImports]
    from transformers import PreTrainedTokenizerFast  # pyright: ignore[reportMissingImports]

    ids = {token: i for i, token in enumerate((*special, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=special[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, ids[token]) for token in special]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    return folder


def save_roberta(folder: Path) -> Path:
    from transformers import RobertaConfig  # pyright: ignore[reportMissingImports]

    save_tokenizer(
        folder, ["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>",
        bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
    )  # fmt: skip
    RobertaConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40, bos_token_id=0, pad_token_id=1, eos_token_id=2,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def register(folder: Path, name: str, text: dict[str, Any], *, custom_text: bool = True) -> str:
    """A tiny model with this text tower, known to open_clip."""
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text, "custom_text": custom_text}
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    return name


def tower(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "hf_tokenizer_name": str(folder), "context_length": 12, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2,
        **changes,
    }  # fmt: skip


def pooled_by_open_clip(encoder: FrozenEncoder) -> np.ndarray:
    model: Any = encoder.texts.model
    ids = open_clip.get_tokenizer(encoder.identity.model)(list(TEXTS))
    with torch.no_grad():
        return model.encode_text(ids).numpy()


def assert_pooled_rows(encoder: FrozenEncoder) -> None:
    found = np.stack([text.words[text.sentence_row] for text in encoder.encode_texts(TEXTS)])
    np.testing.assert_allclose(found, pooled_by_open_clip(encoder), atol=1e-6)
    assert np.ptp(found, axis=0).max() > 1e-4


@pytest.mark.usefixtures("transformers")
def test_siglip_keeps_its_words_and_the_padded_end(tmp_path: Path) -> None:
    folder = save_tokenizer(
        tmp_path / "t5", ["<unk>", "</s>"], "$A </s>", unk_token="<unk>", eos_token="</s>", pad_token="</s>"
    )
    text = tower(
        folder,
        no_causal_mask=True,
        proj_bias=True,
        pool_type="last",
        tokenizer_kwargs={"clean": "canonicalize"},
    )
    encoder = clip.load(register(tmp_path, "tiny-sigmoid", text), "random", device="cpu", precision="fp32")
    assert encoder.identity.words_available
    assert_pooled_rows(encoder)
    first, second, third, fourth = encoder.encode_texts(TEXTS)
    assert first.token_ids.tolist() == [2, 3, 5, 1, NO_TOKEN]
    assert second.token_ids.tolist() == [2, 4, 6, 7, 8, 1, NO_TOKEN]
    assert (first.sentence_row, second.sentence_row) == (4, 6)
    assert len(third.words) == 12
    assert third.sentence_row == 11
    assert fourth.token_ids.tolist() == [1, NO_TOKEN]
    assert [text.truncated for text in (first, second, third, fourth)] == [False, False, True, False]


@pytest.mark.usefixtures("transformers")
def test_clipa_has_no_end_token(tmp_path: Path) -> None:
    folder = save_tokenizer(
        tmp_path / "bert", ["[PAD]", "[CLS]", "[SEP]", "[UNK]"], "[CLS] $A [SEP]",
        pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]",
    )  # fmt: skip
    text = tower(folder, no_causal_mask=True, pool_type="last", tokenizer_kwargs={"strip_sep_token": True})
    name = register(tmp_path, "tiny-clipa", text, custom_text=False)
    encoder = clip.load(name, "random", device="cpu", precision="fp32")
    assert_pooled_rows(encoder)
    first, _, third, _ = encoder.encode_texts(TEXTS)
    assert first.token_ids.tolist() == [1, 4, 5, 7, NO_TOKEN]
    assert (first.truncated, third.truncated) == (False, True)


@pytest.mark.usefixtures("transformers")
def test_metaclip_2_ends_at_its_end_token(tmp_path: Path) -> None:
    folder = save_tokenizer(
        tmp_path / "xlm", ["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>",
        bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
    )  # fmt: skip
    name = register(tmp_path, "tiny-worldwide", tower(folder, pool_type="eos", eos_id=2), custom_text=False)
    encoder = clip.load(name, "random", device="cpu", precision="fp32")
    assert_pooled_rows(encoder)
    first, _, third, _ = encoder.encode_texts(TEXTS)
    assert first.token_ids.tolist() == [0, 4, 5, 7, 2]
    assert first.sentence_row == 4
    assert (first.truncated, third.truncated) == (False, True)


@pytest.mark.usefixtures("transformers")
@pytest.mark.parametrize("pooler", ["mean_pooler", "cls_pooler"])
def test_a_tower_of_transformers_gives_the_sentence_alone(tmp_path: Path, pooler: str) -> None:
    folder = save_roberta(tmp_path / "roberta")
    text = {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder), "context_length": 12}
    name = register(tmp_path, f"tiny-roberta-{pooler}", {**text, "hf_pooler_type": pooler})
    encoder = clip.load(name, "random", device="cpu", precision="fp32")
    identity = encoder.identity
    assert not identity.words_available
    assert identity.words_unavailable_reason == "its text tower, HFTextEncoder, gives no feature at each word"
    assert_pooled_rows(encoder)
    texts = encoder.encode_texts(TEXTS)
    assert [(len(text.words), text.token_ids.tolist(), text.sentence_row) for text in texts] == [
        (1, [-1], 0)
    ] * 4
    assert [text.truncated for text in texts] == [False, False, True, False]


@pytest.mark.usefixtures("transformers")
def test_a_tokenizer_that_cannot_be_had_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        WeightsError, match=r"tokenizer timm/ViT-B-16-SigLIP, which is not on this machine.*hf download"
    ):
        clip.load("ViT-B-16-SigLIP", "random", cache_dir=tmp_path)


@pytest.mark.usefixtures("transformers")
def test_a_text_tower_that_cannot_be_had_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    folder = save_roberta(tmp_path / "roberta")
    text = {"hf_model_name": "nobody/roberta", "hf_tokenizer_name": str(folder), "context_length": 12}
    with pytest.raises(WeightsError, match=r"config.json of nobody/roberta, which is not on this machine"):
        clip.load(register(tmp_path, "tiny-absent", text), "random", cache_dir=tmp_path)


@pytest.mark.parametrize("model", ["ViT-B-16-SigLIP", "roberta-ViT-B-32"])
def test_without_transformers_it_fails(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "find_spec", lambda _name: None)
    with pytest.raises(WeightsError, match=r"needs the package transformers: run `pip install transformers"):
        clip.load(model, "random")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            '{"auto_map": {"AutoConfig": "evil.Config"}}',
            r"built by Python code of .*tower itself, which is not run",
        ),
        ("[" * 100_000, r"config.json of .*tower cannot be read"),
    ],
)
def test_a_text_tower_of_own_code_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, said: str
) -> None:
    monkeypatch.setattr(tokenizers, "find_spec", lambda _name: True)
    (tmp_path / "tower").mkdir()
    (tmp_path / "tower" / "config.json").write_text(config)
    with pytest.raises(WeightsError, match=said):
        tokenizers.require_text_tower("some-model", str(tmp_path / "tower"), tmp_path)
