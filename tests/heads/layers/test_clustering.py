"""Clusterings against plain loops and by their promises."""

import math

import pytest
import torch
from torch import Tensor
from tvr.heads.layers.clustering import density_peaks, segment_positions, uniform_clusters, weights_within


def by_loops(points: Tensor, clusters: int, neighbours: int) -> list[int]:
    """Cluster of each point, for points that are all real."""
    count, dim = points.shape
    distance = [[float((p - q).norm()) / dim**0.5 for q in points] for p in points]
    density = [
        math.exp(-sum(d * d for d in sorted(row)[:neighbours]) / min(neighbours, count)) for row in distance
    ]
    farthest = max(max(row) for row in distance)

    def apart(i: int) -> float:
        denser = [distance[i][j] for j in range(count) if (density[j], -j) > (density[i], -i)]
        return min(denser, default=farthest)

    centres = sorted(range(count), key=lambda i: -apart(i) * density[i])[:clusters]
    return [
        centres.index(i) if i in centres else min(range(len(centres)), key=lambda k: distance[i][centres[k]])
        for i in range(count)
    ]


@pytest.mark.parametrize("length", [1, 2, 5, 9])
def test_density_peaks_by_loops(length: int) -> None:
    torch.manual_seed(length)
    points = torch.randn(1, 9, 4, dtype=torch.float64)
    mask = torch.arange(9)[None] < length
    found = density_peaks(points, mask, clusters=3, neighbours=3)
    wanted = by_loops(points[0, :length], 3, 3)
    assert found[0, :, :length].int().argmax(0).tolist() == wanted
    assert found.sum(dim=1)[0].tolist() == [1] * length + [0] * (9 - length)


def test_density_peaks_finds_blobs_wherever_padding_is() -> None:
    generator = torch.Generator().manual_seed(0)
    blobs = 10 * torch.eye(3).repeat_interleave(4, dim=0) + 0.1 * torch.randn(12, 3, generator=generator)
    order = torch.randperm(12, generator=generator)
    rubbish = 5 + torch.zeros(2, 3)
    points = torch.cat([rubbish, blobs[order]])[None]
    mask = (torch.arange(14) >= 2)[None]
    found = density_peaks(points, mask, clusters=3, neighbours=3)[0]
    for cluster in found:
        assert len({int(i) // 4 for i in order[cluster[2:]]}) == 1 and int(cluster.sum()) == 4


def test_density_peaks_of_a_still_picture() -> None:
    found = density_peaks(torch.ones(1, 6, 4), torch.ones(1, 6, dtype=torch.bool), clusters=3, neighbours=3)
    assert found.sum(dim=1).tolist() == [[1] * 6]
    assert found[0].any(dim=1).all()


@pytest.mark.parametrize("clusters", [1, 2, 3, 5])
def test_uniform_clusters_by_loops(clusters: int) -> None:
    lengths = [1, 2, 7, 12]
    mask = torch.arange(12) < torch.tensor(lengths)[:, None]
    found = uniform_clusters(mask, clusters)
    for item, length in enumerate(lengths):
        for part in range(12):
            own = int(clusters * (part + 0.5) / length)
            assert found[item, :, part].tolist() == [k == own and part < length for k in range(clusters)]


def test_positions_depend_on_the_valid_length_only() -> None:
    short = segment_positions(torch.tensor([[True, True, True, True]]), 2)
    long = segment_positions(torch.tensor([[True, True, True, True, False, False]]), 2)
    assert torch.equal(short, long[:, :4])
    torch.testing.assert_close(short, torch.tensor([[-0.25, 0.25, 0.75, 1.25]]))
    after_start = segment_positions(torch.tensor([[False, True, True, True, True]]), 2)
    assert torch.equal(after_start[:, 1:], short)


def test_weights_within() -> None:
    clusters = torch.tensor([[[True, True, False], [False, False, False], [False, False, True]]])
    score = torch.tensor([[0.0, math.log(3), 7.0]], requires_grad=True)
    weights = weights_within(clusters, score)
    torch.testing.assert_close(weights, torch.tensor([[[0.25, 0.75, 0], [0, 0, 0], [0, 0, 1]]]))
    (weights * torch.rand(3, 3)).sum().backward()
    assert score.grad is not None and score.grad.isfinite().all()
