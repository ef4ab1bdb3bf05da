"""``tvr extract``: stage one."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ..data.contracts.errors import UsageError
from .options import (
    DEFAULT_WORKSPACE,
    DeviceOption,
    JobOption,
    JsonOption,
    PbsOption,
    SchedulerOption,
    ShardOption,
    SlurmOption,
    WaitOption,
    WorkspaceOption,
    cluster_choice,
    key_values,
)
from .terminal import Meter, err, extraction_meters, out, print_json

if TYPE_CHECKING:
    from ..data.base import Dataset
    from ..pipeline.cluster.config import ClusterConfig
    from ..pipeline.encoders.base import EncoderIdentity
    from ..pipeline.estimate import Estimate
    from ..pipeline.job_array import JobShare
    from ..pipeline.options import EncoderSpec, ExtractionOptions
    from ..pipeline.shard_worker import ShardRunner
    from ..pipeline.summary import Summary

TOO_MANY_FAILED = 8
"""Exit code of a run whose videos failed more often than --max-failed allows."""
MAX_PATCH_GIGABYTES = 20
"""More patches than this are extracted only with --yes."""


def extract(
    dataset: Annotated[str, typer.Option(help="Name of a data set; `tvr datasets` lists them.")],
    root: Annotated[
        Path | None,
        typer.Option(help="Where its files are. Default: <workspace>/datasets/<dataset>."),
    ] = None,
    model: Annotated[str, typer.Option(help="An open_clip model name, or tvr-storyboard.")] = "ViT-B-32",
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="A tag of that model, a checkpoint file, or 'random'. Default: the model's usual one."
        ),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the store, instead of the workspace's.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many videos, from every split in turn.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure a sample, print the cost, write nothing.")
    ] = False,
    sampling: Annotated[
        str | None,
        typer.Option(help="uniform, fps, segment_random or all. Default: uniform, or fps with --fps."),
    ] = None,
    num_frames: Annotated[int | None, typer.Option(help="Frames per video; with --fps, the most.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Use only the first seconds of each video.")
    ] = None,
    decoder: Annotated[
        str, typer.Option(help="decord or pyav; decord falls back to pyav file by file.")
    ] = "decord",
    decoding_processes: Annotated[
        int | None,
        typer.Option(help="Processes that decode, for each worker. Default: one for each of its CPU cores."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that encode, one for each GPU. More than one are Dask workers; 1 is this process."
        ),
    ] = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = False,
    pbs: PbsOption = False,
    job: JobOption = None,
    wait_seconds: WaitOption = None,
    shard: ShardOption = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Frames per encoder batch. Default: 256 on a GPU, otherwise 64.")
    ] = None,
    text_policy: Annotated[
        str,
        typer.Option(
            help="Of captions longer than the model reads. truncate: cut them; sentences: encode each sentence."
        ),
    ] = "truncate",
    patches: Annotated[
        bool, typer.Option("--patches", help="Also keep a feature of each patch of a frame: gigabytes.")
    ] = False,
    patches_dtype: Annotated[
        str, typer.Option(help="Of the patches: float16, or int8 with a scale for each patch.")
    ] = "float16",
    yes: Annotated[
        bool, typer.Option("--yes", help="Go on without asking, however large the store.")
    ] = False,
    compile_: Annotated[
        bool, typer.Option("--compile", help="Compile the image tower first (torch.compile): long runs.")
    ] = False,
    videos_per_shard: Annotated[
        int, typer.Option(help="Videos in one file of the store: what a killed run loses at most.")
    ] = 128,
    device: DeviceOption = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    data: Annotated[list[str] | None, typer.Option(help="key=value for the data set's Config.")] = None,
    retry: Annotated[
        str | None, typer.Option(help="'failed' or 'failed:<part of a reason>': extract such videos again.")
    ] = None,
    on_error: Annotated[
        str,
        typer.Option(help="skip: a video that fails is a row with a reason; fail: stop at the first one."),
    ] = "skip",
    max_failed: Annotated[
        str | None, typer.Option(help="A number or a share such as 5%: more failures end in exit code 8.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Decode videos and cache frozen CLIP features of their frames and captions. Running it again resumes."""
    from ..pipeline.job_array import EVERYTHING, JobShare
    from ..pipeline.options import EncoderSpec, ExtractionOptions, Request, sampling_of, text_policy_of
    from ..pipeline.store.patches import patch_format
    from ..pipeline.summary import FailureBudget
    from ..pipeline.workspace import Workspace

    budget = FailureBudget.parse(max_failed) if max_failed else None
    place = Workspace(workspace)
    root, settings = root or place.dataset_root(dataset), key_values(data, "--data")
    share = JobShare.parse(shard) if shard else EVERYTHING
    cluster = cluster_choice(scheduler, (slurm, pbs), workers, wait_seconds, job, device)
    encoder = EncoderSpec(model, pretrained, device, precision, compile_)
    described = _loaded(dataset, root, settings)
    options = ExtractionOptions(
        sampling=sampling_of(described.preset, sampling, num_frames, fps),
        max_seconds=max_seconds if max_seconds is not None else described.preset.max_seconds,
        decoder=decoder,
        num_children=decoding_processes,
        text_policy=text_policy_of(text_policy),
        patches_dtype=patch_format(patches_dtype) if patches else None,
        videos_per_shard=videos_per_shard,
        limit=limit,
        retry=retry,
        on_error=on_error,
        request=Request(dataset, root, settings, encoder),
    )
    if dry_run:
        _print_estimate(_estimated(described, encoder, options, batch_size), as_json=as_json)
        _print_job(None if as_json else cluster)
        return
    with _runner(cluster, encoder, described, options) as runner:
        identity = runner.identity
        _announce(described, identity)
        if patches and not yes:
            _check_size(_estimated(described, encoder, options, batch_size))
        options = replace(options, frames_per_batch=batch_size or runner.frames_per_batch)
        folder = store or place.store_folder(described.name, identity.model, identity.pretrained, limit)
        summary = _extracted(runner, described, options, folder, share)
    _print_retried(summary, retry)
    _print_summary(summary, share, runner, as_json=as_json)
    if budget and not budget.admits(summary.status["failed"], summary.videos):
        _end_over_budget(summary, max_failed)


