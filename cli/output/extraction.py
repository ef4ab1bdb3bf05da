"""What ``tvr extract`` says: before, while and after features are extracted."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...data.base import Dataset
from ...data.contracts.cautions import (
    caution_of,
    label_of,
)
from ...data.contracts.errors import StoreError, counted, one_line, pasteable
from ...pipeline.encoders.base import EncoderIdentity
from ...pipeline.job_array import JobShare
from ...pipeline.options import CHANGED
from ...pipeline.probe.pairs import ProbeResult
from ...pipeline.progress import OnProgress, Progress
from ...pipeline.shard_worker import ShardRunner
from ...pipeline.store.generations.record import Generation
from ...pipeline.summary import (
    Bottleneck,
    FailureBudget,
    Summary,
    bottleneck,
    shares,
)
from ..terminal import Meter, err, out, print_caution, print_json, warn
from .estimates import growth_in_words
from .interruptions import typed_command
from .next_command import print_next, words_after
from .verbosity import ASKED

BLIND = (
    "the encoder does not tell drawn stills apart better than captions at random would: its weights, preprocessing or "
    "activation are wrong. See `tvr doctor --model`"
)
TOO_MANY_FAILED = 8
"""Exit code of a run whose videos failed more often than --max-failed allows."""


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
def extraction_meters(*, is_random: bool = False) -> Generator[OnProgress]:
    """Meters of the stages of an extraction, and what it is to call with its progress.

    Args:
        is_random: the encoder was never trained, of which nobody has to be warned once more.
    """
    meters = {
        "files": Meter("looking at files", "files", at_once=False),
        "videos": Meter("videos", "videos"),
        "texts": Meter("captions", "captions", at_once=False),
    }

    told = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal told
        before, told = told, time.monotonic()
        if progress.stage == "probe":
            _print_probe(progress.probe, is_random=is_random)
            return
        if progress.stage == "growth":
            _print_growth(progress.generation)
            return
        meter = meters[progress.stage]
        if not progress.workers:
            # One stage after another: each begins where the one before ended. Workers are at all of them at once.
            meter.begin(before)
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


def _print_probe(result: ProbeResult | None, *, is_random: bool) -> None:
    """What the encoder made of rendered stills, and a warning where that is next to nothing."""
    if result is None:
        return
    err.print(f"encoder: {result}", soft_wrap=True)
    if not result.sees and not is_random:
        warn(BLIND)


def _print_growth(generation: Generation | None) -> None:
    """What of a store's videos and captions is new, before it is extracted."""
    if generation is not None:
        for line in growth_in_words(generation.counted_videos, generation.counted_texts):
            err.print(line, soft_wrap=True)


def print_remarks(summary: Summary, retry: str | None, pixels: str | None) -> None:
    """What ``--retry`` meant, and what the user left open that was decided otherwise than in a new store."""
    _print_retried(summary, retry)
    if summary.is_moved or retry == CHANGED:
        _print_unknown_files(summary)
    _print_pixels(summary, pixels)


def _print_retried(summary: Summary, retry: str | None) -> None:
    """How many videos ``--retry`` meant."""
    if retry is not None:
        err.print(
            f"--retry {retry}: {counted(summary.retried, 'video')} of the store to be retried", soft_wrap=True
        )
    if summary.still_untrusted:
        err.print(
            f"failed, of these: {summary.still_untrusted:,}. What was stored of them stays, and stays untrusted: "
            f"tvr inspect --store {pasteable(summary.folder)} --untrusted",
            soft_wrap=True,
        )


