"""HunYuan_tvr's hierarchical cross-modal interaction: frame-word, clip-phrase and video-sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..data.contracts.errors import UsageError
from ..data.contracts.numbers import Count, Layers, Weight
from .base import DENOISED, Encoded, FeatureShape, TextFeatures, VideoFeatures
from .base import Head as Contract
from .layers import hierarchy
from .layers.aggregation import Clustering, Clusters
from .layers.losses import (
    hardest_negative_hinge,
    multi_positive_info_nce,
    potential_positives,
    symmetric_info_nce,
)
from .layers.padding import without_start
from .layers.term_weights import TermWeights
from .layers.token_interaction import WeightedTokens, token_interaction
from .layers.transformer import Start

CITATION = "Min et al., HunYuan_tvr for Text-Video Retrieval, IEEE Access 2022, arXiv 2204.03382"

LevelName = Literal["frame_word", "clip_phrase", "video_sentence"]
LEVELS: Mapping[LevelName, hierarchy.Level] = {
    "frame_word": "parts",
    "clip_phrase": "clusters",
    "video_sentence": "whole",
}
PARTS_PER_CLUSTER = 4
"""As HBI has it; the paper states no number."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every mechanism of the head; each can be switched off by itself."""

    layers: Layers = 4
    """Transformer layers over the frames; 0: none."""
    word_layers: Layers = 2
    """Transformer layers over the words, which a frozen text tower cannot adapt; 0: none."""
    heads: Count | None = None
    """Attention heads; none: as the encoder's text tower, or one per 64 dims, eight where each then has 16."""
    init: Start = "zero"
    """zero: the transformers start as the identity. random: CLIP's own initial distribution."""
    levels: tuple[LevelName, ...] = ("frame_word", "clip_phrase", "video_sentence")
    """The levels that are compared, summed and trained."""
    clustering: Clustering = "dpc_knn"
    """How frames are gathered into clips and words into phrases."""
    clips: Count | None = None
    """Clips of a video; none: one per four frames, as ``one_per_four`` says."""
    phrases: Count | None = None
    """Phrases of a text; none: one per four words, as ``one_per_four`` says."""
    one_per_four: Literal["real", "most"] = field(default="real", metadata={"before": "most"})
    """Of what there is one clip or phrase per four: the frames and words that an item has (real), or the most that the
    head sees of any (most), which makes eight phrases of a caption of eleven words."""
    phrases_from: Literal["words", "sentences"] = "words"
    """sentences: the sentences of a paragraph are its phrases (paragraph sets only)."""
    neighbours: Count = 3
    """Parts that make a density, for clustering=dpc_knn."""
    residual: bool = True
    """Video and sentence start as mean_pool's and add what was gathered. false: what was gathered alone."""
    from_sentence: bool = True
    """Whether the end token starts with nearly all weight among the words; else all start alike."""
    start_token: bool = False
    """Whether the start token, the same vector in every text, counts as a word."""
    shares: tuple[Weight, ...] = (0.15, 0.15, 0.7)
    """What frame_word, clip_phrase and video_sentence start with in the summed similarity."""
    learned_shares: bool = True
    """Whether these shares are learned, by the loss of the summed similarity."""
    level_loss: Weight = 1.0
    """Weight of the contrastive losses of the levels; 0: off."""
    level_weights: tuple[Weight, ...] = field(default=(1.0, 1.0, 0.2), metadata={"before": (1.0, 1.0, 1.0)})
    """What the losses of frame_word, clip_phrase and video_sentence count among each other; 0: off. The last also
    multiplies the hinge. On Storyboard's validation split 0.2 gave 0.8 points of R@1 more than 1."""
    fused_loss: Weight = 1.0
    """Weight of the contrastive loss of the summed similarity; 0: off."""
    denoising: Literal["off", "conservative", "multi_positive"] = "conservative"
    """Whether videos as alike as two views of one are no negatives (conservative) or positives too."""
    hinge_loss: Weight = 1.0
    """Weight of the hinge on the hardest negatives of the video-sentence level, times the last of ``level_weights``;
    0: off."""
    margin: float = 0.2
    """Of that hinge, on cosines."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            UsageError: no level, not one positive share and weight per level of the paper, no neighbours, or
                nothing to train.
        """
        if not self.levels:
            raise UsageError(f"levels must name at least one of {', '.join(LEVELS)}.")
        for name in ("shares", "level_weights"):
            numbers = getattr(self, name)
            if len(numbers) != len(LEVELS) or min(numbers) < 0:
                raise UsageError(f"{name} must be {len(LEVELS)} numbers of at least 0, got {numbers}.")
        if min(self.shares) == 0:
            raise UsageError(f"shares must be above 0, got {self.shares}; levels leaves a level out.")
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1, got {self.neighbours}.")
        weights = dict(zip(LEVELS, self.level_weights, strict=True))
        if self.fused_loss == 0 and self.level_loss * sum(weights[level] for level in self.levels) == 0:
            raise UsageError("level_loss or fused_loss must be above 0, or nothing is trained.")


