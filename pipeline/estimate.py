"""What an extraction would cost, from a measured sample of its own videos and captions."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from ..data.base import Dataset
from ..data.contracts.cautions import Caution, caution_of
from .decoding.decodable import require_decodable
from .decoding.pool import Chunk, DecoderPool
from .encode_videos import FrameBatches
from .encoders.base import Encoder, PatchKind
from .options import ExtractionOptions
from .plan import Plan, patch_layout, plan_extraction
from .shard_worker import decode_task
from .store.patches import PatchSpool

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
    """Of the store, patches included."""
    patch_gigabytes: float
    """Of the patches alone; 0 where they are not asked for."""
    hours: float
    """Expected wall-clock time on this machine with these options."""
    video_shards: int
    text_shards: int
    sampled_videos: int
    sampled_failures: int
    """Sampled videos that could not be decoded."""
    patch_kind: PatchKind = ""
    """Of the patches, as ``EncoderIdentity.patch_kind`` says; empty where they are not asked for."""
    patches_per_frame: int = 0
    patch_dim: int = 0
    """Width of a patch."""
    caution: Caution | None = None
    """What a reader of any figure built on the features must know of the encoder."""


def estimate(
    dataset: Dataset,
    encoder: Encoder,
    options: ExtractionOptions,
    report: Callable[[int, int], None] = lambda done, total: None,
    planned: Plan | None = None,
) -> Estimate:
    """Decode and encode a few videos and captions, spread over the data set, and extrapolate. Writes no store.

    Args:
        dataset: videos and captions.
        encoder: what they are encoded with.
        options: as of the extraction.
        report: called with how many of how many videos are measured.
        planned: what is to be extracted, where it is not all of the data set.

    Raises:
        DataError: no video of the data set was found, or a server that has some does not let us in.
        UsageError: patches are asked for of a model that has none, or a decoder that reads files alone of other videos.
    """
    require_decodable((video.path for video in dataset.videos.values()), options.chosen_decoder)
    plan = planned or plan_extraction(dataset, options)
    captions = list(plan.captions)
    videos = _measured_videos(plan, encoder, options, report)
    words, seconds_per_text = _measured_texts(encoder, [caption.text for caption in captions])
    found = sum(video.path is not None for video in plan.videos)
    frames = round(videos.frames / max(videos.count, 1) * found)
    layout = patch_layout(encoder.identity, options)
    patch_bytes = frames * layout.bytes_per_frame if layout else 0
    stored = frames * (encoder.identity.dim * _BYTES_PER_NUMBER + _BYTES_PER_FRAME) + patch_bytes
    stored += round(words * len(captions)) * encoder.identity.dim * _BYTES_PER_NUMBER
    return Estimate(
        videos_found=found,
        videos_missing=sum(1 for video in plan.videos if not video.path),
        texts=len(captions),
        frames=frames,
        gigabytes=stored / 1e9,
        patch_gigabytes=patch_bytes / 1e9,
        hours=(videos.seconds / max(videos.count, 1) * found + seconds_per_text * len(captions)) / 3600,
        video_shards=len(plan.video_shards),
        text_shards=len(plan.text_shards),
        sampled_videos=videos.count,
        sampled_failures=videos.failures,
        patch_kind=encoder.identity.patch_kind if layout else "",
        patches_per_frame=layout.per_frame if layout else 0,
        patch_dim=layout.dim if layout else 0,
        caution=caution_of(
            encoder.identity.model, dataset.name, random_weights=encoder.identity.random_weights
        ),
    )


@dataclass
class _Measured:
    """A sample of videos."""

    count: int
    frames: int = 0
    failures: int = 0
    seconds: float = 0.0


def _measured_videos(
    plan: Plan, encoder: Encoder, options: ExtractionOptions, report: Callable[[int, int], None]
) -> _Measured:
    """A few videos, decoded and encoded as an extraction would."""
    layout = patch_layout(encoder.identity, options)
    sample = _spread([video for video in plan.videos if video.path], SAMPLE_VIDEOS)
    measured = _Measured(len(sample))
    done = 0
    report(done, len(sample))
    # The first call warms up and is not counted.
    encoder.encode_frames(_blank(encoder, options.frames_per_batch))
    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as scratch,
        DecoderPool(options.decoding_processes, options.chosen_decoder) as pool,
    ):
        new_spool = partial(PatchSpool, Path(scratch), layout) if layout else None
        batches = FrameBatches(encoder, options.frames_per_batch, new_spool)
        for given in pool.stream(
            decode_task(video, encoder.identity.preprocessing, options) for video in sample
        ):
            if isinstance(given, Chunk):
                batches.add_chunk(given)
            else:
                batches.add(given)
                measured.frames += len(given.frame_index)
                measured.failures += given.status == "failed"
                done += 1
                report(done, len(sample))
        batches.finished()
    measured.seconds = time.perf_counter() - started
    return measured


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
