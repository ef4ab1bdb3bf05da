"""Where aggregations start, and that clusters depend on nothing but their item's real parts."""

from typing import get_args

import pytest
import torch
from tvr.data.contracts.errors import UsageError
from tvr.heads.layers.aggregation import SHARPNESS, Aggregation, Clustering, Clusters, Readout

MASK = torch.arange(12) < torch.tensor([[12], [8], [3], [1]])


@pytest.mark.parametrize("clustering", get_args(Clustering))
def test_clusters_start_as_means_of_the_parts(clustering: Clustering) -> None:
    torch.manual_seed(0)
    same = torch.randn(4, 1, 8).expand(4, 12, 8)
    found = Aggregation(8, 4, clustering, heads=None)(same, MASK)
    assert found.mask.any(dim=1).all()
    torch.testing.assert_close(found.vectors, same[:, :4] * found.mask[..., None])


def test_attention_starts_as_soft_segments_of_the_valid_length() -> None:
    torch.manual_seed(0)
    layer = Aggregation(8, 3, "attention", heads=None)
    torch.nn.init.zeros_(layer.segments.content)
    parts = torch.randn(4, 12, 8)
    found = layer(parts, MASK).vectors
    for item, length in enumerate((12, 8, 3, 1)):
        for cluster in range(3):
            place = [3 * (part + 0.5) / length - 0.5 for part in range(length)]
            weights = torch.tensor([-SHARPNESS * (p - cluster) ** 2 for p in place]).softmax(0)
            torch.testing.assert_close(found[item, cluster], weights @ parts[item, :length])


def test_slots_compete_for_parts() -> None:
    torch.manual_seed(0)
    layer = Aggregation(8, 3, "slots", heads=None)
    with torch.no_grad():
        layer.segments.content.normal_(std=20)
    parts = torch.randn(1, 12, 8)
    scores = layer.segments(parts, MASK[:1], torch.tensor([3]))[0]
    shares = scores.exp() / scores.exp().sum(dim=0)
    wanted = shares / shares.sum(dim=1, keepdim=True) @ parts[0]
    torch.testing.assert_close(layer(parts, MASK[:1]).vectors[0], wanted)


def test_slots_of_many_clusters_and_one_part_are_finite() -> None:
    layer = Aggregation(4, 30, "slots", heads=None)
    assert layer(torch.randn(1, 5, 4), torch.tensor([[True] + [False] * 4])).vectors.isfinite().all()


@pytest.mark.parametrize("clustering", ["dpc_knn", "uniform"])
def test_hard_clusters_without_parts_are_padding(clustering: Clustering) -> None:
    found = Aggregation(8, 4, clustering, heads=None)(torch.randn(4, 12, 8), MASK)
    assert found.mask.sum(dim=1).tolist() == [4, 4, 3, 1]
    assert (found.vectors[~found.mask] == 0).all()


@pytest.mark.parametrize("clustering", get_args(Clustering))
def test_an_item_has_one_cluster_per_so_many_of_its_own_parts(clustering: Clustering) -> None:
    torch.manual_seed(0)
    layer = Aggregation(8, 3, clustering, heads=None, size=4)
    parts = torch.randn(4, 12, 8)
    found = layer(parts, MASK)
    assert found.mask.sum(dim=1).tolist() == [3, 2, 1, 1]
    for item, (length, clusters) in enumerate(((12, 3), (8, 2), (3, 1), (1, 1))):
        alone = Aggregation(8, clusters, clustering, heads=None)
        kept = {
            name: value[:clusters] if name.startswith("segments") else value
            for name, value in layer.state_dict().items()
        }
        alone.load_state_dict(kept)
        wanted = alone(parts[item : item + 1, :length], MASK[item : item + 1, :length])
        torch.testing.assert_close(found.vectors[item, :clusters], wanted.vectors[0])
        assert (found.vectors[item, clusters:] == 0).all()


def test_clusters_that_an_item_has_not_give_finite_gradients() -> None:
    layer = Aggregation(8, 3, "slots", heads=None, size=4)
    parts = torch.randn(4, 12, 8, requires_grad=True)
    layer(parts, MASK).vectors.square().sum().backward()
    assert parts.grad is not None and parts.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters() if p.grad is not None)


def test_number_of_clusters_fails() -> None:
    with pytest.raises(UsageError, match="must be at least 1, got 0"):
        Aggregation(8, 0, "uniform", heads=None)


def test_readout_starts_near_the_mean_of_real_clusters() -> None:
    torch.manual_seed(0)
    vectors, mask = torch.randn(3, 4, 16), torch.arange(4) < torch.tensor([[4], [2], [1]])
    found = Readout(16, heads=None)(Clusters(vectors, mask))
    for item, length in enumerate((4, 2, 1)):
        torch.testing.assert_close(found[item], vectors[item, :length].mean(0), atol=0.1, rtol=0)
