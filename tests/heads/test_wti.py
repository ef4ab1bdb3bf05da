"""wti against DRL's released code."""

from typing import Any

import pytest
import torch

from ..fixtures.oracles import Oracle

pytestmark = pytest.mark.oracle("drl_wti")

REFERENCE: dict[str, Any] = {"layers": 0, "start_token": True, "masked": False}


@pytest.mark.parametrize(
    ("weights", "released", "key"),
    [("learned", ("text_weight", "video_weight"), "similarity_wti"), ("uniform", (), "similarity_ti")],
)
def test_is_drl(oracle: Oracle, weights: str, released: tuple[str, ...], key: str) -> None:
    head = oracle.head("wti", *released, weights=weights, **REFERENCE)
    torch.testing.assert_close(oracle.similarity(head), oracle.arrays[key], atol=1e-5, rtol=0)


def test_loss_is_drl(oracle: Oracle) -> None:
    count = int(oracle.arrays["cdcr_batch"])
    settings = {
        "weights": "learned",
        "correlation": 0.5,
        "correlation_diagonal": float(oracle.arrays["cdcr_alpha1"]),
        "correlation_off_diagonal": float(oracle.arrays["cdcr_alpha2"]),
    }
    head = oracle.head("wti", "text_weight", "video_weight", **REFERENCE, **settings)
    text = {name: value[:count] for name, value in head.encode_text(oracle.texts).items()}
    video = {name: value[:count] for name, value in head.encode_video(oracle.videos).items()}
    terms = head.loss(text, [video], torch.eye(count, dtype=torch.bool))
    torch.testing.assert_close(terms["correlation"], oracle.arrays["cdcr_loss"], atol=1e-3, rtol=0)
    logits = head.logit_scale * head.similarity(text, video)
    torch.testing.assert_close(logits, oracle.arrays["train_logits"], atol=1e-3, rtol=0)
    rows = torch.nn.functional.cross_entropy(logits, torch.arange(count))
    columns = torch.nn.functional.cross_entropy(logits.T, torch.arange(count))
    assert terms["contrastive"].item() == pytest.approx(((rows + columns) / 2).item(), rel=1e-5)
    assert terms["total"].item() == pytest.approx(
        (terms["contrastive"] + terms["correlation"] / 2).item(), rel=1e-6
    )
