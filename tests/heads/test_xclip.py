"""xclip against X-CLIP's released code, and against plain loops."""

from typing import Any

import pytest

from ..fixtures.oracles import Oracle

pytestmark = pytest.mark.oracle("xclip_full", "xclip_ragged")

PUBLISHED: dict[str, Any] = {
    "shares": (0.25, 0.25, 0.25, 0.25),
    "learned_shares": False,
    "start_token": True,
    "masked": False,
}
MATRICES = ("global_mat", "local_mat", "word_", "frame_logit", "frame_mat")


def test_is_xclip(oracle: Oracle) -> None:
    sizes = oracle.transformer("seqTransf.resblocks.")
    head = oracle.head("xclip", *MATRICES, "frame_position", "seqTransf", **sizes, **PUBLISHED)
    oracle.assert_logits(head, "logits")


def test_is_xclip_without_a_transformer(oracle: Oracle) -> None:
    head = oracle.head("xclip", *MATRICES, layers=0, **PUBLISHED)
    oracle.assert_logits(head, "logits_meanP")
