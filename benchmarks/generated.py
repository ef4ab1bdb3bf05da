"""Generated features of any size: a block of random numbers laid end to end until there are enough."""

import numpy as np
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.pipeline.store.rows import TextRows, VideoRows

BLOCK = 1 << 14


def features(
    videos: int,
    captions: int,
    *,
    dim: int = 512,
    frames: int = 12,
    words: int = 32,
    word_lengths: np.ndarray | None = None,
) -> FeatureSet:
    """Frames and words at CLIP's usual norm. The numbers repeat; for speed that makes no difference.

    Args:
        word_lengths: words of each caption; None: all have ``words``.
    """
    random = np.random.default_rng(0)
    count = videos * captions
    lengths = np.full(count, words) if word_lengths is None else word_lengths
    ids = tuple(f"v{i:07d}" for i in range(videos))
    video_rows = VideoRows(
        ids=ids,
        frames=_rows(videos * frames, dim, random),
        offsets=np.arange(videos + 1, dtype=np.int64) * frames,
        frame_seconds=np.zeros(videos * frames, np.float32),
    )
    total = int(lengths.sum())
    text_rows = TextRows(
        ids=tuple(f"t{i:07d}" for i in range(count)),
        video_ids=tuple(ids[i // captions] for i in range(count)),
        texts=("",) * count,
        words=_rows(total, dim, random),
        token_ids=np.zeros(total, np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        sentence_row=(lengths - 1).astype(np.int32),
        truncated=np.zeros(count, np.bool_),
        parts=None,
        part_offsets=None,
    )
    return FeatureSet(video_rows, text_rows, Origin(protocol="single" if captions == 1 else "multi"))


def caption_lengths(count: int, seed: int = 0) -> np.ndarray:
    """Words of captions as MSR-VTT has them: 9.4 words on average and at most 30, plus start and end token."""
    random = np.random.default_rng(seed)
    return 2 + np.clip(random.gamma(shape=5.0, scale=9.4 / 5.0, size=count).round().astype(np.int64), 1, 30)


def _rows(count: int, dim: int, random: np.random.Generator) -> np.ndarray:
    rows = np.empty((count, dim), np.float16)
    block = (random.standard_normal((min(BLOCK, count), dim), dtype=np.float32) * 10 / dim**0.5).astype(
        np.float16
    )
    for start in range(0, count, BLOCK):
        rows[start : start + BLOCK] = block[: count - start]
    return rows
