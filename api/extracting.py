"""Stage one from a program; what of it the command line shares."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypedDict, Unpack

from .data.base import Dataset, Preset, load_dataset
from .opened_store import Store
from .pipeline.cluster.config import ClusterConfig, chosen_cluster
from .pipeline.encoders.base import Encoder
from .pipeline.extract import run_extraction
from .pipeline.job_array import EVERYTHING, JobShare
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
from .pipeline.progress import Progress
from .pipeline.shard_worker import ShardRunner, ShardWorker
from .pipeline.store.patches import patch_format
from .places import Place, path_or_none, typed_settings, workspace_at
from .shown import progress_bar

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


class ExtractOptions(FeatureOptions, total=False):
    """What ``extract`` takes beside the data set, called as the options of ``tvr extract``."""

    root: Place | None
    """Where the data set's files are. Default: ``<workspace>/datasets/<name>``."""
    data: Mapping[str, Any] | None
    """Settings of the data set."""
    workspace: Place | None
    """Folder that holds features and runs. Default: ``TVR_WORKSPACE``, or ``tvr-workspace`` here."""
    store: Place | None
    """Folder of the store, instead of the workspace's."""
    model: str
    """Default: ``ViT-B-32``."""
    pretrained: str | None
    device: str
    precision: str
    compile: bool
    batch_size: int | None
    workers: int | None
    scheduler: str | None
    slurm: bool
    pbs: bool
    job: Mapping[str, Any] | None
    wait_seconds: float | None
    shard: str | None
    progress: bool
    """Whether bars are shown. Default: True."""


def extract(dataset: str, **options: Unpack[ExtractOptions]) -> Store:
    """Decode videos and cache frozen CLIP features of their frames and captions; what is there already stays.

    Args:
        dataset: its name; ``tvr datasets`` lists them.
        **options: see ``ExtractOptions``.

    Raises:
        DataError: an annotation file is missing or broken, or no video was found.
        UsageError: an option that is not allowed, or options that exclude each other.
        StoreError: the folder holds a store made in another way, or other jobs' shards are still to come.
        WeightsError: the model's weights are missing or another model's.
        DecodeError: a video failed, with ``on_error="fail"``.
    """
    place = workspace_at(options.get("workspace"))
    root = path_or_none(options.get("root")) or place.dataset_root(dataset)
    settings = typed_settings(options.get("data"))
    encoder = EncoderSpec(
        options.get("model", DEFAULT_MODEL),
        options.get("pretrained"),
        options.get("device", "auto"),
        options.get("precision", "auto"),
        options.get("compile", False),
    )
    cluster = chosen_cluster(
        options.get("scheduler"),
        (options.get("slurm", False), options.get("pbs", False)),
        options.get("workers"),
        options.get("wait_seconds"),
        typed_settings(options.get("job")),
        encoder.device,
    )
    described = load_dataset(dataset, root, settings)
    features: FeatureOptions = {key: options[key] for key in FeatureOptions.__annotations__ if key in options}  # pyright: ignore[reportAssignmentType]  # the keys are its own
    asked = extraction_options(described.preset, features, Request(dataset, root, settings, encoder))
    share = options.get("shard")
    with shard_runner(cluster, encoder, described, asked) as runner:
        frames = options.get("batch_size") or runner.frames_per_batch
        identity = runner.identity
        folder = path_or_none(options.get("store")) or place.store_folder(
            described.name, identity.model, identity.pretrained, asked.limit
        )
        with _bars(shown=options.get("progress", True)) as told:
            summary = run_extraction(
                runner,
                described,
                replace(asked, frames_per_batch=frames),
                folder,
                share=JobShare.parse(share) if share else EVERYTHING,
                on_progress=told,
            )
    return Store(folder, summary)


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


@contextmanager
def _bars(*, shown: bool) -> Generator[Callable[[Progress], None]]:
    with (
        progress_bar("looking at files", "files", shown=shown) as files,
        progress_bar("videos", "videos", shown=shown) as videos,
        progress_bar("captions", "captions", shown=shown) as texts,
    ):
        bars = {"files": files, "videos": videos, "texts": texts}

        def told(progress: Progress) -> None:
            if progress.stage in bars and progress.total:
                bars[progress.stage](progress.done, progress.total)

        yield told