@contextmanager
def _runner(
    cluster: "ClusterConfig | None",
    encoder: "EncoderSpec",
    dataset: "Dataset",
    options: "ExtractionOptions",
) -> "Generator[ShardRunner, None, None]":
    """This process, unless a cluster was asked for."""
    if cluster is None:
        from ..pipeline.shard_worker import ShardWorker

        with ShardWorker(encoder.load(), options) as worker:
            yield worker
    else:
        from ..pipeline.cluster.runner import cluster_runner

        with cluster_runner(cluster, encoder, dataset, options) as runner:
            yield runner


def _print_retried(summary: "Summary", retry: str | None) -> None:
    if retry is not None:
        err.print(f"--retry {retry}: {summary.retried:,} videos of the store were to be retried")


def _end_over_budget(summary: "Summary", max_failed: str | None) -> NoReturn:
    err.print(f"{summary.status['failed']:,} videos failed, more than {max_failed}")
    raise typer.Exit(TOO_MANY_FAILED)


def _loaded(name: str, root: Path, settings: dict[str, str]) -> "Dataset":
    from ..data.base import load_dataset

    with Meter(f"generating {name}", "videos") as meter:
        return load_dataset(name, root, settings, meter.update)


def _announce(dataset: "Dataset", identity: "EncoderIdentity") -> None:
    """Say what was found, and what a reader of any figure must know, before hours are spent."""
    for split in dataset.splits:
        err.print(str(dataset.coverage(split)), soft_wrap=True)
    for note in dataset.notes:
        err.print(f"note: {note}", soft_wrap=True)
    if identity.random_weights:
        err.print(
            "[yellow]random weights[/]: the model was never trained, scores will be chance", soft_wrap=True
        )
    if not identity.words_available:
        err.print(f"note: no word features: {identity.words_unavailable_reason}", soft_wrap=True)


def _extracted(
    runner: "ShardRunner", dataset: "Dataset", options: "ExtractionOptions", folder: Path, share: "JobShare"
) -> "Summary":
    from ..pipeline.extract import run_extraction

    with extraction_meters() as show:
        return run_extraction(runner, dataset, options, folder, share=share, on_progress=show)


