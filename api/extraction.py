"""An extraction as it is asked for, by a program or a command: without torch, so that ``--help`` comes at once."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypedDict

from .data.base import Dataset, Preset
from .pipeline.cluster.config import ClusterConfig
from .pipeline.encoders.base import Encoder
from .pipeline.options import (
    EncoderSpec,
    ExtractionOptions,
    Request,
    file_digest_of,
    pixels_of,
    resize_of,
    sampling_of,
    text_policy_of,
)
from .pipeline.shard_worker import ShardRunner, ShardWorker
from .pipeline.store.patches import patch_format

DEFAULT_MODEL = "ViT-B-32"


class FeatureOptions(TypedDict, total=False):
    """What decides features, called as the options of ``tvr extract``; see its ``--help``."""

    limit: int | None
    videos_per_shard: int | None
    text_policy: str
    patches: bool
    patches_dtype: str
    sampling: str | None
    num_frames: int | None
    fps: float | None
    max_seconds: float | None
    pixels: str | None
    resize: str | None
    decoder: str | None
    decoding_processes: int | None
    retry: str | None
    file_digest: str
    on_error: str


def extraction_options(preset: Preset, asked: FeatureOptions, request: Request) -> ExtractionOptions:
    """What was asked for, the rest filled in from the data set's preset.

    Raises:
        UsageError: a value that is not allowed.
    """
    sampling, num_frames, fps = (asked.get(name) for name in ("sampling", "num_frames", "fps"))
    max_seconds, pixels, resize = (asked.get(name) for name in ("max_seconds", "pixels", "resize"))
    return ExtractionOptions(
        sampling=sampling_of(preset, sampling, num_frames, fps),
        is_sampling_open=sampling is None and num_frames is None and fps is None,
        max_seconds=preset.max_seconds if max_seconds is None else max_seconds,
        pixels=None if pixels is None else pixels_of(pixels),
        resize=None if resize is None else resize_of(resize),
        decoder=asked.get("decoder"),
        num_children=asked.get("decoding_processes"),
        text_policy=text_policy_of(asked.get("text_policy", "truncate")),
        patches_dtype=patch_format(asked.get("patches_dtype", "float16")) if asked.get("patches") else None,
        videos_per_shard=asked.get("videos_per_shard"),
        limit=asked.get("limit"),
        retry=asked.get("retry"),
        on_error=asked.get("on_error", "skip"),
        file_digest=file_digest_of(asked.get("file_digest", "ends")),
        request=request,
    )


@contextmanager
def shard_runner(
    cluster: ClusterConfig | None,
    encoder: EncoderSpec,
    dataset: Dataset,
    options: ExtractionOptions,
    load: Callable[[EncoderSpec], Encoder] = EncoderSpec.load,
) -> Generator[ShardRunner]:
    """Where shards are done: in this process, unless a cluster was asked for.

    Args:
        cluster: None: this process.
        encoder: which one.
        dataset: whose videos.
        options: of the extraction.
        load: loads the encoder in this process.
    """
    if cluster is None:
        with ShardWorker(load(encoder), options) as worker:
            yield worker
    else:
        # Dask takes two seconds, with the torch it is imported with: who asks for no cluster does not wait for it.
        from .pipeline.cluster.runner import cluster_runner

        with cluster_runner(cluster, encoder, dataset, options) as runner:
            yield runner
