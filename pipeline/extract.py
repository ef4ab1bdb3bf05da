"""THE main path of stage one: plan -> manifest -> prepare the store -> which shards -> run them -> summary.

What happens in a shard (decode -> sample -> encode -> commit) is told by ``shard_worker``. A shard is the unit of
everything: batches never cross one, a finished one is never touched again, and running the same command again does
whatever is left. So a run that was killed anywhere ends with the same bytes.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..data.base import Dataset
from ..data.contracts.errors import StoreError
from .encoders.base import Encoder, EncoderIdentity
from .job_array import EVERYTHING, JobShare
from .options import CHANGED, UNTRUSTED, ExtractionOptions, pixels_of, resize_of, sampling_before
from .plan import ShardPlan, TextShardPlan, VideoShardPlan, manifest_of, patch_layout, plan_extraction
from .probe.pairs import as_record
from .progress import OnProgress, Progress
from .request import root_of, save_request
from .shard_worker import Recipe, ShardRunner, ShardWorker
from .store.claim import claimed_store, note_probe, refuse_another_store
from .store.generations.record import load_manifest
from .store.manifest import MANIFEST_NAME
from .store.reader import FeatureStore
from .store.receipts import read_receipt, receipt_time_of
from .store.shard_reader import ShardReader
from .summary import Summary
from .trust.changes import FileComparison, compared_files
from .trust.files import OnFile, verdicts_of_files


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
        StoreError: the folder holds a store made in another way (the message says what differs), files are not those
            it was made of, or it cannot be written. Every shard that is in place stays valid.
    """
    alone = share.count == 1
    options = as_begun(options, dataset, folder, alone=alone)
    plan = plan_extraction(dataset, options)
    options = replace(options, videos_per_shard=plan.videos_per_shard)
    manifest = manifest_of(dataset, runner.identity, plan, options)
    patches = patch_layout(runner.identity, options)
    with claimed_store(folder, manifest, plan.split_ids, alone=alone) as manifest:
        recipe = Recipe(folder, options, manifest, patches)
        summary = _extract_into(runner, dataset, recipe, share.of(plan.shards), on_progress)
    to_train = set(plan.split_ids.get("train", ()))
    summary.can_train = any(caption.video_id in to_train for caption in plan.captions)
    return summary


def _extract_into(
    runner: ShardRunner,
    dataset: Dataset,
    recipe: Recipe,
    shards: Sequence[ShardPlan],
    on_progress: OnProgress,
) -> Summary:
    """Do what is left of these shards of a store that this process may write into."""
    folder, options, manifest = recipe.folder, recipe.options, recipe.manifest
    compared = _compared(dataset, options, folder, shards, on_progress)
    _refuse_other_files(folder, options, compared.changed)
    ids_to_retry = _ids_to_retry(dataset, options, folder, shards, on_progress, compared.changed)
    selected = _select_shards(shards, folder, options, ids_to_retry)
    root = root_of(folder)
    moved = options.request is not None and root not in (None, options.request.root.absolute())
    if root is None or not (compared.changed or (moved and compared.unknown)):
        save_request(folder, options, extends=bool(selected))

    summary = Summary(folder, manifest.num_videos, manifest.num_texts, manifest.caution)
    summary.is_moved = moved
    summary.pixels, summary.unknown_files = manifest.pixels, compared.unknown
    summary.shards_skipped, summary.retried = len(shards) - len(selected), len(ids_to_retry)

    if selected and manifest.probe is None:
        # Before hours are spent: a wrong preprocessor, activation or checkpoint shows here.
        result = runner.probe()
        note_probe(folder, as_record(result))
        on_progress(Progress("probe", done=1, total=1, probe=result))
    started = time.perf_counter()
    try:
        for shard, receipt in runner.run(selected, recipe, on_progress):
            started = summary.add(shard, receipt, started)
        # Only now do all features come from there, so that time alone vouches for a file.
        if compared.changed and ids_to_retry.issuperset(compared.changed):
            save_request(folder, options)
        untrusted = ids_to_retry if options.retried == UNTRUSTED else ()
        summary.count_store(FeatureStore.open(folder, complete=False), untrusted)
    except KeyboardInterrupt as interrupt:
        raise summary.interrupted(selected, runner.shards_in_work) from interrupt
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
    stored, options = load_manifest(folder), as_begun(options, dataset, folder, alone=True)
    plan = plan_extraction(dataset, options)
    wanted = manifest_of(dataset, identity, plan, options)
    here = {"encoder": stored.encoder, "frames_per_batch": stored.frames_per_batch}
    refuse_another_store(folder, stored, replace(wanted, **here))
    shards = share.of(plan.shards)
    changed = _compared(dataset, options, folder, shards, on_progress).changed
    return len(_ids_to_retry(dataset, options, folder, shards, on_progress, changed))


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


