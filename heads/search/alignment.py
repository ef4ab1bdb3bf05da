"""What a head sees in one video for one text: which words meet which frames, and which frames make a clip."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...pipeline.encoders.base import token_names
from ..base import Head, TextFeatures, VideoFeatures
from ..features.feature_set import FeatureSet
from ..layers.aggregation import Aggregation
from ..layers.padding import l2_normalise
from .moments import compared_parts, frame_borders, frame_curve


@dataclass(frozen=True)
class Alignment:
    """One text beside one video."""

    text: str
    words: list[str]
    """The token of each row, or its place where the vocabulary is not known."""
    frame_seconds: list[float]
    scores: Float[Tensor, "word frame"]
    """Cosines of the words and frames that the head compares; of the stored features where it compares none."""
    is_of_head: bool
    """Whether the cosines are the head's own."""
    clips: Float[Tensor, "clip frame"] | None
    """How much each frame counts in each clip, for heads that gather frames into clips."""
    clip_scores: Float[Tensor, "word frame"] | None = None
    """Cosines of phrases and clips, spread over their words and frames; for heads that compare these."""
    phrases: Float[Tensor, "phrase word"] | None = None
    """How much each word counts in each phrase, for heads that compare phrases with clips."""
    phrase_scores: Float[Tensor, "phrase frame"] | None = None
    """Cosines of each phrase with the clips, spread over their frames."""
    curve: Float[Tensor, " frame"] | None = None
    """How well each frame suits the whole text, as ``moments.scores_of_frames`` has it."""

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Seconds from the first to the last frame that counts at least half as much as the clip's heaviest one; each
        stands for the time half-way to its neighbours."""
        if self.clips is None:
            return []
        heavy = [(row >= row.max() / 2).nonzero().flatten().tolist() for row in self.clips if bool(row.any())]
        borders = frame_borders(self.frame_seconds)
        return [(borders[frames[0]], borders[frames[-1] + 1]) for frames in heavy]

    @property
    def decimals(self) -> int:
        """Of seconds, so that those of two frames are told apart."""
        gaps = [other - one for one, other in pairwise(self.frame_seconds)]
        return 2 if gaps and min(gaps) < 0.1 else 1


@torch.no_grad()
def align(head: Head, features: FeatureSet, text_item: int, video_item: int) -> Alignment:
    """Compare one text with one video of a feature set, word by word and frame by frame."""
    model = str(features.origin.store.get("encoder", {}).get("model", ""))
    return align_pair(
        head,
        (
            features.text_batch(torch.tensor([text_item]), head.shape.num_words),
            features.video_batch(torch.tensor([video_item]), head.shape.num_frames),
        ),
        text=features.texts[text_item],
        words=token_names(model, features.token_ids(text_item, head.shape.num_words).tolist()),
        frame_seconds=features.frame_seconds(video_item, head.shape.num_frames).tolist(),
    )


@torch.no_grad()
def align_pair(
    head: Head,
    pair: tuple[TextFeatures, VideoFeatures],
    *,
    text: str,
    words: list[str],
    frame_seconds: list[float],
) -> Alignment:
    """Compare the only text of a batch with the only video of another.

    Args:
        head: that compares.
        pair: one text and one video.
        text: as it is written.
        words: the written form of each token of it.
        frame_seconds: when each frame is shown.
    """
    head.eval()
    texts, videos = pair
    with _captured_clusters(head) as phrases:
        encoded_text = head.encode_text(texts)
    with _captured_clusters(head) as clips:
        encoded_video = head.encode_video(videos)
    rows, frames, is_of_head = compared_parts(encoded_text, encoded_video, texts, videos)
    found = Alignment(
        text=text,
        words=words,
        frame_seconds=frame_seconds,
        scores=(l2_normalise(rows) @ l2_normalise(frames).T).float().cpu(),
        is_of_head=is_of_head,
        clips=clips[0][0].float().cpu() if clips else None,
        curve=frame_curve(rows, frames, texts, is_of_head=is_of_head),
    )
    if not (phrases and clips and "clusters" in encoded_text and "clusters" in encoded_video):
        return found
    cosines = l2_normalise(encoded_text["clusters"][0]) @ l2_normalise(encoded_video["clusters"][0]).T
    # Each word and frame meet as their phrases and clips do, in the shares in which they belong to these.
    of_word, of_frame = (_shares(weights[0].T) for weights in (phrases[0], clips[0]))
    of_frames = cosines @ of_frame.T
    return replace(
        found,
        clip_scores=(of_word @ of_frames).float().cpu(),
        phrases=phrases[0][0].float().cpu(),
        phrase_scores=of_frames.float().cpu(),
    )


def _shares(weights: Float[Tensor, "part cluster"]) -> Float[Tensor, "part cluster"]:
    """Each part's shares of the clusters; all 0 where it belongs to none."""
    return weights / weights.sum(dim=1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)


@contextmanager
def _captured_clusters(head: Head) -> Generator[list[Float[Tensor, "item cluster part"]]]:
    """The weights of every aggregation that runs in the context, in order."""
    captured: list[Tensor] = []

    def capture(module: Aggregation, inputs: tuple[Tensor, ...], output: Any) -> None:
        parts, mask = inputs
        captured.append(module.weights(module.attention(parts, mask), mask))

    hooks = [m.register_forward_hook(capture) for m in head.modules() if isinstance(m, Aggregation)]
    try:
        yield captured
    finally:
        for hook in hooks:
            hook.remove()
