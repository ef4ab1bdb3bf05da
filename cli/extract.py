"""``tvr extract``: stage one."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, get_args

import typer

from ..data.base import Dataset, load_dataset
from ..data.contracts.errors import UsageError
from ..extraction import DEFAULT_MODEL, FeatureOptions, extraction_options, shard_runner
from ..pipeline.cluster.config import ClusterConfig, chosen_cluster
from ..pipeline.estimate import Estimate
from ..pipeline.extract import run_extraction
from ..pipeline.growth.watching import Watched
from ..pipeline.job_array import EVERYTHING, JobShare
from ..pipeline.options import (
    EncoderSpec,
    Request,
)
from ..pipeline.sampling import Policy
from ..pipeline.shard_worker import ShardRunner
from ..pipeline.summary import FailureBudget, Summary
from ..pipeline.workspace import Workspace
from .input.asked_extraction import AskedExtraction
from .input.chosen_models import ModelsOption, PretrainedOption, chosen_model, one_by_one
from .input.chosen_store import begun_store
from .input.config_file import ConfigOption
from .input.earlier_store import say_same_store, shards_kept
from .input.options import (
    CLUSTER,
    DEFAULT_WORKSPACE,
    FAILURES,
    MACHINE,
    MODEL,
    SAMPLING,
    WHAT,
    DeviceOption,
    JobOption,
    JsonOption,
    PbsOption,
    PixelsOption,
    PollOption,
    ResizeOption,
    RetryOption,
    SchedulerOption,
    ShardOption,
    SlurmOption,
    WaitOption,
    WatchOption,
    WorkspaceOption,
    key_values,
    workspace_words,
)
from .input.watching import first_look, next_look, watched
from .output.estimates import print_after_dry_run, print_estimate, print_patch_size
from .output.extraction import (
    announce,
    extraction_meters,
    print_faults,
    print_remarks,
    print_round,
    print_summary,
)
from .output.interruptions import interruptible, nothing_to_lose
from .output.missing_weights import works_here_offered
from .output.waiting import loaded, loaded_to_measure, waiting
from .terminal import Meter

MAX_PATCH_GIGABYTES = 20
"""More patches than this are extracted only with --yes."""


@interruptible("no shard was begun, and nothing is lost")
@works_here_offered()
def extract(
    dataset: Annotated[
        str, typer.Option(help="Name of a data set; `tvr datasets` lists them.", rich_help_panel=WHAT)
    ],
    root: Annotated[
        Path | None,
        typer.Option(help="Where its files are. Default: <workspace>/datasets/<name>.", rich_help_panel=WHAT),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="key=value for the data set's Config.", rich_help_panel=WHAT),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Only so many videos, from every split in turn.", rich_help_panel=WHAT),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder or name of the store, instead of the workspace's.", rich_help_panel=WHAT),
    ] = None,
    videos_per_shard: Annotated[
        int | None,
        typer.Option(
            help="Videos in a file of the store: what a stopped run loses. Default: 128, or an hour of longer ones.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    model: ModelsOption = None,
    pretrained: PretrainedOption = None,
    text_policy: Annotated[
        str,
        typer.Option(
            help="Of captions longer than the model reads. truncate: cut them; sentences: encode each sentence.",
            rich_help_panel=MODEL,
        ),
    ] = "truncate",
    patches: Annotated[
        bool,
        typer.Option(
            "--patches", help="Also keep each patch, projected or raw: gigabytes.", rich_help_panel=MODEL
        ),
    ] = False,
    patches_dtype: Annotated[
        str,
        typer.Option(
            help="Of the patches: float16, or int8 with a scale for each patch.", rich_help_panel=MODEL
        ),
    ] = "float16",
    sampling: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(get_args(Policy))}. Default: uniform, or fps with --fps.",
            rich_help_panel=SAMPLING,
        ),
    ] = None,
    num_frames: Annotated[
        int | None,
        typer.Option(
            help="Frames stored of each video; with --fps, the most. Default: twice what heads see (12: 24).",
            rich_help_panel=SAMPLING,
        ),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second.", rich_help_panel=SAMPLING)] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(help="Use only the first seconds of each video.", rich_help_panel=SAMPLING),
    ] = None,
    pixels: PixelsOption = None,
    resize: ResizeOption = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, fp32, bf16 or fp16.", rich_help_panel=MACHINE)
    ] = "auto",
    compile_: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the image tower first (torch.compile): long runs.",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Frames per encoder batch. Default: 256 on a GPU, else 64.", rich_help_panel=MACHINE
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            help="pyav, decord or torchcodec; pyav serves what the others cannot. Default: as the store has it, "
            "pyav in a new one.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    decoding_processes: Annotated[
        int | None,
        typer.Option(
            help="Processes that decode, for each worker. Default: one for each of its CPU cores.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that encode, one for each GPU. More than one are Dask workers; 1 is this process.",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = False,
    pbs: PbsOption = False,
    job: JobOption = None,
    wait_seconds: WaitOption = None,
    shard: ShardOption = None,
    retry: RetryOption = None,
    file_digest: Annotated[
        str,
        typer.Option(
            help="By what a video is known again. ends: length, first and last 64 KiB; whole: every byte.",
            rich_help_panel=FAILURES,
        ),
    ] = "ends",
    on_error: Annotated[
        str,
        typer.Option(
            help="skip: a video that fails is a row with a reason; fail: stop at the first one.",
            rich_help_panel=FAILURES,
        ),
    ] = "skip",
    max_failed: Annotated[
        str | None,
        typer.Option(
            help="A number or a share such as 5%: more failures end in exit code 8.",
            rich_help_panel=FAILURES,
        ),
    ] = None,
    watch: WatchOption = False,
    poll_seconds: PollOption = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure a sample, print the cost, write nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Go on without asking, however large the store.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Decode videos and cache frozen CLIP features of their frames and captions. Running it again resumes."""
    if len(model or ()) > 1:
        raise typer.Exit(one_by_one(extract, locals()))
    budget = FailureBudget.parse(max_failed) if max_failed else None
    place = Workspace(workspace)
    root, store = root or place.dataset_root(dataset), begun_store(place, store, dataset)
    share = JobShare.parse(shard) if shard else EVERYTHING
    cluster = chosen_cluster(scheduler, (slurm, pbs), workers, wait_seconds, key_values(job, "--job"), device)
    encoder = EncoderSpec(*chosen_model(model, pretrained, DEFAULT_MODEL), device, precision, compile_)
    settings = key_values(data, "--data")
    others = {"--dry-run": dry_run, "--shard": shard, "--retry": retry, "--json": as_json, "--limit": limit}
    request = Request(dataset, root, settings, encoder)
    archive = watched(partial(load_dataset, dataset, root, settings), poll_seconds, others) if watch else None
    features: FeatureOptions = {
        "limit": limit,
        "videos_per_shard": videos_per_shard,
        "text_policy": text_policy,
        "patches": patches,
        "patches_dtype": patches_dtype,
        "sampling": sampling,
        "num_frames": num_frames,
        "fps": fps,
        "max_seconds": max_seconds,
        "pixels": pixels,
        "resize": resize,
        "decoder": decoder,
        "decoding_processes": decoding_processes,
        "retry": retry,
        "file_digest": file_digest,
        "on_error": on_error,
    }
    with shards_kept(place, store, request, limit):
        described = _loaded(dataset, root, settings) if archive is None else first_look(archive)
        options = extraction_options(described.preset, features, request)
        asked = AskedExtraction(described, options, batch_size, store, place, share)
        if dry_run:
            _dry_run(asked, cluster, as_json=as_json)
            return
        with shard_runner(cluster, encoder, described, options, loaded) as runner:
            announce(described, runner.identity)
            say_same_store(asked, runner.identity, asked.frames_per_batch(runner.frames_per_batch))
            if patches and not yes:
                _check_size(asked.estimated(loaded(encoder)))
            summary = _extracted(asked, runner, archive)
    with nothing_to_lose("every shard is in its place"):
        print_remarks(summary, retry, pixels)
        print_summary(summary, share, runner, workspace_words(workspace), as_json=as_json)
        raise typer.Exit(print_faults(summary, budget))


