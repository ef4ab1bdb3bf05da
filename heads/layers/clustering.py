"""Which frames make a clip, which words a phrase: assignments of an item's parts to its clusters."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def segment_positions(
    mask: Bool[Tensor, "item part"], clusters: int | Int[Tensor, "item 1"]
) -> Float[Tensor, "item part"]:
    """Where each real part lies when the item's *valid* length is cut into ``clusters`` equal segments.

    In cluster units: the middle of segment k is at k, its borders at k - 0.5 and k + 0.5.
    """
    rank = mask.cumsum(dim=1) - 1
    length = mask.sum(dim=1, keepdim=True)
    return clusters * (rank + 0.5) / length - 0.5


def uniform_clusters(
    mask: Bool[Tensor, "item part"], clusters: int, *, counts: Int[Tensor, " item"] | None = None
) -> Bool[Tensor, "item cluster part"]:
    """Equal contiguous segments of the valid length; where it is shorter than ``clusters``, some stay empty.

    Args:
        counts: how many of the clusters each item is to have; None: all of them.
    """
    segment = (segment_positions(mask, clusters if counts is None else counts[:, None]) + 0.5).floor()
    index = torch.arange(clusters, device=mask.device)
    return (segment[:, None] == index[:, None]) & mask[:, None]


def density_peaks(
    parts: Float[Tensor, "item part dim"],
    mask: Bool[Tensor, "item part"],
    clusters: int,
    neighbours: int,
    *,
    counts: Int[Tensor, " item"] | None = None,
) -> Bool[Tensor, "item cluster part"]:
    """Clusters around the parts that are dense and far from anything denser.

    Every real part belongs to one cluster; an item with fewer real parts than ``clusters`` leaves the last ones
    empty. Among equals (a still picture repeated) the earlier part counts as the denser: the released code draws
    random numbers there, at test time too.

    Source: DPC-KNN as in HBI (arXiv 2303.14369) section 3.2 and its released ``cluster.py``.

    Args:
        neighbours: how many nearest parts, itself included, make the density of a part.
        counts: how many of the clusters each item is to have; None: all of them.
    """
    with torch.no_grad():
        distance = _distances(parts, mask)
        density = _densities(distance, mask, neighbours)
        centres, real = _centres(distance, density, mask, clusters)
        order = torch.arange(centres.shape[1], device=mask.device).expand_as(centres)
        if counts is not None:
            real = real & (order < counts[:, None])
        to_centre = distance.gather(1, centres[..., None].expand(-1, -1, distance.shape[2]))
        to_centre = to_centre.masked_fill(~real[..., None], float("inf"))
        index = to_centre.argmin(dim=1)
        # A centre belongs to itself even where another centre is at distance 0.
        own = torch.where(real, order, index.gather(1, centres))
        index = index.scatter(1, centres, own)
        found = torch.arange(clusters, device=mask.device)[:, None] == index[:, None]
        return found & mask[:, None]


def _distances(
    parts: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]
) -> Float[Tensor, "item part part"]:
    """Root mean square difference of every two parts; infinitely far from padding."""
    exact = parts if parts.dtype == torch.float64 else parts.float()
    # The matrix-product form of cdist rounds differently above 25 parts: padding would move near ties.
    distance = torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist")
    return (distance / parts.shape[2] ** 0.5).masked_fill(~mask[:, None], float("inf"))


def _densities(
    distance: Float[Tensor, "item part part"], mask: Bool[Tensor, "item part"], neighbours: int
) -> Float[Tensor, "item part"]:
    """Of each part, from its nearest real ones; -1 for padding."""
    nearest = distance.sort(dim=2).values[..., :neighbours]
    real = nearest.isfinite()
    mean_square = nearest.masked_fill(~real, 0.0).square().sum(2) / real.sum(2)
    return (-mean_square).exp().masked_fill(~mask, -1.0)


def _centres(
    distance: Float[Tensor, "item part part"],
    density: Float[Tensor, "item part"],
    mask: Bool[Tensor, "item part"],
    clusters: int,
) -> tuple[Int[Tensor, "item centre"], Bool[Tensor, "item centre"]]:
    """The parts with the largest density times distance to the nearest denser part, and which are real."""
    order = torch.arange(mask.shape[1], device=mask.device)
    equal_but_earlier = (density[:, None] == density[..., None]) & (order < order[:, None])
    denser = (density[:, None] > density[..., None]) | equal_but_earlier
    farthest = distance.masked_fill(~(mask[:, None] & mask[..., None]), 0.0).amax(dim=(1, 2))
    apart = torch.where(denser, distance, float("inf")).amin(dim=2)
    apart = torch.where(apart.isfinite(), apart, farthest[:, None])
    peak = (apart * density).masked_fill(~mask, float("-inf"))
    # Not topk: among equal peaks it takes any, and another one where the padding differs.
    best = peak.sort(dim=1, descending=True, stable=True)
    return best.indices[:, :clusters], best.values[:, :clusters].isfinite()


def weights_within(
    clusters: Bool[Tensor, "item cluster part"], score: Float[Tensor, "item part"]
) -> Float[Tensor, "item cluster part"]:
    """Each part's weight within its cluster, in proportion to the exponential of its score; 0 in empty ones."""
    filled = clusters.any(dim=2, keepdim=True)
    # An empty cluster weighs all parts before it is set to 0: a softmax over nothing is NaN, gradient included.
    logits = score[:, None].expand(clusters.shape).masked_fill(~clusters & filled, float("-inf"))
    return logits.softmax(dim=2) * filled
