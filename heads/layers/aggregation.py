"""Many parts become few: frames clips, clips a video, words phrases, phrases a sentence."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from ...data.contracts.errors import UsageError
from .clustering import density_peaks, segment_positions, uniform_clusters, weights_within
from .padding import masked_softmax, zero_padding
from .transformer import FeedForward, SelfAttention

Clustering = Literal["attention", "slots", "dpc_knn", "uniform"]
"""Which parts belong to which cluster.

attention: each cluster weighs all parts, by content and by distance from its segment of the valid length.
slots: the same scores, but the clusters compete for each part before each cluster's weights are normalised.
dpc_knn: hard clusters around density peaks, parts weighed by a learned score.
uniform: equal contiguous segments of the valid length, each part counting the same.
"""

SHARPNESS = 4.0
"""Of the segments at the start: a part in the middle of the neighbouring segment weighs exp(-4) = 2 %."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The same number of vectors for every item; those that hold no part are padding."""

    vectors: Float[Tensor, "item cluster dim"]
    mask: Bool[Tensor, "item cluster"]


class Aggregation(nn.Module):
    """Parts look at each other, are gathered into clusters, and each cluster passes a feed-forward layer.

    Both layers start at zero, so that at first a cluster is a weighted mean of the parts themselves.

    Source: HunYuan_tvr (arXiv 2204.03382): self-attention gathers similar tokens, a feed-forward layer
    re-organises them into fewer. The form of the clustering is not published.

    Args:
        clusters: how many vectors an item has afterwards.
        neighbours: parts that make a density, for ``dpc_knn``.
    """

    def __init__(
        self, dim: int, clusters: int, clustering: Clustering, *, heads: int | None, neighbours: int = 3
    ) -> None:
        super().__init__()
        if clusters < 1:
            raise UsageError(f"the number of clusters must be at least 1, got {clusters}.")
        self.clusters, self.clustering, self.neighbours = clusters, clustering, neighbours
        self.attention = SelfAttention(dim, heads)
        self.feed_forward = FeedForward(dim)
        if clustering in ("attention", "slots"):
            self.segments = SegmentScores(dim, clusters)
        elif clustering == "dpc_knn":
            self.score = nn.Linear(dim, 1, bias=False)
            nn.init.zeros_(self.score.weight)

    def forward(self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]) -> Clusters:
        parts = self.attention(zero_padding(parts, mask), mask)
        weights = self.weights(parts, mask)
        filled = weights.sum(dim=2) > 0
        return Clusters(zero_padding(self.feed_forward(weights @ parts), filled), filled)

    def weights(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item cluster part"]:
        """How much each part counts in each cluster: sums to 1, or all 0 where a cluster is empty."""
        if self.clustering == "attention":
            return masked_softmax(self.segments(parts, mask), mask[:, None])
        if self.clustering == "slots":
            return masked_softmax(self.segments(parts, mask).log_softmax(dim=1), mask[:, None])
        if self.clustering == "uniform":
            return weights_within(uniform_clusters(mask, self.clusters), torch.zeros_like(parts[..., 0]))
        # Without its norm: the length of a CLIP feature says nothing about what it shows.
        found = density_peaks(layer_norm(parts, parts.shape[2:]), mask, self.clusters, self.neighbours)
        return weights_within(found, self.score(parts).squeeze(-1))


class SegmentScores(nn.Module):
    """How well each part fits each cluster, by content and by place in the valid length.

    Place: minus a learned sharpness times the squared distance of the part from the cluster's learned middle,
    both in cluster units of the item's valid length. It starts as soft contiguous segments.
    """

    def __init__(self, dim: int, clusters: int) -> None:
        super().__init__()
        self.content = nn.Parameter(torch.empty(clusters, dim).normal_(std=0.02))
        self.middle = nn.Parameter(torch.arange(float(clusters)))
        self.sharpness = nn.Parameter(torch.full((clusters,), SHARPNESS))

    def forward(
        self, parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
    ) -> Float[Tensor, "item cluster part"]:
        clusters, dim = self.content.shape
        content = torch.einsum("kd,ivd->ikv", self.content, layer_norm(parts, (dim,))) / dim**0.5
        place = segment_positions(mask, clusters)[:, None].to(parts.dtype)
        return content - self.sharpness[:, None] * (place - self.middle[:, None]).square()


class Readout(nn.Module):
    """One vector of an item's clusters, for its global level: attention, a learned softmax over them, feed-forward.

    Source: HunYuan_tvr (arXiv 2204.03382): the aggregation layers clip -> video and phrase -> sentence.
    """

    def __init__(self, dim: int, *, heads: int | None) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads)
        self.query = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        self.feed_forward = FeedForward(dim)

    def forward(self, clusters: Clusters) -> Float[Tensor, "item dim"]:
        parts = self.attention(clusters.vectors, clusters.mask)
        scores = layer_norm(parts, parts.shape[2:]) @ self.query / parts.shape[2] ** 0.5
        pooled = torch.einsum("ik,ikd->id", masked_softmax(scores, clusters.mask), parts)
        return self.feed_forward(pooled[:, None]).squeeze(1)
