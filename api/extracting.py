"""Stage one from a program."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Unpack

from .data.base import load_dataset
from .extraction import DEFAULT_MODEL, FeatureOptions, extraction_options, shard_runner
from .opened_store import Store
from .pipeline.cluster.config import chosen_cluster
from .pipeline.extract import run_extraction
from .pipeline.job_array import EVERYTHING, JobShare
from .pipeline.options import (
    EncoderSpec,
    Request,
)
from .pipeline.progress import Progress
from .places import Place, path_or_none, typed_settings, workspace_at
from .shown import progress_bar


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
