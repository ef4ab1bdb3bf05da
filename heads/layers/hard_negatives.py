"""Marginal sample enhancement: the hardest negative of a batch must stay a margin away."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import relu


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
