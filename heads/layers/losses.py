"""The losses that heads share, of similarities; and which pairs must not count as negatives."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cross_entropy, relu

SAME_COSINE = 1e-6
"""The tolerance of ``potential_positives``. Vectors that are nearer to each other than this are 0.08 degrees apart."""


def symmetric_info_nce(
    logits: Float[Tensor, "text video"], same_video: Bool[Tensor, "text video"]
) -> Float[Tensor, ""]:
    """Mean of the text-to-video and video-to-text cross-entropies, text i belonging to video i.

    Other captions of the same video are neither positives nor negatives: they leave the denominator. With
    1,200 videos of 40 captions a batch of 300 holds about 37 such pairs.

    Source: CLIP4Clip (arXiv 2104.08860) section 3.4 without the masking, which is ours.
    """
    diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(same_video & ~diagonal, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


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


def hardest_negative_hinge(
    similarity: Float[Tensor, "text video"], not_negative: Bool[Tensor, "text video"], margin: float
) -> Float[Tensor, ""]:
    """Mean over the pairs of two hinges, halved: on the video's hardest text and on the text's hardest video.

    A text or a video all of whose others are excluded adds 0.

    Args:
        similarity: cosines; text i belongs to video i.
        not_negative: True where a pair must not serve as a negative: the diagonal, the same video, denoised pairs.
        margin: by how much a pair's own cosine should exceed its hardest negative's.

    Source: HunYuan_tvr (arXiv 2204.03382), marginal sample enhancement; the hinge is VSE++'s (arXiv 1707.05612).
    """
    own = similarity.diagonal()
    negatives = similarity.masked_fill(not_negative, float("-inf"))
    hardest_text, hardest_video = negatives.amax(dim=0), negatives.amax(dim=1)
    return (relu(hardest_text - own + margin) + relu(hardest_video - own + margin)).mean() / 2


def potential_positives(
    first_view: Float[Tensor, "video dim"], second_view: Float[Tensor, "video dim"]
) -> Bool[Tensor, "video video"]:
    """True where two videos are probably of the same thing, seen from either of them.

    Video j is a potential positive of video i when the mean cosine over their four pairs of views is at least
    the cosine of video i's own two views. The rule depends on i; here either direction will do. Every video is
    one of its own. Cosines that differ by less than ``SAME_COSINE`` are the same: unit vectors in single precision have
    a cosine with their copies that is wrong by some 1e-7, and where both views are one, 1 is what must be reached.

    Source: HunYuan_tvr (arXiv 2204.03382), adaptive label denoising, as its authors' article states it, but for the
    tolerance and the "either direction".

    Args:
        first_view: unit-length vectors of the videos from one random sample of their frames.
        second_view: the same from another.
    """
    # Two views of a still video agree to three digits, all that bfloat16 has; autocast leaves doubles alone.
    first, second = first_view.detach().double(), second_view.detach().double()
    across = first @ second.T
    mean = (first @ first.T + across + across.T + second @ second.T) / 4
    found = mean >= (first * second).sum(dim=1)[:, None] - SAME_COSINE
    return found | found.T


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