def _print_unknown_files(summary: Summary) -> None:
    """That nobody can say whether files that moved are the same as before."""
    if summary.unknown_files:
        err.print(
            f"note: of {counted(summary.unknown_files, 'video')} the store does not know which files they were, as an "
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


def print_faults(summary: Summary, budget: FailureBudget | None) -> int:
    """Say what keeps a store from being what was asked for, though it is there; the exit code, 0 if nothing does."""
    for path in summary.locks_out_of_reach:
        warn(
            f"{path} is a file of {_owner_of(path)}, and only they may open it: its shard cannot be made by you. If no "
            f"process of theirs works on this store any more, have them delete it (rm {pasteable(path)}), and run the "
            "same command again"
        )
    if summary.locks_out_of_reach:
        return StoreError.exit_code
    if budget is None or budget.admits(summary.status["failed"], summary.videos):
        return 0
    warn(f"{counted(summary.status['failed'], 'video')} failed, more than --max-failed {budget} allows")
    return TOO_MANY_FAILED


def _owner_of(path: Path) -> str:
    try:
        return f"user {path.owner()}"
    except (OSError, KeyError, NotImplementedError):
        return "another user"


def print_summary(
    summary: Summary, share: JobShare, runner: ShardRunner, place: Sequence[str], *, as_json: bool
) -> None:
    """What an extraction came to, and what to type next.

    Args:
        summary: of the run.
        share: this job's part of the shards.
        runner: who did them.
        place: options that name the workspace to a command, nothing where it needs none.
        as_json: everything as JSON.
    """
    children, precision = runner.num_children, runner.identity.precision
    busy = shares(summary.stages, children)
    slowest = bottleneck(summary.stages, children, runner.num_cores, precision)
    if as_json:
        print_json(_record(summary, busy, slowest))
        return
    _print_counts(summary)
    if ASKED.quiet:
        return
    _print_pace(summary)
    if summary.frames:
        _print_time(busy, slowest, children)
    _print_what_was_cut(summary)
    if summary.shards_left:
        whose = "other processes" if share.count == 1 else f"this was --shard {share}; other jobs"
        left = counted(len(summary.shards_left), "shard")
        out.print(f"{whose} have {left} left to do, such as {summary.shards_left[0]}", soft_wrap=True)
    elif summary.has_features:
        print_next(*words_after(summary.folder, can_train=summary.can_train, place=place))


def _record(summary: Summary, busy: dict[str, float], slowest: Bottleneck | None) -> dict[str, Any]:
    record = asdict(summary) | {"caution": label_of(summary.caution), "folder": str(summary.folder)}
    record |= {"status": dict(sorted(summary.status.items()))}
    record |= {"locks_out_of_reach": [str(path) for path in summary.locks_out_of_reach]}
    return record | {"shares": busy, "bottleneck": None if slowest is None else asdict(slowest)}


def _print_counts(summary: Summary) -> None:
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(summary.status.items()))
    out.print(
        f"{counted(summary.videos, 'video')} ({counts}) and {counted(summary.texts, 'caption')} in {summary.folder}",
        soft_wrap=True,
    )


def print_round(summary: Summary) -> None:
    """What one look of many at a folder came to, where it came to anything."""
    if summary.shards_done or summary.counted_videos:
        _print_counts(summary)
        _print_pace(summary)


def _print_pace(summary: Summary) -> None:
    seconds = sum(summary.seconds.values())
    rate = f", {summary.frames / summary.seconds['videos']:,.0f} frames/s" if summary.frames else ""
    out.print(
        f"{counted(summary.frames, 'frame')} in {seconds:,.1f} s{rate}; {counted(summary.shards_done, 'shard')} "
        f"written, {summary.shards_skipped:,} already there",
        soft_wrap=True,
    )


def _print_time(busy: dict[str, float], slowest: Bottleneck | None, children: int) -> None:
    named = {stage: f"{share:.0%}" for stage, share in busy.items()}
    whose = "the decoding process" if children == 1 else f"each of {children} decoding processes"
    out.print(
        f"time: {named['encode']} encoding, {named['wait']} waiting for frames, {named['write']} writing; {whose}: "
        f"{named['decode']} decoding, {named['resize']} resizing",
        soft_wrap=True,
    )
    if slowest is not None:
        out.print(f"what took longest: {slowest.stage}. Faster: {slowest.advice}", soft_wrap=True)


def _print_what_was_cut(summary: Summary) -> None:
    if summary.texts_truncated:
        out.print(
            f"cut, as longer than the model reads: {counted(summary.texts_truncated, 'caption')}; "
            "--text-policy sentences keeps all of every one",
            soft_wrap=True,
        )
    if summary.status.keys() - {"ok"}:
        out.print(f"see why: tvr inspect --store {pasteable(summary.folder)} --failed", soft_wrap=True)
    for status in ("failed", "partial"):
        if summary.status.get(status):
            again = typed_command("--retry", status)
            out.print(f"once the {status} ones' files are mended: {again}", soft_wrap=True)
