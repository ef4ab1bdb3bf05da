"""How the embedded backbone is trained, on which stills, and what it knows of those it never saw."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from tvr.data.rendering.world import is_held_out, randomness
from tvr.pipeline.encoders.storyboard_backbone import MODEL_NAME, register, state_dict
from tvr.pipeline.encoders.storyboard_backbone.weights import RECORD, WEIGHTS

from benchmarks.storyboard_backbone import train
from benchmarks.storyboard_backbone.stills import draw_still
from benchmarks.storyboard_backbone.train import encode_text, held_out_recall, main, untrained_model

register()
RECORDED = json.loads(RECORD.read_text())["held_out_stills"]
TOKENIZER = open_clip.get_tokenizer(MODEL_NAME)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    built = open_clip.create_model(MODEL_NAME)
    built.load_state_dict(state_dict())
    return built.eval()


def test_training_equals_open_clip_on_padded_texts(model: nn.Module) -> None:
    tokens: Tensor = TOKENIZER(["a big red circle", "a small blue star at the top and a white ring"])
    with torch.no_grad():
        cut = encode_text(model, tokens[:, :16])
        assert torch.allclose(cut, model.encode_text(tokens), atol=1e-5)  # pyright: ignore[reportCallIssue]


def test_it_recognises_combinations_it_never_saw(model: nn.Module) -> None:
    recall = held_out_recall(model, RECORDED["items"])
    # A thousand stills, so that chance is 0.001; half precision moves a few.
    assert recall["t2i_r1"] == pytest.approx(RECORDED["t2i_r1"], abs=0.03)
    assert recall["t2i_r1"] > 0.5
    assert recall["i2t_r1"] > 0.5


def test_an_untrained_model_recognises_nothing() -> None:
    assert held_out_recall(untrained_model(0).eval(), 200)["t2i_r1"] < 0.05


def test_stills_keep_to_their_side() -> None:
    dice = randomness("test")
    for held_out in (False, True):
        for _ in range(200):
            still = draw_still(dice, held_out=held_out)
            assert 1 <= len(still.sprites) <= 3
            assert {is_held_out(s.kind, s.colour, still.background) for s in still.sprites} == {held_out}
            assert all(f"{s.colour} {s.kind}" in still.caption for s in still.sprites)


def test_a_caption_can_say_everything() -> None:
    still = draw_still(randomness("test", 1), says_all=True)
    assert still.caption == (
        "a small tilted purple square at the top and a big tilted white star at the right on a black background"
    )


def test_training_writes_weights_and_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "HELD_OUT_STILLS", 50)
    main(["--steps", "2", "--batch", "8", "--threads", "1", "--folder", str(tmp_path)])
    record = json.loads((tmp_path / RECORD.name).read_text())
    assert record["command"].endswith("storyboard_backbone.train --steps 2 --batch 8 --threads 1")
    assert record["config"]["seed"] == 0
    assert record["loss"]["first"] > 1
    assert record["seconds"] > 0
    assert load_file(tmp_path / WEIGHTS.name).keys() == load_file(WEIGHTS).keys()


def test_training_fails_for_an_unknown_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--epochs", "3"])
    assert "unrecognized arguments: --epochs" in capsys.readouterr().err
