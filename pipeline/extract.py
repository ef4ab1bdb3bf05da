"""THE main path of stage one: plan -> manifest -> prepare the store -> which shards -> run them -> summary.

What happens in a shard (decode -> sample -> encode -> commit) is told by ``shard_worker``. A shard is the unit of
everything: batches never cross one, a finished one is never touched again, and running the same command again does
whatever is left. So a run that was killed anywhere ends with the same bytes.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data.base import Dataset
from ..data.contracts.errors import StoreError
from .encoders.base import Encoder, EncoderIdentity
from .job_array import EVERYTHING, JobShare
from .options import ExtractionOptions, pixels_of
from .plan import Plan, ShardPlan, TextShardPlan, manifest_of, patch_layout, plan_extraction
from .preprocessing import DEFAULT_PIXELS
from .progress import OnProgress, Progress
from .request import save_request
from .shard_worker import Recipe, ShardRunner, ShardWorker
from .store.atomic_files import os_errors_as_store_error, remove_leftovers
from .store.manifest import MANIFEST_NAME, Manifest, differences, load_manifest
from .store.reader import FeatureStore
from .store.receipts import read_receipt
from .store.shard_reader import ShardReader
from .summary import Summary
from .trust.files import verdicts_of_files


def run_extraction(
    runner: ShardRunner,
    dataset: Dataset,
    options: ExtractionOptions,
    folder: Path,
    *,
    share: JobShare = EVERYTHING,
    on_progress: OnProgress = lambda progress: None,
) -> Summary:
    """Extract what is not yet there of a data set's features; this process, a job array and Dask all pass here.

    Args:
        runner: where the shards are done.
        dataset: videos and captions.
        options: sampling, decoder, shard sizes, what to retry.
        folder: the store; made if absent, extended if it is the same store.
        share: this job's part of the shards, where several jobs fill one store.
        on_progress: called often, from this thread.

    Raises:
        DataError: no video of the data set was found.
        UsageError: patches are wanted of a model that has none.
        DecodeError: a video failed, and the options say to stop there.
        StoreError: the folder holds a store made in another way (the message says what differs), or cannot be
            written. Every shard that is in place stays valid.
    """
    plan, alone = plan_extraction(dataset, options), share.count == 1
    options = _with_pixels(options, folder, alone=alone)
    manifest = manifest_of(dataset, runner.identity, plan, options)
    patches = patch_layout(runner.identity, options)
    prepare_store(folder, manifest, plan, alone=alone)
    save_request(folder, options)

    shards = share.of(plan.shards)
    ids_to_retry = _ids_to_retry(folder, dataset, options, shards, on_progress)
    selected = _select_shards(shards, folder, options, ids_to_retry)
    summary = Summary(folder, videos=manifest.num_videos, texts=manifest.num_texts)
    summary.pixels = manifest.pixels
    summary.shards_skipped, summary.retried = len(shards) - len(selected), len(ids_to_retry)

    recipe = Recipe(folder, options, manifest.dim, dataset.protocol == "paragraph", patches)
    started = time.perf_counter()
    for shard, receipt in runner.run(selected, recipe, on_progress):
        started = summary.add(shard, receipt, started)
    untrusted = ids_to_retry if options.retries_untrusted else ()
    summary.count_store(FeatureStore.open(folder, complete=False), untrusted)
    return summary


def count_retried(
    dataset: Dataset,
    identity: EncoderIdentity,
    options: ExtractionOptions,
    folder: Path,
    *,
    share: JobShare = EVERYTHING,
    on_progress: OnProgress = lambda progress: None,
) -> int:
    """How many videos an extraction with these options would retry; it writes nothing.

    The encoder's precision and batch may be those of another machine, on which nothing is asked but this.

    Raises:
        DataError: no video of the data set was found.
        StoreError: the folder holds no store, or one made in another way.
    """
    plan, stored = plan_extraction(dataset, options), load_manifest(folder)
    options = _with_pixels(options, folder, alone=True)
    wanted = manifest_of(dataset, identity, plan, options)
    here = {"encoder": stored.encoder, "frames_per_batch": stored.frames_per_batch}
    refuse_another_store(folder, stored, replace(wanted, **here))
    return len(_ids_to_retry(folder, dataset, options, share.of(plan.shards), on_progress))


def extract(
    dataset: Dataset,
    encoder: Encoder,
    options: ExtractionOptions,
    folder: Path,
    *,
    share: JobShare = EVERYTHING,
    on_progress: OnProgress = lambda progress: None,
) -> Summary:
    """``run_extraction`` in this process, with this frozen encoder."""
    with ShardWorker(encoder, options) as worker:
        return run_extraction(worker, dataset, options, folder, share=share, on_progress=on_progress)


def prepare_store(folder: Path, manifest: Manifest, plan: Plan, *, alone: bool = True) -> None:
    """Make the folder, or make sure that what is there is the same store.

    Args:
        folder: the store.
        manifest: of the store that is to be.
        plan: what it will hold.
        alone: no other job prepares this store now, so one without a shard may be made anew in another way.

    Raises:
        StoreError: it is another store, or the folder cannot be written.
    """
    with os_errors_as_store_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not alone:
            manifest.claim(folder)
        if not alone or any(folder.glob("*.h5")):
            refuse_another_store(folder, load_manifest(folder), manifest)
        remove_leftovers(folder)
        manifest.save(folder, plan.split_ids)


def refuse_another_store(folder: Path, stored: Manifest, wanted: Manifest) -> None:
    """Raise a StoreError that says what differs, if the two would not make the same features."""
    differing = differences(stored, wanted)
    if differing:
        raise StoreError(
            f"the store at {folder} was made in another way and will not be extended:\n  "
            + "\n  ".join(differing)
            + "\nChoose another folder with --store, or delete this one."
        )


def _with_pixels(options: ExtractionOptions, folder: Path, *, alone: bool) -> ExtractionOptions:
    """The options with pixels as the store has them that will be extended, where the user left that open.

    Whoever runs the command of an older store again, which knew no such choice, goes on as that store was begun.
    """
    if options.pixels is not None:
        return options
    is_extended = (folder / MANIFEST_NAME).is_file() and (not alone or any(folder.glob("*.h5")))
    pixels = pixels_of(load_manifest(folder).pixels) if is_extended else DEFAULT_PIXELS
    return replace(options, pixels=pixels)


def _select_shards(
    shards: Sequence[ShardPlan], folder: Path, options: ExtractionOptions, ids_to_retry: Collection[str]
) -> list[ShardPlan]:
    """The shards to extract: the named ones, or whatever is not there or has to be done again."""
    if options.only is not None:
        return [shard for shard in shards if shard.name in options.only]
    selected = [shard for shard in shards if _is_left(shard, folder, ids_to_retry)]
    if not options.retries_untrusted:
        return selected
    return [_keeping_others(shard, folder, ids_to_retry) for shard in selected]


def _is_left(shard: ShardPlan, folder: Path, ids_to_retry: Collection[str]) -> bool:
    """Whether a shard has to be done: it is not whole, a missing video has appeared, or one is to be retried."""
    receipt = read_receipt(folder / shard.name)
    if receipt is None:
        return True
    if isinstance(shard, TextShardPlan):
        return False
    present = {video.id for video in shard.videos if video.path}
    return not present.isdisjoint([*receipt.missing, *ids_to_retry])


def _keeping_others(shard: ShardPlan, folder: Path, ids_to_retry: Collection[str]) -> ShardPlan:
    """The shard, of which only these videos, and those that were missing and have appeared, are extracted."""
    receipt = read_receipt(folder / shard.name)
    if receipt is None or isinstance(shard, TextShardPlan):
        return shard
    stored = ShardReader(folder / shard.name, receipt=receipt)
    present = {video.id for video in shard.videos if video.path}
    anew = present.intersection([*receipt.missing, *ids_to_retry])
    frames = np.diff(stored.array("offsets")).tolist()
    taken_over = {video: count for video, count in zip(stored.ids, frames, strict=True) if video not in anew}
    return replace(shard, taken_over=taken_over)


def _ids_to_retry(
    folder: Path,
    dataset: Dataset,
    options: ExtractionOptions,
    shards: Sequence[ShardPlan],
    on_progress: OnProgress,
) -> set[str]:
    """Videos of the store with the status, and with the part of a reason, that ``--retry`` names; of those that are
    untrusted, the ones in these shards.
    """
    if options.retry is None:
        return set()
    status, _, reason = options.retry.partition(":")
    store = FeatureStore.open(folder, complete=False)
    if not options.retries_untrusted:
        return {row.id for row in store.statuses() if row.status == status and reason in row.reason}

    def report(done: int, total: int) -> None:
        on_progress(Progress("files", done, total))

    names = {shard.name for shard in shards}
    verdicts = verdicts_of_files(store, dataset.videos, options, report, shards=names)
    return {row.id for row in verdicts if row.verdict == "untrusted" and reason in row.reason}
