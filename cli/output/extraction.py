"""What ``tvr extract`` says: before, while and after features are extracted."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ...data.base import Dataset
from ...data.contracts.cautions import caution_of, label_of
from ...data.contracts.errors import counted, one_line, pasteable
from ...pipeline.cluster.config import ClusterConfig
from ...pipeline.encoders.base import EncoderIdentity
from ...pipeline.estimate import Estimate
from ...pipeline.job_array import JobShare
from ...pipeline.machine import usable_cores
from ...pipeline.options import CHANGED
from ...pipeline.progress import OnProgress, Progress
from ...pipeline.shard_worker import ShardRunner
from ...pipeline.summary import Bottleneck, Summary, bottleneck, shares
from ..terminal import Meter, err, out, print_caution, print_json


def announce(dataset: Dataset, identity: EncoderIdentity) -> None:
    """Say what was found, and what a reader of any figure must know, before hours are spent."""
    for split in dataset.splits:
        err.print(str(dataset.coverage(split)), soft_wrap=True)
    for note in dataset.notes:
        err.print(f"note: {one_line(note)}", soft_wrap=True)
    print_caution(caution_of(identity.model, dataset.name, random_weights=identity.random_weights))
    if not identity.words_available:
        err.print(f"note: no word features: {identity.words_unavailable_reason}", soft_wrap=True)


@contextmanager
def extraction_meters() -> Generator[OnProgress]:
    """Meters of the stages of an extraction, and what it is to call with its progress."""
    meters = {
        "files": Meter("looking at files", "files"),
        "videos": Meter("videos", "videos"),
        "texts": Meter("captions", "captions"),
    }

    def show(progress: Progress) -> None:
        meter = meters[progress.stage]
        rate = progress.frames / max(meter.elapsed_seconds, 1e-6)
        remarks = [f"{progress.failed} failed", f"{rate:,.0f} frames/s"] if progress.stage == "videos" else []
        if progress.workers:
            pace = progress.shards / max(meter.elapsed_seconds, 1e-6)
            remarks += [
                counted(progress.workers, "worker"),
                f"{counted(progress.shards, 'shard')}, {pace:.2g}/s",
            ]
        meter.update(progress.done, progress.total, remarks)

    with meters["files"], meters["videos"], meters["texts"]:
        yield show


def print_estimate(estimate: Estimate, retried: int | None = None, *, as_json: bool = False) -> None:
    """What a dry run measured, and how many videos ``--retry`` means, if it was said."""
    if as_json:
        record = asdict(estimate) | {"caution": label_of(estimate.caution)}
        print_json(record | ({} if retried is None else {"retried": retried}))
        return
    if retried is not None:
        out.print(f"--retry   {retried:,} videos of the store; figures below are of a whole extraction")
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


def print_job(cluster: ClusterConfig | None) -> None:
    """What would be submitted to a job queue, if that is where the workers are."""
    if cluster is None or cluster.queue is None:
        return
    # Dask takes two seconds, with the torch it is imported with: who asks for no cluster does not wait for it.
    from ...pipeline.cluster.connection import job_script

    out.print(f"\neach of the {cluster.workers} jobs:\n{job_script(cluster)}", soft_wrap=True)


def print_patch_size(estimate: Estimate) -> None:
    """How much patches add to a store."""
    err.print(f"patches take about {estimate.patch_gigabytes:,.3g} GB for {estimate.frames:,} frames")


def print_remarks(summary: Summary, retry: str | None, pixels: str | None) -> None:
    """What ``--retry`` meant, and what the user left open that was decided otherwise than in a new store."""
    _print_retried(summary, retry)
    if summary.is_moved or retry == CHANGED:
        _print_unknown_files(summary)
    _print_pixels(summary, pixels)


def _print_retried(summary: Summary, retry: str | None) -> None:
    """How many videos ``--retry`` meant."""
    if retry is not None:
        err.print(f"--retry {retry}: {summary.retried:,} videos of the store were to be retried")
    if summary.still_untrusted:
        err.print(
            f"{summary.still_untrusted:,} of them failed: what was stored of them stays, and stays untrusted "
            f"(tvr inspect --store {pasteable(summary.folder)} --untrusted)",
            soft_wrap=True,
        )


def _print_unknown_files(summary: Summary) -> None:
    """That nobody can say whether files that moved are the same as before."""
    if summary.unknown_files:
        err.print(
            f"note: of {summary.unknown_files:,} videos the store does not know which files they were, since an "
            "earlier version made it: those there are now are taken to be the same. If they are not, delete the shards "
            f"(video-*.h5 and their .json in {one_line(str(summary.folder))}) and run this command again",
            soft_wrap=True,
        )


def _print_pixels(summary: Summary, pixels: str | None) -> None:
    """That frames go on as an older store has them, where nobody said how they are to be."""
    if pixels is None and summary.pixels == "stored":
        err.print(
            "frames keep the proportions in which they are stored, as this store has had them; in a new one they get "
            "those in which a player shows them (--pixels square)",
            soft_wrap=True,
        )


def print_over_budget(summary: Summary, max_failed: str | None) -> None:
    """Why the exit code is that of a failure though the store is there."""
    err.print(f"{summary.status['failed']:,} videos failed, more than {max_failed}")


def print_summary(summary: Summary, share: JobShare, runner: ShardRunner, *, as_json: bool) -> None:
    """What an extraction came to, and what to type next.

    Args:
        summary: of the run.
        share: this job's part of the shards.
        runner: who did them.
        as_json: everything as JSON.
    """
    children, precision = runner.num_children, runner.identity.precision
    busy = shares(summary.stages, children)
    slowest = bottleneck(summary.stages, children, len(usable_cores()), precision)
    if as_json:
        print_json(_record(summary, busy, slowest))
        return
    _print_counts(summary)
    if summary.frames:
        _print_time(busy, slowest, children)
    _print_what_was_cut(summary)
    if summary.shards_left:
        whose = "other processes" if share.count == 1 else f"this was shard {share}; other jobs"
        left = summary.shards_left
        out.print(f"{whose} have {len(left)} shards left to do, such as {left[0]}")
    else:
        out.print(f"next: tvr train-head --store {pasteable(summary.folder)}", soft_wrap=True)


def _record(summary: Summary, busy: dict[str, float], slowest: Bottleneck) -> dict[str, Any]:
    counts = dict(sorted(summary.status.items()))
    timing = {"shares": busy, "bottleneck": asdict(slowest) if summary.frames else None}
    caution = label_of(summary.caution)
    return {**asdict(summary), "folder": str(summary.folder), "caution": caution, "status": counts, **timing}


def _print_counts(summary: Summary) -> None:
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(summary.status.items()))
    seconds = sum(summary.seconds.values())
    remark = f" ({summary.caution.label})" if summary.caution else ""
    rate = f", {summary.frames / summary.seconds['videos']:,.0f} frames/s" if summary.frames else ""
    out.print(
        f"{summary.videos:,} videos ({counts}) and {summary.texts:,} captions in {summary.folder}",
        soft_wrap=True,
    )
    out.print(
        f"{summary.frames:,} frames in {seconds:,.1f} s{rate}; {summary.shards_done} shards written, "
        f"{summary.shards_skipped} were already there{remark}"
    )


def _print_time(busy: dict[str, float], slowest: Bottleneck, children: int) -> None:
    named = {stage: f"{share:.0%}" for stage, share in busy.items()}
    out.print(
        f"time: encoding {named['encode']}, waiting for frames {named['wait']}, writing {named['write']}; of "
        f"{children} decoding processes: decoding {named['decode']}, resizing {named['resize']}"
    )
    out.print(f"held up by {slowest.stage}; what would help: {slowest.advice}", soft_wrap=True)


def _print_what_was_cut(summary: Summary) -> None:
    if summary.texts_truncated:
        out.print(
            f"{summary.texts_truncated:,} captions are longer than the model reads and were cut; "
            "--text-policy sentences keeps all of them",
            soft_wrap=True,
        )
    if summary.status.keys() & {"failed", "partial"}:
        out.print(
            "once their files are mended: the same command with --retry failed, or --retry partial",
            soft_wrap=True,
        )
    if summary.status.keys() - {"ok"}:
        out.print(f"see why: tvr inspect --store {pasteable(summary.folder)} --failed", soft_wrap=True)
