"""How differently two levels of a head rank the same items."""

from jaxtyping import Float
from torch import Tensor


def ranking_divergence(
    similarity: Float[Tensor, "text video"], reference: Float[Tensor, "text video"]
) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence of the softmax over a query's items from that of the reference, both ways.

    Cosines are taken as they are, without a temperature, and the divergence is averaged over all entries.

    Source: HBI (arXiv 2303.14369) section 3.4, in the form of its released code.
    """
    return _divergence(similarity, reference) + _divergence(similarity.T, reference.T)


def _divergence(
    similarity: Float[Tensor, "query item"], reference: Float[Tensor, "query item"]
) -> Float[Tensor, ""]:
    wanted = reference.log_softmax(dim=1)
    return (wanted.exp() * (wanted - similarity.log_softmax(dim=1))).mean()
