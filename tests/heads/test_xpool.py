"""xpool against X-Pool's released code."""

from collections.abc import Callable
from typing import Any

import torch
from tvr.heads.base import FeatureShape
from tvr.heads.xpool import Config, Head


def test_is_xpool(oracle: Callable[[str], Any]) -> None:
    reference = oracle("xpool")
    head = reference.head("xpool", "transformer", masked=False)
    torch.testing.assert_close(reference.similarity(head), reference.arrays["similarity"], atol=1e-5, rtol=0)


def test_parameters_are_those_of_the_paper_without_the_bias_of_the_keys() -> None:
    head = Head(Config(), FeatureShape(512, 12, 32))
    assert sum(parameter.numel() for parameter in head.parameters()) == 1_316_352 - 512