def _extracted(asked: AskedExtraction, runner: ShardRunner, archive: Watched | None) -> Summary:
    """What extracting came to; of a folder that is watched, again and again until it is interrupted."""
    folder = asked.folder(runner.identity)
    options = replace(asked.options, frames_per_batch=asked.frames_per_batch(runner.frames_per_batch))
    dataset = asked.dataset
    while True:
        with extraction_meters(is_random=runner.identity.random_weights) as show:
            summary = run_extraction(runner, dataset, options, folder, share=asked.share, on_progress=show)
        if archive is None:
            return summary
        with nothing_to_lose("all that was found so far is extracted"):
            print_round(summary)
            dataset = next_look(archive, folder)


def _dry_run(asked: AskedExtraction, cluster: ClusterConfig | None, *, as_json: bool) -> None:
    """What it would cost can be said without its weights, what a store has of them cannot."""
    assert asked.options.request is not None
    encoder = asked.options.request.encoder
    measured, lacks = loaded_to_measure(encoder) if asked.options.retry is None else (loaded(encoder), False)
    announce(asked.dataset, measured.identity)
    if not lacks:
        say_same_store(asked, measured.identity, asked.frames_per_batch(measured.frames_per_batch))
    generation, planned = asked.growth(measured) or (None, None)
    # Without its weights nobody knows which are the usual ones, after which the folder is called.
    folder = asked.folder(measured.identity) if measured.identity.pretrained or asked.store else None
    found = asked.estimated(measured, planned)
    print_estimate(found, folder, asked.retried(measured), generation, as_json=as_json)
    if not as_json:
        print_after_dry_run(cluster, lacks_weights=lacks)


def _loaded(name: str, root: Path, settings: dict[str, str]) -> Dataset:
    with waiting(f"preparing {name}"), Meter(f"generating {name}", "videos", at_once=False) as meter:
        return load_dataset(name, root, settings, meter.update)


def _check_size(needed: Estimate) -> None:
    """Say what patches take, and stop where nobody can have meant it."""
    print_patch_size(needed)
    if needed.patch_gigabytes > MAX_PATCH_GIGABYTES:
        raise UsageError(
            f"the patches of this store would take {needed.patch_gigabytes:,.0f} GB, more than "
            f"{MAX_PATCH_GIGABYTES}. Say --yes if that is meant; --patches-dtype int8 halves them, and so do half as "
            "many --num-frames"
        )
