"""HBI's merging of words or frames: clusters around density peaks that then look back at their tokens."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from .aggregation import Clusters
from .clustering import density_peaks, weights_within
from .padding import zero_padding
from .transformer import attention, attention_heads


class TokenMerge(nn.Module):
    """A fraction of an item's tokens, each made of several.

    Neighbours in time are mixed and normalised, tokens gathered around density peaks and averaged by a learned
    score; then every cluster attends to all tokens of its item, their scores added to the attention.

    Source: HBI (arXiv 2303.14369) section 3.2, from TCFormer (arXiv 2204.08680). The released code takes the
    fraction of the padded length; this takes it of the valid one, which is the same without padding.
    Padding is attended to in neither: its scores are minus infinity. The released code divides a cluster by the sum of
    its weights and 1e-6; here, as in the paper's equation, by the sum.

    Args:
        ratio: clusters per real token, rounded up.
        neighbours: tokens that make a density.
    """

    def __init__(self, dim: int, *, ratio: float, neighbours: int, heads: int | None) -> None:
        super().__init__()
        self.ratio, self.neighbours = ratio, neighbours
        self.heads = attention_heads(dim, heads)
        self.mix = nn.Conv1d(dim, dim, kernel_size=3, padding=1, bias=False)
        self.norm = nn.LayerNorm(dim)
        # Without a bias: it would shift every score of an item alike, which no softmax sees. (In the released code it
        # counts a little, by the 1e-6: as much as that is beside a sum of exp(score + bias).)
        self.score = nn.Linear(dim, 1, bias=False)
        self.attention_norm = nn.LayerNorm(dim)
        self.query, self.key_value, self.out = (
            nn.Linear(dim, dim),
            nn.Linear(dim, 2 * dim),
            nn.Linear(dim, dim),
        )
        for linear in (self.query, self.key_value, self.out):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: Float[Tensor, "item part dim"], mask: Bool[Tensor, "item part"]) -> Clusters:
        tokens = zero_padding(tokens, mask)
        tokens = self.norm(tokens + self.mix(tokens.transpose(1, 2)).transpose(1, 2))
        scores = self.score(tokens).squeeze(-1)
        merged = self.merged(tokens, scores, mask)
        found = merged.vectors + self._looking_back(
            merged.vectors, tokens, scores.masked_fill(~mask, float("-inf"))
        )
        return Clusters(zero_padding(found, merged.mask), merged.mask)

    def merged(self, tokens: Tensor, scores: Tensor, mask: Bool[Tensor, "item part"]) -> Clusters:
        """Clusters and their weighted means."""
        counts = (mask.sum(dim=1) * self.ratio).ceil().long()
        most = max(1, -int(-mask.shape[1] * self.ratio // 1))
        found = density_peaks(tokens, mask, most, self.neighbours, counts=counts)
        return Clusters(weights_within(found, scores) @ tokens, found.any(dim=2))

    def _looking_back(
        self,
        clusters: Float[Tensor, "item cluster dim"],
        tokens: Float[Tensor, "item part dim"],
        scores: Float[Tensor, "item part"],
    ) -> Float[Tensor, "item cluster dim"]:
        items, count, dim = clusters.shape
        query = self.query(self.attention_norm(clusters)).view(items, count, self.heads, -1).transpose(1, 2)
        both = self.key_value(self.attention_norm(tokens)).view(items, tokens.shape[1], 2, self.heads, -1)
        key, value = both.permute(2, 0, 3, 1, 4)
        bias = scores[:, None, None].expand(-1, -1, count, -1)
        mixed = attention(query, key, value, bias)
        return self.out(mixed.transpose(1, 2).reshape(items, count, dim))
