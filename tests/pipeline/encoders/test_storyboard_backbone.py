"""The embedded backbone: its file, its way into open_clip, and what it was never taught."""

import json
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from tvr.data.rendering.captions import PARAPHRASES
from tvr.data.rendering.twins import VERSION
from tvr.pipeline.encoders.storyboard_backbone import MODEL_NAME, register, state_dict
from tvr.pipeline.encoders.storyboard_backbone.weights import (
    KEPT_IDS,
    RECORD,
    TABLE,
    WEIGHTS,
    compact,
    untrained_rows,
)

register()
TOKENIZER: Any = open_clip.get_tokenizer(MODEL_NAME)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    built = open_clip.create_model(MODEL_NAME)
    built.load_state_dict(state_dict())
    return built.eval()


def token_ids(words: str) -> set[int]:
    return {
        i
        for i in TOKENIZER([words])[0].tolist()
        if i not in (0, TOKENIZER.sot_token_id, TOKENIZER.eot_token_id)
    }


def test_the_file_is_small_and_half_precision() -> None:
    assert WEIGHTS.stat().st_size <= 8_000_000
    kinds = {tensor.dtype for name, tensor in load_file(WEIGHTS).items() if name != KEPT_IDS}
    assert kinds == {torch.float16}


def test_registering_again_changes_nothing() -> None:
    before = open_clip.list_models()
    register()
    assert open_clip.list_models() == before
    assert before.count(MODEL_NAME) == 1


def test_weights_fit_the_model_of_that_name(model: nn.Module) -> None:
    weights = state_dict()
    assert weights.keys() == model.state_dict().keys()
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())
    assert weights[TABLE].shape == (49408, model.get_parameter(TABLE).shape[1])


def test_weights_fail_for_another_model() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        open_clip.create_model("ViT-B-32-quickgelu").load_state_dict(state_dict(), strict=False)


def test_words_of_motion_and_sequence_were_never_trained() -> None:
    kept = set(load_file(WEIGHTS)[KEPT_IDS].tolist())
    verbs = {verb for wording in PARAPHRASES for pair in wording.verbs.values() for verb in pair}
    moving = {word for verb in verbs for word in verb.split()} - {"right", "left", "the"}
    for word in ("then", "next", "first", "after", *sorted(moving)):
        assert not token_ids(word) & kept, word
    assert (
        token_ids("a small red circle and an orange tilted star at the top left on teal background") <= kept
    )
    assert {0, TOKENIZER.sot_token_id, TOKENIZER.eot_token_id} <= kept


def test_untrained_rows_stay_as_they_were() -> None:
    table, rows = state_dict()[TABLE], untrained_rows(128)
    same = (table == rows).all(dim=1)
    assert set((~same).nonzero().flatten().tolist()) == set(load_file(WEIGHTS)[KEPT_IDS].tolist())
    assert rows.std().item() == pytest.approx(0.02, rel=1e-3)
    assert torch.equal(rows, untrained_rows(128))


def test_compact_keeps_the_rows_of_the_ids() -> None:
    weights = {TABLE: torch.randn(10, 4), "ln.weight": torch.randn(3)}
    kept = compact(weights, torch.tensor([1, 7]))
    assert torch.equal(kept[TABLE], weights[TABLE][[1, 7]].half())
    assert kept[KEPT_IDS].tolist() == [1, 7]
    assert kept["ln.weight"].dtype == torch.float16


def test_the_record_is_of_this_world() -> None:
    record = json.loads(RECORD.read_text())
    assert record["storyboard_version"] == VERSION
    assert record["loss"]["final"] < record["loss"]["first"] / 4
