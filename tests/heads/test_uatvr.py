"""uatvr by plain loops, and the size of the paper."""

import pytest
import torch
from torch import Tensor
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures
from tvr.heads.uatvr import Config, Head

SHAPE = FeatureShape(dim=8, num_frames=4, num_words=5)
TEXTS = TextFeatures(
    torch.randn(3, 5, 8).double(), torch.arange(5) < torch.tensor([[5], [3], [2]]), torch.randn(3, 8)
)
VIDEOS = VideoFeatures(torch.randn(3, 4, 8).double(), torch.arange(4) < torch.tensor([[4], [1], [2]]))


def tokens(head: Head, parts: Tensor, positions: Tensor, extra: Tensor) -> Tensor:
    """Of one item without padding: the extra tokens and the parts through the transformer."""
    together = torch.cat([extra, parts + positions[: len(parts)]])[None]
    everything = torch.ones(together.shape[:2], dtype=torch.bool)
    for block in head.blocks:
        together = block(together, everything)
    moved = together[0].clone()
    moved[len(extra) :] += parts
    return moved


@pytest.mark.parametrize("extra", [0, 2])
@torch.no_grad()
def test_by_loops(extra: int) -> None:
    torch.manual_seed(0)
    config = Config(layers=2, init="random", extra_frames=extra, extra_words=extra, start_token=True)
    head = Head(config, SHAPE).double().eval()
    none = torch.zeros(0, 8).double()
    found = head.similarity(head.encode_text(TEXTS), head.encode_video(VIDEOS))
    for i in range(3):
        words = TEXTS.words[i][TEXTS.mask[i]]
        words = tokens(
            head, words, head.word_positions, none if head.extra_words is None else head.extra_words
        )
        alpha = head.text_weights(words[None], torch.ones(1, len(words), dtype=torch.bool))[0]
        for j in range(3):
            frames = VIDEOS.frames[j][VIDEOS.mask[j]]
            extras = none if head.extra_frames is None else head.extra_frames
            frames = tokens(head, frames, head.frame_positions, extras)
            beta = head.video_weights(frames[None], torch.ones(1, len(frames), dtype=torch.bool))[0]
            cosine = [[float(w @ f / (w.norm() * f.norm())) for f in frames] for w in words]
            by_word = sum(float(a) * max(row) for a, row in zip(alpha, cosine, strict=True))
            by_frame = sum(
                float(b) * max(column) for b, column in zip(beta, zip(*cosine, strict=True), strict=True)
            )
            assert found[i, j].item() == pytest.approx((by_word + by_frame) / 2)


def test_parameters_are_those_of_the_paper() -> None:
    head = Head(Config(from_sentence=False), FeatureShape(512, 12, 32))
    transformer, weights = 4 * 3_152_384, 2 * (263_169 - 1)
    assert sum(p.numel() for p in head.parameters()) == transformer + weights + 512 * (12 + 2 + 32 + 2)
