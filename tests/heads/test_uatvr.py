"""uatvr against UATVR's released code, by plain loops, and the size of the paper."""

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.layers.token_interaction import TokenWeights
from tvr.heads.runs.run_folder import RunFolder, load_run, record_of
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.uatvr import Config
from tvr.heads.uatvr import Head as Uatvr

from ..fixtures.oracles import Oracle

SHAPE = FeatureShape(dim=8, num_frames=4, num_words=5)
GENERATOR = torch.Generator().manual_seed(0)
WORDS = torch.randn(3, 5, 8, generator=GENERATOR, dtype=torch.float64)
FRAMES = torch.randn(3, 4, 8, generator=GENERATOR, dtype=torch.float64)
TEXTS = TextFeatures(WORDS, torch.arange(5) < torch.tensor([[5], [3], [2]]), WORDS[:, 1])
VIDEOS = VideoFeatures(FRAMES, torch.arange(4) < torch.tensor([[4], [1], [2]]))


def tokens(head: Uatvr, parts: Tensor, positions: Tensor, extra: Tensor) -> Tensor:
    """Of one item without padding: the extra tokens and the parts through the transformer."""
    together = torch.cat([extra, parts + positions[: len(parts)]])[None]
    everything = torch.ones(together.shape[:2], dtype=torch.bool)
    for block in head.blocks:
        together = block(together, everything)
    moved = together[0].clone()
    moved[len(extra) :] += parts
    return moved


def of_oracle(oracle: Oracle, **settings: object) -> Uatvr:
    weights = ("transformerClip", "frame_position", "word_position", "text_weight", "video_weight")
    settings |= oracle.transformer("transformerClip.resblocks.")
    extra = {name: int(oracle.arrays[name]) for name in ("extra_frames", "extra_words")}
    head = oracle.head("uatvr", *weights, **settings, **extra, start_token=True, from_sentence=False)
    assert isinstance(head, Uatvr)
    return head


@pytest.mark.oracle("uatvr")
def test_is_uatvr(oracle: Oracle) -> None:
    head, whole = of_oracle(oracle), oracle.whole()
    for some, key in ((whole, "similarity_full_x100"), (oracle, "similarity_ragged_x100")):
        torch.testing.assert_close(100 * some.similarity(head), oracle.arrays[key], atol=1e-3, rtol=0)


@pytest.mark.oracle("uatvr")
def test_padding_counts_as_in_uatvr(oracle: Oracle) -> None:
    found = 100 * oracle.similarity(of_oracle(oracle, masked=False))
    wanted = oracle.arrays["similarity_official_mask_x100"]
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)


@pytest.mark.oracle("uatvr")
@torch.no_grad()
def test_tokens_and_their_weights_are_those_of_uatvr(oracle: Oracle) -> None:
    """There the learned tokens are the last, here the first."""
    head, whole = of_oracle(oracle), oracle.whole()
    sides = (
        ("video", "frames", head.config.extra_frames, head.encode_video(whole.videos)),
        ("text", "words", head.config.extra_words, head.encode_text(whole.texts)),
    )
    for side, parts, extra, found in sides:
        for ours, theirs in ((parts, f"{side}_tokens_full"), ("weights", f"{side}_token_weights_full")):
            wanted = oracle.arrays[theirs].roll(extra, dims=1)
            torch.testing.assert_close(found[ours], wanted, atol=1e-5, rtol=0)


@pytest.mark.oracle("uatvr")
def test_loss_and_gradients_are_those_of_uatvr(oracle: Oracle) -> None:
    head = of_oracle(oracle)
    loss = oracle.losses(head)["total"]
    torch.testing.assert_close(loss, oracle.arrays["loss_nce"], atol=0, rtol=1e-4)
    loss.backward()
    places = {
        "transformerClip.resblocks.0.attn.in_proj_weight": "blocks.0.attention.qkv.weight",
        "text_weight_fc.0.weight": "text_weights.hidden.weight",
        "video_weight_fc.2.weight": "video_weights.score.weight",
    }
    for released, here in places.items():
        oracle.assert_gradient(f"grad_nce.{released}", head.get_parameter(here).grad)
    for part in ("frame", "word"):
        rows = [head.get_parameter(name).grad for name in (f"{part}_positions", f"extra_{part}s")]
        assert rows[0] is not None and rows[1] is not None
        key = f"grad_nce.{part}_position_embeddings.weight"
        unread = torch.zeros(len(oracle.arrays[key]) - len(rows[0]) - len(rows[1]), oracle.shape.dim)
        oracle.assert_gradient(key, torch.cat([rows[0], rows[1], unread]))


def test_a_run_from_before_weighs_tokens_as_it_was_trained_to(tmp_path: Path) -> None:
    """Its weights were learned of tokens as they are."""
    torch.manual_seed(0)
    config = Config(layers=1, init="random", start_token=True, weighed="raw")
    folder = RunFolder(
        tmp_path, record_of("uatvr", config, TrainingConfig(), SHAPE, {"store": {}, "splits": {}})
    )
    folder.prepare()
    folder.save_head(folder.record.build().state_dict())
    record = json.loads((tmp_path / "config.json").read_text())
    del record["head_config"]["weighed"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    head = load_run(tmp_path)[0].eval().double()
    assert isinstance(head, Uatvr) and head.config == config
    encoded = head.encode_video(VIDEOS)
    unit = Uatvr(Config(layers=1, init="random", start_token=True), SHAPE)
    unit.load_state_dict(head.state_dict())
    assert (unit.double().encode_video(VIDEOS)["weights"] - encoded["weights"]).abs().max() > 1e-4


@pytest.mark.parametrize(("extra", "weighed"), [(0, "unit"), (2, "unit"), (2, "raw")])
@torch.no_grad()
def test_by_loops(extra: int, weighed: Literal["unit", "raw"]) -> None:
    torch.manual_seed(0)
    config = Config(
        layers=2, init="random", extra_frames=extra, extra_words=extra, start_token=True, weighed=weighed
    )
    head = Uatvr(config, SHAPE).double().eval()

    def weigh(weights: TokenWeights, parts: Tensor) -> Tensor:
        read = normalize(parts, dim=1) if weighed == "unit" else parts
        return weights(read[None], torch.ones(1, len(parts), dtype=torch.bool))[0]

    none = torch.zeros(0, 8).double()
    found = head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS))
    for i in range(3):
        words = TEXTS.words[i][TEXTS.mask[i]]
        words = tokens(
            head, words, head.word_positions, none if head.extra_words is None else head.extra_words
        )
        alpha = weigh(head.text_weights, words)
        for j in range(3):
            frames = VIDEOS.frames[j][VIDEOS.mask[j]]
            extras = none if head.extra_frames is None else head.extra_frames
            frames = tokens(head, frames, head.frame_positions, extras)
            beta = weigh(head.video_weights, frames)
            cosine = [[float(w @ f / (w.norm() * f.norm())) for f in frames] for w in words]
            by_word = sum(float(a) * max(row) for a, row in zip(alpha, cosine, strict=True))
            by_frame = sum(
                float(b) * max(column) for b, column in zip(beta, zip(*cosine, strict=True), strict=True)
            )
            assert found[i, j].item() == pytest.approx((by_word + by_frame) / 2)


def test_parameters_are_those_of_the_paper() -> None:
    head = Uatvr(Config(from_sentence=False), FeatureShape(512, 12, 32))
    transformer, weights = 4 * 3_152_384, 2 * (263_169 - 1)
    assert sum(p.numel() for p in head.parameters()) == transformer + weights + 512 * (12 + 2 + 32 + 2)