def as_begun(options: ExtractionOptions, dataset: Dataset, folder: Path, *, alone: bool) -> ExtractionOptions:
    """The options with frames, their pixels and resampling, decoder and sizes of shards as the store has them that will
    be extended, where the user left these open.

    Of numbers of frames that is the one of the preset when the store was begun; any other was asked for.

    Whoever runs the command of an older store again, which knew no such choice, goes on as that store was begun. Of
    jobs that fill one store, all but the one that began it find its number of videos there.
    """
    if not (folder / MANIFEST_NAME).is_file() or (alone and not any(folder.glob("*.h5"))):
        return replace(
            options,
            pixels=options.chosen_pixels,
            resize=options.chosen_resize,
            decoder=options.chosen_decoder,
        )
    stored, before = load_manifest(folder), sampling_before(dataset.preset)
    as_before = options.is_sampling_open and stored.sampling == asdict(before)
    return replace(
        options,
        sampling=before if as_before else options.sampling,
        pixels=options.pixels or pixels_of(stored.pixels),
        resize=options.resize or resize_of(stored.resize),
        decoder=options.decoder or stored.decoder,
        videos_per_shard=options.videos_per_shard or stored.videos_per_shard,
    )


def _select_shards(
    shards: Sequence[ShardPlan], folder: Path, options: ExtractionOptions, ids_to_retry: Collection[str]
) -> list[ShardPlan]:
    """The shards to extract: the named ones, or whatever is not there or has to be done again."""
    # When they are looked at, before they are: what others make from then on is not made again.
    seen = [replace(shard, receipt_time=receipt_time_of(folder / shard.name)) for shard in shards]
    if options.only is not None:
        return [shard for shard in seen if shard.name in options.only]
    selected = [shard for shard in seen if _is_left(shard, folder, ids_to_retry)]
    if not options.retries_rows:
        return selected
    selected = [_keeping_others(shard, folder, ids_to_retry) for shard in selected]
    if options.retried != CHANGED:
        return selected
    return [_without_rows_of_other_files(shard, ids_to_retry) for shard in selected]


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


def _without_rows_of_other_files(shard: ShardPlan, changed: Collection[str]) -> ShardPlan:
    return shard if isinstance(shard, TextShardPlan) else replace(shard, replaced=frozenset(changed))


def _compared(
    dataset: Dataset,
    options: ExtractionOptions,
    folder: Path,
    shards: Sequence[ShardPlan],
    on_progress: OnProgress,
) -> FileComparison:
    """Whether the videos of these shards are still the files that they were made of; of every shard of the store, where
    the videos come from another folder than before.
    """
    is_here = options.request is not None and root_of(folder) == options.request.root.absolute()
    store = FeatureStore(folder, load_manifest(folder))
    looked_at = {shard.name for shard in shards} if is_here else set(store.shard_names("video"))
    if options.only is not None:  # of these the one who repairs has looked at the files
        looked_at = set[str]() if is_here else looked_at - options.only
    return compared_files(
        store,
        dataset.videos,
        _on_file(on_progress),
        by_time=is_here and options.file_digest == "ends",
        shards=looked_at,
    )


def _refuse_other_files(folder: Path, options: ExtractionOptions, changed: Mapping[str, str]) -> None:
    """See that no features of one file would pass for those of another."""
    if not changed or options.retried == CHANGED or options.only is not None:
        return
    video, difference = next(iter(changed.items()))
    now = options.request.root.absolute() if options.request else None
    then = root_of(folder)
    roots = (
        f" The store was made from {then}, this run looks in {now}."
        if now and then not in (None, now)
        else ""
    )
    raise StoreError(
        f"{len(changed):,} of the videos in {folder} are other files now than those whose features it holds, such as "
        f"{video!r}: {difference}.{roots} Add --retry changed to extract them again, and nothing else of their shards; "
        "or choose another folder with --store"
    )


def _ids_to_retry(
    dataset: Dataset,
    options: ExtractionOptions,
    folder: Path,
    shards: Sequence[ShardPlan],
    on_progress: OnProgress,
    changed: Collection[str],
) -> set[str]:
    """Videos of the store with the status, and with the part of a reason, that ``--retry`` names; of those that are
    untrusted or have changed, the ones in these shards.
    """
    if options.retry is None:
        return set()
    if options.retried == CHANGED:
        own = {video.id for shard in shards if isinstance(shard, VideoShardPlan) for video in shard.videos}
        return own.intersection(changed)
    reason = options.retry.partition(":")[2]
    store = FeatureStore.open(folder, complete=False)
    if options.retried != UNTRUSTED:
        return {row.id for row in store.statuses() if row.status == options.retried and reason in row.reason}
    names = {shard.name for shard in shards}
    verdicts = verdicts_of_files(store, dataset.videos, options, _on_file(on_progress), shards=names)
    return {row.id for row in verdicts if row.verdict == "untrusted" and reason in row.reason}


def _on_file(on_progress: OnProgress) -> OnFile:
    return lambda done, total: on_progress(Progress("files", done, total))
