"""Contrastive loss where a text may belong to several videos of the batch."""

from jaxtyping import Bool, Float
from torch import Tensor


def multi_positive_info_nce(
    logits: Float[Tensor, "text video"], positive: Bool[Tensor, "text video"]
) -> Float[Tensor, ""]:
    """Mean over texts, and over videos, of the mean negative log-probability of their positives.

    Args:
        positive: at least one in every row and column.

    Source: the supervised contrastive loss of Khosla et al. (arXiv 2004.11362) equation 2, both ways.
    """
    by_text = _mean_log_probability(logits, positive)
    by_video = _mean_log_probability(logits.T, positive.T)
    return -(by_text.mean() + by_video.mean()) / 2


def _mean_log_probability(
    logits: Float[Tensor, "query item"], positive: Bool[Tensor, "query item"]
) -> Float[Tensor, " query"]:
    return (logits.log_softmax(dim=1) * positive).sum(dim=1) / positive.sum(dim=1)
