"""xclip against X-CLIP's released code, and against plain loops."""

from collections.abc import Callable
from typing import Any

import pytest

PUBLISHED: dict[str, Any] = {
    "shares": (0.25, 0.25, 0.25, 0.25),
    "learned_shares": False,
    "start_token": True,
    "masked": False,
}
MATRICES = ("global_mat", "local_mat", "word_", "frame_logit", "frame_mat")


@pytest.mark.parametrize("name", ["xclip_full", "xclip_ragged"])
def test_is_xclip(oracle: Callable[[str], Any], name: str) -> None:
    reference = oracle(name)
    head = reference.head("xclip", *MATRICES, "frame_position", "seqTransf", layers=2, heads=2, **PUBLISHED)
    reference.assert_logits(head, "logits")


@pytest.mark.parametrize("name", ["xclip_full", "xclip_ragged"])
def test_is_xclip_without_a_transformer(oracle: Callable[[str], Any], name: str) -> None:
    reference = oracle(name)
    head = reference.head("xclip", *MATRICES, layers=0, **PUBLISHED)
    reference.assert_logits(head, "logits_meanP")
