"""THE main path of stage one: plan -> manifest -> prepare the store -> which shards -> run them -> summary.

What happens in a shard (decode -> sample -> encode -> commit) is told by ``shard_worker``. A shard is the unit of
everything: batches never cross one, a finished one is never touched again, and running the same command again does
whatever is left. So a run that was killed anywhere ends with the same bytes.
"""

import time
from dataclasses import asdict, replace
from pathlib import Path

from ..data.base import Dataset
from .decoding.decodable import require_decodable
from .encoders.base import Encoder, EncoderIdentity
from .growth.detection import Detected, Wanted, detected, refuse_other_files
from .growth.planning import listing_of, may_grow, plan_of, planned_shards
from .growth.selection import Job
from .job_array import EVERYTHING, JobShare
from .options import UNTRUSTED, ExtractionOptions, pixels_of, resize_of, sampling_before
from .plan import Plan, manifest_of, patch_layout, plan_extraction
from .probe.pairs import as_record
from .progress import OnProgress, Progress
from .request import root_of, save_request
from .shard_worker import Recipe, ShardRunner, ShardWorker
from .store.claim import claimed_store, note_probe, refuse_another_store
from .store.generations.record import Generation, load_manifest
from .store.manifest import MANIFEST_NAME, differences
from .store.reader import FeatureStore
from .summary import Summary
from .trust.files import OnFile


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
        DataError: no video of the data set was found, or a server that has some does not let us in.
        UsageError: patches are wanted of a model that has none, or a decoder that reads files alone of other videos.
        DecodeError: a video failed, and the options say to stop there.
        StoreError: the folder holds a store made in another way (the message says what differs), files are not those
            it was made of, or it cannot be written. Every shard that is in place stays valid.
    """
    alone = share.count == 1
    options = as_begun(options, dataset, folder, alone=alone)
    require_decodable((video.path for video in dataset.videos.values()), options.chosen_decoder)
    plan = plan_extraction(dataset, options)
    options = replace(options, videos_per_shard=plan.videos_per_shard)
    manifest = manifest_of(dataset, runner.identity, plan, options)
    patches = patch_layout(runner.identity, options)
    found = detected(Wanted(folder, dataset, plan, manifest, options), _on_file(on_progress), alone=alone)
    if found.generation:
        on_progress(Progress("growth", 1, 1, generation=found.generation))
    with claimed_store(
        folder, manifest, plan.split_ids, alone=alone, next_generation=found.generation
    ) as manifest:
        recipe = Recipe(folder, options, manifest, patches)
        job = Job(dataset, options, FeatureStore(folder, manifest), share, plan_of(folder, manifest, plan))
        summary = _extract_into(runner, job, recipe, found, on_progress)
    to_train = set(plan.split_ids.get("train", ()))
    summary.can_train = any(caption.video_id in to_train for caption in plan.captions)
    return summary


def _extract_into(
    runner: ShardRunner, job: Job, recipe: Recipe, found: Detected, on_progress: OnProgress
) -> Summary:
    """Do what is left of a job's part of a store that this process may write into."""
    folder, options, manifest = recipe.folder, recipe.options, recipe.manifest
    compared = found.compared or job.compared(_on_file(on_progress))
    refuse_other_files(folder, options, compared.changed)
    ids_to_retry = job.ids_to_retry(compared.changed, _on_file(on_progress))
    selected = job.selected(ids_to_retry)
    root = root_of(folder)
    moved = options.request is not None and root not in (None, options.request.root.absolute())
    if root is None or not (compared.changed or (moved and compared.unknown)):
        save_request(folder, options, extends=bool(selected))

    summary = Summary(folder, manifest.num_videos, manifest.num_texts, manifest.caution)
    summary.is_moved = moved
    summary.pixels, summary.unknown_files = manifest.pixels, compared.unknown
    summary.shards_skipped, summary.retried = len(job.names) - len(selected), len(ids_to_retry)
    if found.generation:
        summary.counted_videos = found.generation.counted_videos
        summary.counted_texts = found.generation.counted_texts

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
    wanted = replace(wanted, **here)
    refuse_another_store(folder, stored, listing_of(stored, wanted) if dataset.is_archive else wanted)
    job = Job(dataset, options, FeatureStore(folder, stored), share, plan_of(folder, stored, plan))
    changed = job.compared(_on_file(on_progress)).changed
    return len(job.ids_to_retry(changed, _on_file(on_progress)))


def makes_the_same(
    dataset: Dataset, identity: EncoderIdentity, options: ExtractionOptions, folder: Path
) -> bool:
    """Whether an extraction with these options into a store that is there would go on with it; it writes nothing.

    Raises:
        DataError: no video of the data set was found.
        StoreError: the folder holds no store.
    """
    stored, options = load_manifest(folder), as_begun(options, dataset, folder, alone=True)
    wanted = manifest_of(dataset, identity, plan_extraction(dataset, options), options)
    return may_grow(stored, wanted) if dataset.is_archive else not differences(stored, wanted)


def planned_growth(
    dataset: Dataset,
    identity: EncoderIdentity,
    options: ExtractionOptions,
    folder: Path,
    *,
    on_progress: OnProgress = lambda progress: None,
) -> tuple[Generation, Plan] | None:
    """The generation that an extraction with these options would begin, and its shards; it writes nothing. None where
    it would begin none: there is no store, it holds what is wanted, or it cannot come to hold it.

    The encoder's precision and batch may be those of another machine, as for ``count_retried``.

    Raises:
        DataError: no video of the data set was found.
        StoreError: videos that come from another folder than before are other files there, or a shard is damaged.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return None
    stored, options = load_manifest(folder), as_begun(options, dataset, folder, alone=True)
    plan = plan_extraction(dataset, options)
    here = {"encoder": stored.encoder, "frames_per_batch": stored.frames_per_batch}
    manifest = replace(manifest_of(dataset, identity, plan, options), **here)
    found = detected(Wanted(folder, dataset, plan, manifest, options), _on_file(on_progress), alone=True)
    if found.generation is None:
        return None
    return found.generation, planned_shards(found.generation, plan, folder)


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


def _on_file(on_progress: OnProgress) -> OnFile:
    return lambda done, total: on_progress(Progress("files", done, total))
