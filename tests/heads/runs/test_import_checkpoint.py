"""A released checkpoint becomes a run that loads, evaluates and refuses to be another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from tvr.data.contracts.errors import UsageError, WeightsError
from tvr.heads.base import FeatureShape
from tvr.heads.evaluation.evaluate import evaluate
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.runs.import_checkpoint import Checkpoint, import_checkpoint, published_config
from tvr.heads.runs.run_folder import load_run
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.wti import Config, Head

from ...fixtures.generated import generated_features

DRL = {
    "temporal.positions": "frame_position_embeddings.weight",
    "temporal.blocks.": "transformerClip.resblocks.",
    "attention.norm": "ln_1",
    "attention.qkv.": "attn.in_proj_",
    "attention.out": "attn.out_proj",
    "feed_forward.norm": "ln_2",
    "feed_forward.wide": "mlp.c_fc",
    "feed_forward.narrow": "mlp.c_proj",
    "_weights.hidden": "_weight_fc.0",
    "_weights.score": "_weight_fc.2",
}


def released(layers: int = 4) -> dict[str, Tensor]:
    """A random head under the names of DRL."""
    torch.manual_seed(0)
    config = Config(layers=layers, weights="learned", init="random")
    weights = Head(config, FeatureShape(16, 9, 8)).state_dict()
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        for here, there in DRL.items():
            name = name.replace(here, there)
        found[name] = value
    return found | {"text_weight_fc.2.bias": torch.ones(1), "video_weight_fc.2.bias": torch.ones(1)}


def checkpoint(folder: Path, heads: int | None = 1, **settings: int) -> Checkpoint:
    torch.save({"state_dict": released(**settings)}, folder / "drl.bin")
    return Checkpoint(folder / "drl.bin", "wti", replace(published_config("wti"), heads=heads))


def test_becomes_a_run(tmp_path: Path) -> None:
    features, training = generated_features(), TrainingConfig(num_frames=9, num_words=8)
    found = import_checkpoint(checkpoint(tmp_path), features, training, tmp_path / "run")
    assert sorted(found.without_effect) == ["text_weight_fc.2.bias", "video_weight_fc.2.bias"]
    assert found.of_others == ("logit_scale",)
    head, record = load_run(tmp_path / "run")
    assert record.head == "wti" and not record.head_config["masked"]
    assert torch.equal(head.state_dict()["text_weights.hidden.weight"], released()["text_weight_fc.0.weight"])
    assert evaluate(head, features).record()


def test_another_run_in_the_folder_fails(tmp_path: Path) -> None:
    features = generated_features()
    import_checkpoint(checkpoint(tmp_path), features, TrainingConfig(num_frames=9), tmp_path / "run")
    with pytest.raises(UsageError, match="holds a run with other settings"):
        import_checkpoint(checkpoint(tmp_path), features, TrainingConfig(num_frames=5), tmp_path / "run")


def test_another_checkpoint_of_the_same_name_fails(tmp_path: Path) -> None:
    first, features = checkpoint(tmp_path), generated_features()
    import_checkpoint(first, features, TrainingConfig(), tmp_path / "run")
    before = (tmp_path / "run" / "head.safetensors").read_bytes()
    import_checkpoint(first, features, TrainingConfig(), tmp_path / "run")
    weights = released()
    weights["text_weight_fc.0.weight"] += 1
    torch.save({"state_dict": weights}, first.file)
    with pytest.raises(UsageError, match=r"imported from drl\.bin \(sha256 \w{16}\)' there and .* here"):
        import_checkpoint(first, features, TrainingConfig(), tmp_path / "run")
    assert (tmp_path / "run" / "head.safetensors").read_bytes() == before


def test_a_checkpoint_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit the head 'wti'"):
        import_checkpoint(
            checkpoint(tmp_path, layers=2), generated_features(), TrainingConfig(), tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def of_encoder(attention_heads: int | None, model: str) -> FeatureSet:
    """Features 16 wide of an encoder that says so much of its own attention."""
    features = generated_features()
    features.origin = replace(
        features.origin, attention_heads=attention_heads, store={"encoder": {"model": model}}
    )
    return features


def test_attention_heads_are_those_of_the_encoder(tmp_path: Path) -> None:
    """The weights fit any number; a run trained here at this width would have one."""
    import_checkpoint(
        checkpoint(tmp_path, heads=None), of_encoder(4, "hf-hub:a/b"), TrainingConfig(), tmp_path / "run"
    )
    head, record = load_run(tmp_path / "run")
    assert record.head_config["heads"] == 4
    assert isinstance(head, Head) and head.temporal is not None
    assert [block.attention.heads for block in head.temporal.blocks] == [4] * 4  # type: ignore[union-attr]


def test_a_store_from_before_names_its_encoder(tmp_path: Path) -> None:
    import_checkpoint(
        checkpoint(tmp_path, heads=None), of_encoder(None, "ViT-S-32-alt"), TrainingConfig(), tmp_path / "run"
    )
    assert load_run(tmp_path / "run")[1].head_config["heads"] == 4


@pytest.mark.parametrize("model", ["hf-hub:a/b", "roberta-ViT-B-32", "unheard of"])
def test_unknown_attention_heads_fail(tmp_path: Path, model: str) -> None:
    asking = r"how many attention heads .* is unknown.*--set heads=NUMBER"
    with pytest.raises(WeightsError, match=asking):
        import_checkpoint(
            checkpoint(tmp_path, heads=None), of_encoder(None, model), TrainingConfig(), tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()