PUBLISHED = Config(
    layers=0,
    word_layers=0,
    clustering="attention",
    residual=False,
    from_sentence=False,
    start_token=True,
    shares=(1 / 3,) * 3,
    learned_shares=False,
    level_weights=(1.0,) * 3,
    fused_loss=0.0,
    denoising="multi_positive",
)
"""What the paper's abstract and its authors' article say, and nothing that is ours beside it. They do not say how many
clips and phrases there are, how they weigh parts, how a level compares (here as by default), the weights of levels and
hinge (here 1) and the margin (here VSE++'s 0.2)."""


class Head(Contract):
    """Sum of three similarities, each of a finer or coarser view of the same video and text.

    Frames meet words, and clips phrases, by token interaction; the video meets the sentence by cosine. Label
    denoising and the hinge belong to the video-sentence level: without it they are off. The form of clustering,
    the shares of the levels and how denoised labels enter the loss are not published: they are choices here.
    """

    def __init__(self, config: Config, shape: FeatureShape) -> None:
        super().__init__(shape)
        self.config = config
        self.levels: list[LevelName] = [level for level in LEVELS if level in config.levels]
        self.video = hierarchy.Hierarchy(self._side(of_text=False))
        self.text = hierarchy.Hierarchy(self._side(of_text=True))
        shares = dict(zip(LEVELS, config.shares, strict=True))
        learned = config.learned_shares and config.fused_loss > 0 and len(self.levels) > 1
        self.shares = TermWeights([shares[level] for level in self.levels], learned=learned)
        self.level_weights = dict(zip(LEVELS, config.level_weights, strict=True))
        self.denoises = config.denoising != "off" and "video_sentence" in self.levels
        self.num_views = 2 if self.denoises else 1

    def _side(self, *, of_text: bool) -> hierarchy.HierarchyConfig:
        config, shape = self.config, self.shape
        positions = shape.num_words if of_text else shape.num_frames
        given = of_text and config.phrases_from == "sentences"
        return hierarchy.HierarchyConfig(
            dim=shape.dim,
            positions=positions,
            layers=config.word_layers if of_text else config.layers,
            heads=shape.heads(config.heads),
            init=config.init,
            levels=frozenset(LEVELS[level] for level in self.levels),
            clustering=None if given else config.clustering,
            clusters=self._clusters(of_text=of_text),
            cluster_size=self._cluster_size(of_text=of_text),
            neighbours=config.neighbours,
            residual=config.residual,
            favour_last=of_text and config.from_sentence,
        )

    def _clusters(self, *, of_text: bool) -> int:
        """How many phrases or clips there are.

        Raises:
            UsageError: more than parts to make them of, or none.
        """
        name, parts, setting = (
            ("phrases", "words", "num_words") if of_text else ("clips", "frames", "num_frames")
        )
        wanted, most = getattr(self.config, name), getattr(self.shape, setting)
        if wanted is None:
            return -(-most // PARTS_PER_CLUSTER)
        if not 1 <= wanted <= most:
            raise UsageError(
                f"{name} must be between 1 and {most}, the {parts} that the head sees, got {name}={wanted}. "
                f"Choose fewer {name}, or let it see more {parts} (--train {setting}=N)."
            )
        return wanted

    def _cluster_size(self, *, of_text: bool) -> int | None:
        given = self.config.phrases if of_text else self.config.clips
        return PARTS_PER_CLUSTER if given is None and self.config.one_per_four == "real" else None

    def encode_video(self, video: VideoFeatures) -> Encoded:
        return _encoded(self.video(video.frames, video.mask, counted=video.mask))

    def encode_text(self, text: TextFeatures) -> Encoded:
        counted = text.mask if self.config.start_token else without_start(text.mask)
        phrases = self._sentences(text) if self.config.phrases_from == "sentences" else None
        return _encoded(
            self.text(text.words, text.mask, counted=counted, whole=text.sentence, clusters=phrases)
        )

    def _sentences(self, text: TextFeatures) -> Clusters:
        if text.parts is None or text.parts_mask is None:
            raise UsageError(
                "phrases_from=sentences needs the sentences of paragraphs, and these texts have none. "
                "Use a paragraph data set (such as didemo), or phrases_from=words."
            )
        return Clusters(text.parts, text.parts_mask)

    def similarity(self, text: Encoded, video: Encoded) -> Float[Tensor, "text video"]:
        return self._fused(self._by_level(text, video))

    def _by_level(self, text: Encoded, video: Encoded) -> dict[LevelName, Float[Tensor, "text video"]]:
        found: dict[LevelName, Tensor] = {}
        for level in self.levels:
            if level == "video_sentence":
                found[level] = text["whole"] @ video["whole"].T
            else:
                found[level] = token_interaction(_tokens(text, LEVELS[level]), _tokens(video, LEVELS[level]))
        return found

    def _fused(self, by_level: Mapping[LevelName, Tensor]) -> Float[Tensor, "text video"]:
        return torch.einsum("k,kab->ab", self.shares(), torch.stack(list(by_level.values())))

    def numbers_per_pair(self) -> int:
        words, frames = self.shape.num_words, self.shape.num_frames
        clusters = self.text.config.clusters * self.video.config.clusters
        return max(words * frames, clusters) + 2 * (words + frames) + 8

    def loss(
        self, text: Encoded, views: Sequence[Encoded], same_video: Bool[Tensor, "text video"]
    ) -> dict[str, Float[Tensor, ""]]:
        by_level = self._by_level(text, views[0])
        not_negative = same_video
        terms: dict[str, Tensor] = {}
        if self.denoises:
            alike = potential_positives(views[0]["whole"], views[1]["whole"])
            not_negative = same_video | alike
            terms[DENOISED] = (alike & ~same_video).triu().float().sum()
        for level, scores in by_level.items():
            terms[f"contrastive_{level}"] = self._contrastive(scores, not_negative)
        weighted = [self.level_weights[level] * terms[f"contrastive_{level}"] for level in by_level]
        total = self.config.level_loss * torch.stack(weighted).sum()
        if self.config.fused_loss:
            terms["contrastive"] = self._contrastive(self._fused(by_level), not_negative)
            total = total + self.config.fused_loss * terms["contrastive"]
        if self.config.hinge_loss and "video_sentence" in by_level:
            terms["hinge"] = hardest_negative_hinge(
                by_level["video_sentence"], not_negative, self.config.margin
            )
            total = total + self.level_weights["video_sentence"] * self.config.hinge_loss * terms["hinge"]
        return {"total": total, **terms}

    def _contrastive(self, scores: Tensor, not_negative: Bool[Tensor, "text video"]) -> Float[Tensor, ""]:
        logits = self.logit_scale * scores
        if self.config.denoising == "multi_positive":
            return multi_positive_info_nce(logits, not_negative)
        return symmetric_info_nce(logits, not_negative)


def _encoded(views: hierarchy.Views) -> Encoded:
    found: dict[str, Tensor] = {}
    for name, tokens in (("parts", views.parts), ("clusters", views.clusters)):
        if tokens is not None:
            found |= {name: tokens.vectors, f"{name}_weights": tokens.weights, f"{name}_mask": tokens.mask}
    return found if views.whole is None else {**found, "whole": views.whole}


def _tokens(encoded: Encoded, level: hierarchy.Level) -> WeightedTokens:
    return WeightedTokens(encoded[level], encoded[f"{level}_weights"], encoded[f"{level}_mask"])
