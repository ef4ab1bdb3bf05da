"""What ``tvr extract --dry-run`` says: what an extraction would cost, and what of a store is there already."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ...data.contracts.cautions import label_of
from ...data.contracts.errors import counted, one_line
from ...pipeline.cluster.config import ClusterConfig
from ...pipeline.estimate import Estimate
from ...pipeline.store.generations.record import Counts, Generation
from ...pipeline.store.housekeeping import size_in_words
from ...pipeline.summary import duration_in_words
from ..terminal import err, out, print_json
from .missing_weights import works_here
from .next_command import print_next


def growth_in_words(videos: Counts, texts: Counts) -> Iterator[str]:
    """A line of videos and one of captions: how many a store that is there lacks, and how many it has."""
    for name, counts in (("videos", videos), ("captions", texts)):
        told = ", ".join(f"{count:,} {what}" for what, count in asdict(counts).items())
        if any(asdict(counts).values()):
            yield f"{name} since the store was last extracted: {told}"


def print_estimate(
    estimate: Estimate,
    folder: Path | None,
    retried: int | None = None,
    generation: Generation | None = None,
    *,
    as_json: bool = False,
) -> None:
    """What a dry run measured, into which folder it would be written, if that is known, how many videos ``--retry``
    means, if it was said, and what of a store that is there is new, where anything is."""
    if as_json:
        record = asdict(estimate) | {"caution": label_of(estimate.caution)}
        record |= {"folder": None if folder is None else str(folder)}
        record |= {} if retried is None else {"retried": retried}
        if generation is not None:
            record |= {"counted_videos": asdict(generation.counted_videos)}
            record |= {"counted_texts": asdict(generation.counted_texts)}
        print_json(record)
        return
    if generation is not None:
        for line in growth_in_words(generation.counted_videos, generation.counted_texts):
            out.print(line, soft_wrap=True)
        out.print("figures below are of what is new or has changed", soft_wrap=True)
    if retried is not None:
        of_store = counted(retried, "video")
        out.print(
            f"--retry   {of_store} of the store; figures below are of a whole extraction", soft_wrap=True
        )
    e = estimate
    out.print(f"videos    {e.videos_found:,} found, {e.videos_missing:,} missing")
    out.print(f"captions  {e.texts:,}")
    out.print(f"frames    {e.frames:,}")
    shards = f"{counted(e.video_shards, 'shard')} of videos and {e.text_shards:,} of captions"
    out.print(f"store     {size_in_words(round(e.gigabytes * 1e9))} in {shards}")
    if folder is not None:
        out.print(f"folder    {one_line(str(folder))}", soft_wrap=True)
    if e.patch_gigabytes:
        size = size_in_words(round(e.patch_gigabytes * 1e9))
        out.print(f"patches   {size} of these: {_patches_in_words(e)}")
    out.print(f"time      {duration_in_words(e.hours * 3600)} on this machine")
    out.print(
        f"measured on {counted(e.sampled_videos, 'video')}, {e.sampled_failures} of them undecodable; nothing written"
    )


def _patches_in_words(estimate: Estimate) -> str:
    tokens = "raw tokens" if estimate.patch_kind == "raw" else "projected"
    return f"{estimate.patches_per_frame} {tokens} a frame, {estimate.patch_dim} wide"


def print_after_dry_run(cluster: ClusterConfig | None, *, lacks_weights: bool) -> None:
    """What would be submitted to a job queue, if that is where the workers are; and the command without --dry-run.

    Args:
        cluster: where the workers are; None for this process.
        lacks_weights: whether the encoder's weights are not on this machine, so that only another one works here.
    """
    if cluster is not None and cluster.queue is not None:
        _print_job(cluster)
    typed = [word for word in sys.argv[1:] if word != "--dry-run"]
    if not lacks_weights:
        print_next(*typed)
        return
    better, options, label = works_here()
    for line in better:
        out.print(line, soft_wrap=True)
    print_next(*typed, *options, label=label)


def _print_job(cluster: ClusterConfig) -> None:
    # Dask takes two seconds, with the torch it is imported with: who asks for no cluster does not wait for it.
    from ...pipeline.cluster.connection import job_script

    out.print(f"\n{counted(cluster.workers, 'job')}, each:\n{job_script(cluster)}", soft_wrap=True)


def print_patch_size(estimate: Estimate) -> None:
    """How much patches add to a store."""
    err.print(
        f"patches take about {estimate.patch_gigabytes:,.3g} GB for {counted(estimate.frames, 'frame')}: "
        f"{_patches_in_words(estimate)}",
        soft_wrap=True,
    )
