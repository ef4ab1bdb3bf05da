"""What an extraction would cost, from a measured sample of its own videos and captions."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from ..data.base import Dataset
from .batches import FrameBatches
from .decoding import Chunk, DecoderPool
from .encoders.base import Encoder
from .extract import decode_task
from .plan import ExtractionOptions, plan_extraction

SAMPLE_VIDEOS = 10
SAMPLE_TEXTS = 64
_BYTES_PER_NUMBER = 2
_BYTES_PER_FRAME = 8
"""The time and the index that are stored beside a frame's features."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a dry run prints."""

    videos_found: int
    videos_missing: int
    texts: int
    frames: int
    """Expected number of frames, from the sample's mean."""
    gigabytes: float
    hours: float
    """Expected wall-clock time on this machine with these options."""
    video_shards: int
    text_shards: int
    sampled_videos: int
    sampled_failures: int
    """Sampled videos that could not be decoded."""


def estimate(dataset: Dataset, encoder: Encoder, options: ExtractionOptions) -> Estimate:
    """Decode and encode a few videos and captions, spread over the data set, and extrapolate. Writes nothing.

    Raises:
        DataError: no video of the data set was found.
    """
    plan = plan_extraction(dataset, options)
    videos = [video for video in plan.videos if video.path]
    captions = list(plan.captions)
    sample = _spread(videos, SAMPLE_VIDEOS)
    encoder.encode_frames(
        _blank(encoder, options.frames_per_batch)
    )  # the first call warms up and is not counted
    started = time.perf_counter()
    batches, frames, failures = FrameBatches(encoder, options.frames_per_batch), 0, 0
    with DecoderPool(options.num_children, options.decoder) as pool:
        for given in pool.stream(decode_task(video, encoder, options) for video in sample):
            if isinstance(given, Chunk):
                batches.add_chunk(given)
            else:
                batches.add(given)
                frames += len(given.frame_index)
                failures += given.status == "failed"
    batches.finished()
    seconds_per_video = (time.perf_counter() - started) / len(sample)
    words, seconds_per_text = _measured_texts(encoder, [caption.text for caption in captions])
    all_frames = round(frames / len(sample) * len(videos))
    stored = all_frames * (encoder.identity.dim * _BYTES_PER_NUMBER + _BYTES_PER_FRAME)
    stored += round(words * len(captions)) * encoder.identity.dim * _BYTES_PER_NUMBER
    return Estimate(
        videos_found=len(videos),
        videos_missing=sum(1 for video in plan.videos if not video.path),
        texts=len(captions),
        frames=all_frames,
        gigabytes=stored / 1e9,
        hours=(seconds_per_video * len(videos) + seconds_per_text * len(captions)) / 3600,
        video_shards=len(plan.video_shards),
        text_shards=len(plan.text_shards),
        sampled_videos=len(sample),
        sampled_failures=failures,
    )


def _measured_texts(encoder: Encoder, texts: Sequence[str]) -> tuple[float, float]:
    """Words per text and seconds per text."""
    sample = _spread(texts, SAMPLE_TEXTS)
    if not sample:
        return 0.0, 0.0
    started = time.perf_counter()
    encoded = encoder.encode_texts(sample)
    return sum(len(text.words) for text in encoded) / len(sample), (time.perf_counter() - started) / len(
        sample
    )


def _spread(items: Sequence[_Item], count: int) -> list[_Item]:
    step = max(1, len(items) // count)
    return list(items[::step][:count])


def _blank(encoder: Encoder, count: int) -> UInt8[np.ndarray, "frame height width 3"]:
    size = encoder.identity.preprocessing
    return np.zeros((count, size.height, size.width, 3), np.uint8)
