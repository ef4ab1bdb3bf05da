"""Similarities straight from the papers' equations: every pair at once, nothing fused, no blocks."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from tvr.heads.base import Encoded, TextFeatures, VideoFeatures

Reference = Callable[[Any, TextFeatures, VideoFeatures], Tensor]


def token_interaction(words: Any, frames: Any, *, masked: bool = True) -> Tensor:
    """DRL, equations 5 and 6, with padding at minus infinity before each maximum."""
    assert masked
    scores = torch.einsum("atd,bvd->abtv", words.vectors, frames.vectors)
    lowest = float("-inf")
    best_frame = torch.where(frames.mask[None, :, None, :], scores, lowest).amax(dim=3)
    best_word = torch.where(words.mask[:, None, :, None], scores, lowest).amax(dim=2)
    t2v = torch.einsum("at,abt->ab", words.weights, torch.where(words.mask[:, None], best_frame, 0.0))
    v2t = torch.einsum("bv,abv->ab", frames.weights, torch.where(frames.mask[None], best_word, 0.0))
    return (t2v + v2t) / 2


def soft_pool(
    scores: Tensor, mask: Tensor | None, mix: Tensor | None, *, axis: int, temperature: float = 0.01
) -> Tensor:
    """X-CLIP, attention over a similarity matrix: softmax, recombination, weighted sum along one axis."""
    assert mask is not None
    axis %= scores.ndim
    real = mask.expand(scores.shape).moveaxis(axis, -1)
    moved = scores.moveaxis(axis, -1)
    weights = torch.where(real, moved / temperature, float("-inf")).softmax(dim=-1)
    if mix is not None:
        weights = weights @ mix
    return (moved * torch.where(real, weights, 0.0)).sum(dim=-1)


def query_scoring(head: Any, texts: TextFeatures, videos: VideoFeatures) -> Tensor:
    """A video's frames, averaged anew for every text."""
    sentence = torch.nn.functional.normalize(texts.sentence, dim=-1)
    cosines = torch.einsum("ad,bvd->abv", sentence, torch.nn.functional.normalize(videos.frames, dim=-1))
    scores = torch.where(videos.mask, cosines / head.config.temperature, float("-inf"))
    pooled = torch.einsum("abv,bvd->abd", scores.softmax(dim=-1), videos.frames)
    return torch.einsum("ad,abd->ab", sentence, torch.nn.functional.normalize(pooled, dim=-1))


def xpool(head: Any, texts: TextFeatures, videos: VideoFeatures) -> Tensor:
    """X-Pool, equations 3 to 6, for every pair."""
    frames = head.norm_1(videos.frames)
    query, key = head.query(head.norm_1(texts.sentence)), head.key(frames)
    scores = torch.einsum("ad,bvd->bav", query, key) / query.shape[1] ** 0.5
    attention = torch.where(videos.mask[:, None], scores, float("-inf")).softmax(dim=-1)
    pooled = head.norm_2(head.out(attention @ head.value(frames)))
    pooled = head.norm_3(
        pooled + torch.nn.functional.dropout(head.linear(pooled), head.config.dropout, head.training)
    )
    unit = torch.nn.functional.normalize(pooled, dim=-1)
    return torch.einsum("ad,bad->ab", torch.nn.functional.normalize(texts.sentence, dim=-1), unit)


OF_PAIRS: dict[str, Reference] = {"query_scoring": query_scoring, "xpool": xpool}
"""Heads whose whole similarity has another form, from the features on; in the others a shared block has."""


def cosine(text: Encoded, video: Encoded) -> Tensor:
    """CLIP4Clip, of vectors that have length 1."""
    return text["sentence"] @ video["video"].T


OF_ENCODINGS = {"mean_pool": cosine, "seq_lstm": cosine, "seq_transformer": cosine}


@contextmanager
def as_published(module: ModuleType) -> Generator[None, None, None]:
    """Let a head's file use the reference blocks instead of the shared ones."""
    blocks = {name: block for name, block in globals().items() if name in ("token_interaction", "soft_pool")}
    kept = {name: getattr(module, name) for name in blocks if hasattr(module, name)}
    try:
        for name in kept:
            setattr(module, name, blocks[name])
        yield
    finally:
        for name, block in kept.items():
            setattr(module, name, block)
