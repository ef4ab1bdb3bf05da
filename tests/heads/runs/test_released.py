"""Released weights find their places, and nothing is loaded half."""

from dataclasses import replace

import pytest
import torch
from tvr.data.contracts.errors import WeightsError
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape
from tvr.heads.runs.released import load_released, renamed
from tvr.heads.seq_transformer import Config, Head

from ...fixtures.oracles import Oracle

pytestmark = pytest.mark.oracle("clip4clip")


def head_with_rules() -> list[str]:
    return [n for n in plug_in_names("tvr.heads") if hasattr(load_plug_in("tvr.heads", n), "RELEASED_NAMES")]


@pytest.fixture
def released(oracle: Oracle) -> dict[str, torch.Tensor]:
    """seqTransf under the names of a full CLIP4Clip checkpoint, wrapped by DistributedDataParallel."""
    arrays = oracle.arrays
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


def built(oracle: Oracle, layers: int | None = None, **shape: int) -> Head:
    """A head of the oracle's sizes, or of others."""
    config = Config(**oracle.transformer("seqTransf.resblocks."))
    config = replace(config, layers=layers or config.layers)
    return Head(config, replace(oracle.shape, **shape)).eval()


def test_names_of_the_full_checkpoint(oracle: Oracle, released: dict[str, torch.Tensor]) -> None:
    head = built(oracle)
    found = load_released(head, "seq_transformer", released)
    assert sorted(found.of_others) == ["module.clip.logit_scale", "module.clip.visual.proj"]
    oracle.assert_logits(head, "logits_seqTransf")


def test_position_tables_are_cut_to_the_frames(oracle: Oracle, released: dict[str, torch.Tensor]) -> None:
    frames = oracle.shape.num_frames - 1
    head = built(oracle, num_frames=frames)
    load_released(head, "seq_transformer", released)
    assert torch.equal(head.temporal.positions, released["module.frame_position_embeddings.weight"][:frames])


def test_lowest_layers_of_a_taller_tower(oracle: Oracle, released: dict[str, torch.Tensor]) -> None:
    tower = {name.replace("module.transformerClip", "transformer"): value for name, value in released.items()}
    tower["positional_embedding"] = tower.pop("module.frame_position_embeddings.weight")
    head = built(oracle, layers=1)
    load_released(head, "seq_transformer", tower, lowest_layers=True)
    wanted = tower["transformer.resblocks.0.mlp.c_fc.weight"]
    assert torch.equal(head.state_dict()["temporal.blocks.0.feed_forward.wide.weight"], wanted)
    with pytest.raises(WeightsError, match=r"without a place in the head: temporal\.blocks\.1"):
        load_released(built(oracle, layers=1), "seq_transformer", tower)


def test_half_of_the_weights_fails(oracle: Oracle, released: dict[str, torch.Tensor]) -> None:
    del released["module.transformerClip.resblocks.1.ln_2.bias"]
    head = built(oracle)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    with pytest.raises(WeightsError, match=r"Missing in it: temporal\.blocks\.1\.feed_forward\.norm\.bias"):
        load_released(head, "seq_transformer", released)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


def test_a_checkpoint_of_another_head_fails(oracle: Oracle, released: dict[str, torch.Tensor]) -> None:
    size = oracle.shape.dim
    released["module.global_mat_weight"] = released["module.local_mat_weight"] = torch.eye(size)
    with pytest.raises(WeightsError, match=r"It is rather one of xclip: --head xclip has a place for \d+ of"):
        load_released(built(oracle), "seq_transformer", released)


def test_a_clip_without_a_head_fails(oracle: Oracle, released: dict[str, torch.Tensor]) -> None:
    tower = {name.replace("module.transformerClip", "transformer"): value for name, value in released.items()}
    tower["token_embedding.weight"] = torch.zeros(3, oracle.shape.dim)
    tower["positional_embedding"] = tower.pop("module.frame_position_embeddings.weight")
    said = "It is a CLIP without a head: --head seq_transformer --lowest-layers"
    with pytest.raises(WeightsError, match=said):
        load_released(built(oracle), "seq_transformer", tower)
    load_released(built(oracle), "seq_transformer", tower, lowest_layers=True)


def test_a_checkpoint_of_a_picture_tower_fails(oracle: Oracle) -> None:
    tower = {"conv1.weight": torch.ones(2, 2), "layer1.0.bn1.bias": torch.ones(2), "fc.bias": torch.ones(2)}
    said = r"It is no checkpoint of seq_transformer: it holds conv1\.weight, fc\.bias, layer1"
    with pytest.raises(WeightsError, match=said):
        load_released(built(oracle), "seq_transformer", tower)


def test_another_width_fails(oracle: Oracle, released: dict[str, torch.Tensor]) -> None:
    head = built(oracle, dim=2 * oracle.shape.dim)
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
