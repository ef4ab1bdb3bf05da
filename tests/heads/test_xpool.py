"""xpool against X-Pool's released code."""

import pytest
import torch
from torch.nn.functional import normalize
from tvr.heads.base import FeatureShape
from tvr.heads.xpool import Config, Head

from ..fixtures.oracles import Oracle


@pytest.mark.oracle("xpool")
def test_is_xpool(oracle: Oracle) -> None:
    head = oracle.head("xpool", "transformer", masked=False)
    torch.testing.assert_close(oracle.similarity(head), oracle.arrays["similarity"], atol=1e-5, rtol=0)


@pytest.mark.oracle("tmass")
def test_is_the_pooling_of_t_mass_without_noise(oracle: Oracle) -> None:
    head = oracle.head("xpool", "pool_frames")
    wanted = oracle.arrays["similarity_no_noise"]
    torch.testing.assert_close(oracle.whole().similarity(head), wanted, atol=1e-5, rtol=0)
    pooled = normalize(oracle.arrays["pooled_ragged"], dim=2)
    short = torch.einsum("ad,bad->ab", normalize(oracle.texts.sentence, dim=1), pooled)
    torch.testing.assert_close(oracle.similarity(head), short, atol=1e-5, rtol=0)


def test_parameters_are_those_of_the_paper_without_the_bias_of_the_keys() -> None:
    head = Head(Config(), FeatureShape(512, 12, 32))
    assert sum(parameter.numel() for parameter in head.parameters()) == 1_316_352 - 512