def _estimated(
    dataset: "Dataset", encoder: "EncoderSpec", options: "ExtractionOptions", batch_size: int | None
) -> "Estimate":
    """From a sample that is measured on this machine, whoever is to do the rest."""
    from ..pipeline.estimate import estimate

    loaded = encoder.load()
    _announce(dataset, loaded.identity)
    options = replace(options, frames_per_batch=batch_size or loaded.frames_per_batch)
    return estimate(dataset, loaded, options)


def _print_job(cluster: "ClusterConfig | None") -> None:
    """What would be submitted to a job queue, if that is where the workers are."""
    if cluster is None or cluster.queue is None:
        return
    from ..pipeline.cluster.connection import job_script

    out.print(f"\neach of the {cluster.workers} jobs:\n{job_script(cluster)}", markup=False, soft_wrap=True)


def _check_size(estimate: "Estimate") -> None:
    """Say what patches take, and stop where nobody can have meant it."""
    err.print(f"patches take about {estimate.patch_gigabytes:,.3g} GB for {estimate.frames:,} frames")
    if estimate.patch_gigabytes > MAX_PATCH_GIGABYTES:
        raise UsageError(
            f"the patches of this store would take {estimate.patch_gigabytes:,.0f} GB, more than "
            f"{MAX_PATCH_GIGABYTES}. Say --yes if that is meant; --patches-dtype int8 halves them, and so do half as "
            "many --num-frames"
        )


def _print_estimate(estimate: "Estimate", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(estimate))
        return
    e = estimate
    out.print(f"videos    {e.videos_found:,} found, {e.videos_missing:,} missing")
    out.print(f"captions  {e.texts:,}")
    out.print(f"frames    {e.frames:,}")
    out.print(f"store     {e.gigabytes:.3g} GB in {e.video_shards} video and {e.text_shards} text shards")
    if e.patch_gigabytes:
        out.print(f"patches   {e.patch_gigabytes:.3g} GB of these")
    out.print(f"time      {e.hours:.3g} hours on this machine")
    out.print(
        f"measured on {e.sampled_videos} videos, {e.sampled_failures} of them undecodable; nothing written"
    )


def _print_summary(summary: "Summary", share: "JobShare", runner: "ShardRunner", *, as_json: bool) -> None:
    from ..pipeline.machine import usable_cores
    from ..pipeline.summary import bottleneck, shares

    counts = dict(sorted(summary.status.items()))
    children, identity = runner.num_children, runner.identity
    share_of_stage = shares(summary.stages, children)
    slowest = bottleneck(summary.stages, children, len(usable_cores()), identity.precision)
    if as_json:
        timing = {"shares": share_of_stage, "bottleneck": asdict(slowest) if summary.frames else None}
        print_json({**asdict(summary), "folder": str(summary.folder), "status": counts, **timing})
        return
    seconds = sum(summary.seconds.values())
    remark = " (random weights)" if identity.random_weights else ""
    rate = f", {summary.frames / summary.seconds['videos']:,.0f} frames/s" if summary.frames else ""
    out.print(
        f"{summary.videos:,} videos ({', '.join(f'{n:,} {status}' for status, n in counts.items())}) and "
        f"{summary.texts:,} captions in {summary.folder}",
        soft_wrap=True,
    )
    out.print(
        f"{summary.frames:,} frames in {seconds:,.1f} s{rate}; {summary.shards_done} shards written, "
        f"{summary.shards_skipped} were already there{remark}"
    )
    if summary.frames:
        named = {stage: f"{share:.0%}" for stage, share in share_of_stage.items()}
        out.print(
            f"time: encoding {named['encode']}, waiting for frames {named['wait']}, writing {named['write']}; of "
            f"{children} decoding processes: decoding {named['decode']}, resizing {named['resize']}"
        )
        out.print(f"held up by {slowest.stage}; what would help: {slowest.advice}", soft_wrap=True)
    if summary.texts_truncated:
        out.print(
            f"{summary.texts_truncated:,} captions are longer than the model reads and were cut; "
            "--text-policy sentences keeps all of them",
            soft_wrap=True,
        )
    if summary.status.keys() - {"ok"}:
        out.print(f"see why: tvr inspect --store {summary.folder} --failed", soft_wrap=True)
    if summary.shards_left:
        whose = "other processes" if share.count == 1 else f"this was shard {share}; other jobs"
        left = summary.shards_left
        out.print(f"{whose} have {len(left)} shards left to do, such as {left[0]}")
    else:
        out.print(f"next: tvr train-head --store {summary.folder}", soft_wrap=True)
