"""One side of a hierarchical head: parts (frames or words), clusters of them (clips or phrases), and the whole."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .aggregation import Aggregation, Clustering, Clusters, Readout
from .padding import l2_normalise, masked_mean, zero_padding
from .term_weights import SPEED
from .token_interaction import TokenWeights, WeightedTokens
from .transformer import Block, Start, Transformer

Level = Literal["parts", "clusters", "whole"]


@dataclass(frozen=True, slots=True)
class HierarchyConfig:
    """What one side is made of."""

    dim: int
    positions: int
    """The most parts of an item."""
    layers: int
    """Transformer layers over the parts; 0: none."""
    heads: int | None
    init: Start
    levels: frozenset[Level]
    """The levels that are wanted."""
    clustering: Clustering | None
    """None: clusters are not made but given."""
    clusters: int
    """The most of an item."""
    cluster_size: int | None
    """An item has one cluster for so many of its parts; None: as many as the most."""
    neighbours: int
    residual: bool
    """The whole is what CLIP says of it plus what the clusters say; else the clusters alone."""
    favour_last: bool
    """The last part starts with nearly all weight among the parts."""


@dataclass(frozen=True, slots=True)
class Views:
    """An item at each level that is wanted."""

    parts: WeightedTokens | None
    clusters: WeightedTokens | None
    whole: Float[Tensor, "item dim"] | None
    """Unit length."""


class Hierarchy(nn.Module):
    """Parts look at each other, are gathered into clusters, and these into the whole.

    Source: HunYuan_tvr (arXiv 2204.03382) section 3; what its authors leave open is chosen by the ``HierarchyConfig``.
    """

    def __init__(self, config: HierarchyConfig) -> None:
        super().__init__()
        self.config = config
        dim, heads = config.dim, config.heads
        if config.layers:
            self.transformer = Transformer(
                dim, config.positions, layers=config.layers, heads=heads, start=config.init
            )
        if "parts" in config.levels:
            self.part_weights = TokenWeights(dim, dim, favour_last=config.favour_last)
        self.only_parts = config.levels == frozenset[Level](("parts",))
        if self.only_parts:
            return
        if config.clustering is None:
            self.refine = Block(dim, heads)
        else:
            self.gather = Aggregation(
                dim,
                config.clusters,
                config.clustering,
                heads=heads,
                size=config.cluster_size,
                neighbours=config.neighbours,
            )
        if "clusters" in config.levels:
            self.cluster_weights = TokenWeights(dim, dim)
        if "whole" in config.levels:
            self.readout = Readout(dim, heads=heads)
            self.gate = nn.Parameter(torch.zeros(())) if config.residual else None

    def forward(
        self,
        parts: Float[Tensor, "item part dim"],
        mask: Bool[Tensor, "item part"],
        *,
        counted: Bool[Tensor, "item part"],
        whole: Float[Tensor, "item dim"] | None = None,
        clusters: Clusters | None = None,
    ) -> Views:
        """The levels that are wanted.

        Args:
            mask: the parts that look at each other.
            counted: the parts that are compared and gathered.
            whole: CLIP's vector of the whole; None: the mean of the parts at unit length.
            clusters: the clusters where they are given.
        """
        levels = self.config.levels
        if self.config.layers:
            parts = self.transformer(parts, mask)
        tokens = None
        if "parts" in levels:
            tokens = WeightedTokens(
                l2_normalise(zero_padding(parts, counted)), self.part_weights(parts, counted), counted
            )
        if self.only_parts:
            return Views(tokens, None, None)
        found = self._clusters(parts, counted, clusters)
        gathered = None
        if "clusters" in levels:
            weights = self.cluster_weights(found.vectors, found.mask)
            gathered = WeightedTokens(l2_normalise(found.vectors), weights, found.mask)
        if "whole" not in levels:
            return Views(tokens, gathered, None)
        start = masked_mean(l2_normalise(parts), mask) if whole is None else l2_normalise(whole)
        return Views(tokens, gathered, self._whole(found, start))

    def _clusters(self, parts: Tensor, counted: Tensor, given: Clusters | None) -> Clusters:
        if given is None:
            return self.gather(parts, counted)
        return Clusters(self.refine(zero_padding(given.vectors, given.mask), given.mask), given.mask)

    def _whole(self, clusters: Clusters, start: Tensor) -> Float[Tensor, "item dim"]:
        found = l2_normalise(self.readout(clusters))
        return found if self.gate is None else l2_normalise(start + SPEED * self.gate * found)
