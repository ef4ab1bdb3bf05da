"""Many parts become few: frames clips, clips a video, words phrases, phrases a sentence."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
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
        clusters: how many vectors an item has afterwards, at most.
        size: an item has one for so many of its real parts, rounded up; None: all, however few its parts are.
        neighbours: parts that make a density, for ``dpc_knn``.
    """

    def __init__(
        self,
        dim: int,
        clusters: int,
        clustering: Clustering,
        *,
        heads: int | None,
        size: int | None = None,
        neighbours: int = 3,
    ) -> None:
        super().__init__()
        if clusters < 1:
            raise UsageError(f"the number of clusters must be at least 1, got {clusters}.")
        self.clusters, self.clustering, self.size, self.neighbours = clusters, clustering, size, neighbours
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
        counts = self._counts(mask)
        if self.clustering in ("attention", "slots"):
            return self._by_segment(parts, mask, counts)
        if self.clustering == "uniform":
            found = uniform_clusters(mask, self.clusters, counts=counts)
            return weights_within(found, torch.zeros_like(parts[..., 0]))
        # Without its norm: the length of a CLIP feature says nothing about what it shows.
        normed = layer_norm(parts, parts.shape[2:])
        found = density_peaks(normed, mask, self.clusters, self.neighbours, counts=counts)
        return weights_within(found, self.score(parts).squeeze(-1))

    def _counts(self, mask: Bool[Tensor, "item part"]) -> Int[Tensor, " item"]:
        """How many clusters each item has."""
        if self.size is None:
            return torch.full_like(mask[:, 0], self.clusters, dtype=torch.long)
        return (
            (mask.sum(dim=1) + self.size - 1).div(self.size, rounding_mode="floor").clamp_max(self.clusters)
        )

    def _by_segment(
        self, parts: Tensor, mask: Tensor, counts: Int[Tensor, " item"]
    ) -> Float[Tensor, "item cluster part"]:
        scores = self.segments(parts, mask, counts)
        there = (torch.arange(self.clusters, device=mask.device) < counts[:, None])[..., None]
        if self.clustering == "slots":
            competing = scores.masked_fill(~there, float("-inf")).log_softmax(dim=1)
            scores = competing.masked_fill(~there, 0.0)  # a softmax over nothing is NaN, gradient included
        return masked_softmax(scores, mask[:, None]) * there


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
        self,
        parts: Float[Tensor, "item part dim"],
        mask: Bool[Tensor, "item part"],
        counts: Int[Tensor, " item"],
    ) -> Float[Tensor, "item cluster part"]:
        dim = self.content.shape[1]
        content = torch.einsum("kd,ivd->ikv", self.content, layer_norm(parts, (dim,))) / dim**0.5
        place = segment_positions(mask, counts[:, None])[:, None].to(parts.dtype)
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
