"""HBI's hierarchy without its game theory: entities, actions and events by token clustering."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..data.contracts.errors import UsageError
from ..data.contracts.numbers import Count, Layers, Share, Weight
from .base import Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers.losses import ranking_divergence, symmetric_info_nce
from .layers.padding import l2_normalise, without_start, zero_padding
from .layers.token_interaction import TokenWeights, WeightedTokens, token_interaction
from .layers.token_merge import TokenMerge
from .layers.transformer import Start, Transformer, released_names

CITATION = (
    "Jin et al., Video-Text as Game Players: Hierarchical Banzhaf Interaction, CVPR 2023, arXiv 2303.14369"
)

LEVELS = ("entity", "action", "event")

RELEASED_NAMES = {
    **released_names("transformerClip", "temporal"),
    r"frame_position_embeddings(?:\.weight)?": "temporal.positions",
    **{
        rf"{side[0]}_{there}": f"{side}_merges.{here}"
        for side in ("text", "video")
        for there, here in {
            r"ctm(\d)\.conv\.conv\.weight": r"\1.mix.weight",
            r"ctm(\d)\.norm\.(weight|bias)": r"\1.norm.\2",
            r"ctm(\d)\.score\.weight": r"\1.score.weight",
            r"block(\d)\.norm1\.(weight|bias)": r"\1.attention_norm.\2",
            r"block(\d)\.attn\.q\.(weight|bias)": r"\1.query.\2",
            r"block(\d)\.attn\.kv\.(weight|bias)": r"\1.key_value.\2",
            r"block(\d)\.attn\.proj\.(weight|bias)": r"\1.out.\2",
        }.items()
    },
    **{
        rf"(text|video)_weight_fc{there}\.{layer}": rf"\1_weights.{here}.{name}"
        for here, there in enumerate(("", "0", "1"))
        for layer, name in ((r"0\.(weight|bias)", r"hidden.\2"), (r"2\.weight", "score.weight"))
    },
    # Each shifts what enters a softmax by the same amount everywhere; that of a ctm, but for the 1e-6 that the release
    # adds to a cluster's weights, and clusters are not in its similarities.
    r"[tv]_ctm\d\.score\.bias": "",
    r"(?:text|video)_weight_fc\d?\.2\.bias": "",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The transformer over frames, the two merging steps, and how the three levels count."""

    layers: Layers = 4
    """Transformer layers over the frames; 0: none."""
    heads: Count | None = None
    """Attention heads; none: as the encoder's text tower, or one per 64 dims, eight where each then has 16."""
    init: Start = "zero"
    """zero: the transformer starts as the identity. random: CLIP's own initial distribution."""
    action_ratio: Share = 0.25
    """Actions per word or frame."""
    event_ratio: Share = 0.5
    """Events per action."""
    neighbours: Count = 3
    """Tokens that make a density."""
    start_token: bool = False
    """Whether the start token, the same vector in every text, counts as a word, as published."""
    from_sentence: bool = True
    """Whether the end token starts with nearly all weight among the words; published: no."""
    divergence: Weight = 2.0
    """Weight of the divergence of actions and events from entities; 0: off."""
    rates: tuple[Weight, ...] = (1.0, 0.0, 0.0)
    """Share of entities, actions and events in the similarity; published: entities alone. All are trained."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            UsageError: a ratio outside (0, 1], or not one share of at least 0 a level.
        """
        for name in ("action_ratio", "event_ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}.")
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1, got {self.neighbours}.")
        if len(self.rates) != len(LEVELS) or min(self.rates) < 0 or sum(self.rates) == 0:
            raise UsageError(f"rates must be three numbers of at least 0, not all 0, got {self.rates}.")


PUBLISHED = Config(start_token=True, from_sentence=False)
"""The released code, but for its masks: it sets similarities of padding to 0, and then takes the largest."""

NOT_REPRODUCED = (
    "HBI lets padding take part with a similarity of 0; here it takes none, so videos with fewer frames, and texts "
    "with fewer words, than it was trained with score otherwise"
)


class Head(Contract):
    """Token interaction between words and frames, and in training between what they are merged to, twice.

    The loss on Banzhaf interactions needs an estimator trained beforehand and is left out. It starts below
    mean_pool, because the best of many frames or words is often noise that a mean would cancel.
    """

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        dim, heads = shape.dim, shape.heads(config.heads)
        self.temporal = None
        if config.layers:
            self.temporal = Transformer(
                dim, shape.num_frames, layers=config.layers, heads=heads, start=config.init
            )
        favoured = (config.from_sentence, False, False)
        self.text_weights = nn.ModuleList(TokenWeights(dim, 2 * dim, favour_last=last) for last in favoured)
        self.video_weights = nn.ModuleList(TokenWeights(dim, 2 * dim) for _ in LEVELS)
        self.text_merges, self.video_merges = (
            nn.ModuleList(
                TokenMerge(dim, ratio=ratio, neighbours=config.neighbours, heads=heads)
                for ratio in (config.action_ratio, config.event_ratio)
            )
            for _ in range(2)
        )

    def encode_video(self, video: VideoFeatures) -> Encoded:
        frames = video.frames if self.temporal is None else self.temporal(video.frames, video.mask)
        return _encoded(frames, video.mask, self.video_weights, self.video_merges)

    def encode_text(self, text: TextFeatures) -> Encoded:
        mask = text.mask if self.config.start_token else without_start(text.mask)
        return _encoded(text.words, mask, self.text_weights, self.text_merges)

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        rates = {level: rate for level, rate in zip(LEVELS, self.config.rates, strict=True) if rate}
        levels = [rate * token_interaction(*_tokens(text, video, level)) for level, rate in rates.items()]
        return torch.stack(levels).sum(dim=0) / sum(rates.values())

    def numbers_per_pair(self) -> int:
        words, frames = self.shape.num_words, self.shape.num_frames
        return words * frames + words + frames + 6

    def loss(
        self, text: Encoded, views: Sequence[Encoded], same_video: Bool[Tensor, "text video"]
    ) -> dict[str, Float[Tensor, ""]]:
        levels = {level: token_interaction(*_tokens(text, views[0], level)) for level in LEVELS}
        terms = {
            f"contrastive_{level}": symmetric_info_nce(self.logit_scale * scores, same_video)
            for level, scores in levels.items()
        }
        total = torch.stack(list(terms.values())).sum()
        if self.config.divergence:
            coarse = [ranking_divergence(levels[level], levels["entity"]) for level in ("action", "event")]
            terms["divergence"] = torch.stack(coarse).sum()
            total = total + self.config.divergence * terms["divergence"]
        return {"total": total, **terms}


def _encoded(
    parts: Float[Tensor, "item part dim"],
    mask: Bool[Tensor, "item part"],
    weights: nn.ModuleList,
    merges: nn.ModuleList,
) -> Encoded:
    found: dict[str, Tensor] = {}
    for step, level in enumerate(LEVELS):
        if step:
            merged = merges[step - 1](parts, mask)
            parts, mask = merged.vectors, merged.mask
        found |= {
            level: l2_normalise(zero_padding(parts, mask)),
            f"{level}_weights": weights[step](parts, mask),
            f"{level}_mask": mask,
        }
    return found


def _tokens(text: Encoded, video: Encoded, level: str) -> tuple[WeightedTokens, WeightedTokens]:
    words, frames = (
        WeightedTokens(e[level], e[f"{level}_weights"], e[f"{level}_mask"]) for e in (text, video)
    )
    return words, frames
