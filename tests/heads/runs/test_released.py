"""Released weights find their places, and nothing is loaded half."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tvr.data.contracts.errors import WeightsError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape
from tvr.heads.runs.released import load_released, renamed
from tvr.heads.seq_transformer import Config, Head


def head_with_rules() -> list[str]:
    return [n for n in plug_in_names("tvr.heads") if hasattr(load_plug_in("tvr.heads", n), "RELEASED_NAMES")]


@pytest.fixture
def released(oracle: Callable[[str], Any]) -> dict[str, torch.Tensor]:
    """seqTransf under the names of a full CLIP4Clip checkpoint, wrapped by DistributedDataParallel."""
    arrays = oracle("clip4clip").arrays
    weights = {
        name.replace("seqTransf.", "module.transformerClip."): value
        for name, value in arrays.items()
        if name.startswith("seqTransf")
    }
    weights["module.frame_position_embeddings.weight"] = arrays["frame_position_embeddings"]
    return weights | {
        "module.clip.visual.proj": torch.zeros(3, 4),
        "module.clip.logit_scale": torch.zeros(()),
    }


def built(layers: int = 2, frames: int = 8) -> Head:
    return Head(Config(layers=layers, heads=2), FeatureShape(64, frames, 10))


def test_names_of_the_full_checkpoint(
    oracle: Callable[[str], Any], released: dict[str, torch.Tensor]
) -> None:
    reference = oracle("clip4clip")
    head = Head(Config(layers=2, heads=2), reference.shape).eval()
    found = load_released(head, "seq_transformer", released)
    assert sorted(found.of_others) == ["module.clip.logit_scale", "module.clip.visual.proj"]
    reference.assert_logits(head, "logits_seqTransf")


def test_position_tables_are_cut_to_the_frames(released: dict[str, torch.Tensor]) -> None:
    head = built(frames=5)
    load_released(head, "seq_transformer", released)
    assert torch.equal(head.temporal.positions, released["module.frame_position_embeddings.weight"][:5])


def test_lowest_layers_of_a_taller_tower(released: dict[str, torch.Tensor]) -> None:
    tower = {name.replace("module.transformerClip", "transformer"): value for name, value in released.items()}
    tower["positional_embedding"] = tower.pop("module.frame_position_embeddings.weight")
    head = built(layers=1)
    load_released(head, "seq_transformer", tower, lowest_layers=True)
    wanted = tower["transformer.resblocks.0.mlp.c_fc.weight"]
    assert torch.equal(head.temporal.blocks[0].feed_forward.wide.weight, wanted)
    with pytest.raises(WeightsError, match=r"without a place in the head: temporal\.blocks\.1"):
        load_released(built(layers=1), "seq_transformer", tower)


def test_half_of_the_weights_fails(released: dict[str, torch.Tensor]) -> None:
    del released["module.transformerClip.resblocks.1.ln_2.bias"]
    head = built()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    with pytest.raises(WeightsError, match=r"Missing in it: temporal\.blocks\.1\.feed_forward\.norm\.bias"):
        load_released(head, "seq_transformer", released)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


def test_another_width_fails(released: dict[str, torch.Tensor]) -> None:
    head = Head(Config(layers=2), FeatureShape(32, 8, 10))
    before = {name: value.clone() for name, value in head.state_dict().items()}
    with pytest.raises(WeightsError, match="must have the shape"):
        load_released(head, "seq_transformer", released)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


def test_a_head_that_nobody_released_fails() -> None:
    with pytest.raises(WeightsError, match="no released checkpoint is known for the head 'hcmi'"):
        renamed("hcmi", {})


@pytest.mark.parametrize("name", head_with_rules())
def test_every_rule_leads_to_a_parameter(name: str) -> None:
    """The names that a rule can give (digits tried from 0 to 3) include names that the head has."""
    module = load_plug_in("tvr.heads", name)
    config = getattr(module, "PUBLISHED", None) or module.Config()
    head = module.Head(config, FeatureShape(8, 4, 4))
    places = head.state_dict().keys()
    for target in filter(None, module.RELEASED_NAMES.values()):
        fragment = target.split("\\")[0]
        assert any(place.startswith(fragment) for place in places), target
