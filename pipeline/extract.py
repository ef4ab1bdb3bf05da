"""Stage one: plan -> decode -> sample -> encode -> commit. The main path is ``extract_with``; read it first.

A shard is the unit of everything: batches never cross one, a finished one is never touched again, and running
the same command again does whatever is left. So a run that was killed anywhere ends with the same bytes.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, runtime_checkable

from ..data.base import Dataset, Video
from ..data.contracts.errors import DecodeError, StoreError
from .batches import FrameBatches
from .claims import Claims
from .decoding import Chunk, DecodedVideo, DecoderPool, DecodeTask
from .durable import explained, remove_leftovers
from .encoders.base import Encoder, EncoderIdentity
from .job_share import EVERYTHING, JobShare
from .manifest import Manifest, differences, load_manifest
from .patches import PatchLayout, PatchSpool
from .plan import (
    ExtractionOptions,
    Plan,
    ShardPlan,
    TextShardPlan,
    VideoShardPlan,
    manifest_of,
    patch_layout,
    plan_extraction,
)
from .request import save_request
from .rescue import with_stored
from .shard_rows import text_rows, video_rows
from .shards import Receipt, read_receipt, write_text_shard, write_video_shard
from .store import FeatureStore


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is; sent after every video and after every few texts."""

    stage: Literal["videos", "texts"]
    done: int
    total: int
    frames: int = 0
    failed: int = 0
    shards: int = 0
    """Where workers do them: how many have ended."""
    workers: int = 0
    """Of a cluster; 0 where this process does the work."""

    def further(self, done: int, frames: int = 0, failed: int = 0, *, workers: int = 0) -> "Progress":
        """What it is after so many more; with ``workers``, after another shard of theirs."""
        return replace(
            self,
            done=self.done + done,
            frames=self.frames + frames,
            failed=self.failed + failed,
            shards=self.shards + bool(workers),
            workers=workers,
        )


@dataclass
class Summary:
    """What an extraction found and did."""

    folder: Path
    videos: int = 0
    """Videos of the plan, missing ones too."""
    texts: int = 0
    frames: int = 0
    """Frames encoded by this run."""
    shards_done: int = 0
    shards_skipped: int = 0
    """Shards of this run's share that were there already."""
    retried: int = 0
    """Videos of the store that were to be retried."""
    shards_left: list[str] = field(default_factory=list[str])
    """Shards that are not there yet: other jobs' shares."""
    status: Counter[str] = field(default_factory=Counter[str])
    """Number of videos by status over the whole store; ``missing`` apart from ``failed``."""
    seconds: dict[str, float] = field(default_factory=lambda: {"videos": 0.0, "texts": 0.0})
    stages: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds by stage, summed over the video shards of this run; see ``bottleneck.STAGES``."""
    texts_truncated: int = 0
    """Texts of the whole store that the encoder's context cut."""

    def add(self, shard: ShardPlan, receipt: Receipt, started: float) -> float:
        """Count a shard that was done since ``started``; the time at which the next one starts."""
        now = time.perf_counter()
        is_video = isinstance(shard, VideoShardPlan)
        self.shards_done += 1
        if is_video:
            self.frames += receipt.rows
            for stage, taken in receipt.seconds.items():
                self.stages[stage] = self.stages.get(stage, 0.0) + taken
        self.seconds["videos" if is_video else "texts"] += now - started
        return now


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Recipe:
    """What every shard of a store shares."""

    folder: Path
    options: ExtractionOptions
    dim: int
    paragraphs: bool
    """Whether a caption's sentences are encoded one by one as well."""
    patches: PatchLayout | None = None
    """How the patches of frames are stored, if they are."""

    @property
    def new_spool(self) -> Callable[[], PatchSpool] | None:
        """Makes a place for patches that are on their way into the store."""
        return partial(PatchSpool, self.folder, self.patches) if self.patches else None


@runtime_checkable
class ShardRunner(Protocol):
    """Where shards are done: in this process, or on workers that send receipts back."""

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder that will do them."""
        ...

    @property
    def frames_per_batch(self) -> int:
        """What suits its device best."""
        ...

    @property
    def num_children(self) -> int:
        """Decoding processes that feed each encoder."""
        ...

    def run(
        self, shards: Sequence[ShardPlan], recipe: Recipe, on_progress: OnProgress
    ) -> Iterator[tuple[ShardPlan, Receipt]]:
        """Each shard and its receipt, as soon as it lies whole on the disk."""
        ...


def extract(
    dataset: Dataset,
    encoder: Encoder,
    options: ExtractionOptions,
    folder: Path,
    *,
    share: JobShare = EVERYTHING,
    on_progress: OnProgress = lambda progress: None,
) -> Summary:
    """Extract in this process what is not yet there of a data set's features into the store at ``folder``.

    Args:
        dataset: videos and captions.
        encoder: the frozen model.
        options: sampling, decoder, shard sizes, what to retry.
        folder: the store; made if absent, extended if it is the same store.
        share: this job's part of the shards, where several jobs fill one store.
        on_progress: called often, from this thread.

    Raises:
        DataError: no video of the data set was found.
        DecodeError: a video failed, and the options say to stop there.
        StoreError: the folder holds a store made in another way (the message says what differs), or cannot be
            written. Every shard that is in place stays valid.
    """
    with ShardWorker(encoder, options) as worker:
        return extract_with(worker, dataset, options, folder, share=share, on_progress=on_progress)


def extract_with(
    runner: ShardRunner,
    dataset: Dataset,
    options: ExtractionOptions,
    folder: Path,
    *,
    share: JobShare = EVERYTHING,
    on_progress: OnProgress = lambda progress: None,
) -> Summary:
    """``extract``, wherever the shards are done: the plain loop, a job array and Dask all pass here."""
    plan = plan_extraction(dataset, options)
    layout = patch_layout(runner.identity, options)
    manifest = manifest_of(dataset, runner.identity, plan, options)
    prepare_store(folder, manifest, plan, alone=share.count == 1)
    save_request(folder, options)
    shards = share.of(plan.shards)
    again = _ids_to_retry(folder, options.retry)
    to_do = _wanted(shards, folder, options.only, again)
    summary = Summary(folder, videos=manifest.num_videos, texts=manifest.num_texts)
    summary.shards_skipped, summary.retried = len(shards) - len(to_do), len(again)

    recipe = Recipe(folder, options, manifest.dim, dataset.protocol == "paragraph", layout)
    started = time.perf_counter()
    for shard, receipt in runner.run(to_do, recipe, on_progress):
        started = summary.add(shard, receipt, started)
    store = FeatureStore.open(folder, complete=False)
    summary.status, summary.shards_left = status_counts(store), store.absent_shards()
    summary.texts_truncated = num_truncated(store)
    return summary


class ShardWorker:
    """Does shards in this process, with one encoder and decoding children that it keeps between shards."""

    def __init__(self, encoder: Encoder, options: ExtractionOptions) -> None:
        self.encoder = encoder
        self.num_children = options.decoding_processes
        self.pool = DecoderPool(self.num_children, options.decoder)

    def __enter__(self) -> "ShardWorker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.close()

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder's."""
        return self.encoder.identity

    @property
    def frames_per_batch(self) -> int:
        """The encoder's."""
        return self.encoder.frames_per_batch

    def run(
        self, shards: Sequence[ShardPlan], recipe: Recipe, on_progress: OnProgress
    ) -> Iterator[tuple[ShardPlan, Receipt]]:
        """Do the shards one after another; the children decode ahead into the next one.

        A shard that another process is doing, or has done since, is left to it.
        """
        report = Report(shards, on_progress)
        with Claims(recipe.folder) as claims, ThreadPoolExecutor(1, "writing") as writer:
            mine = (
                shard for shard in shards if isinstance(shard, VideoShardPlan) and claims.take(shard.name)
            )
            videos = (video for shard in mine for video in shard.videos)
            tasks = (decode_task(video, self.encoder, recipe.options) for video in videos if video.path)
            decoded = self.pool.stream(tasks)
            if recipe.options.on_error == "fail":
                decoded = _up_to_a_failure(decoded)
            batches = FrameBatches(self.encoder, recipe.options.frames_per_batch, recipe.new_spool)
            writing = _Writing(writer, claims)
            for shard in shards:
                if claims.take(shard.name):
                    yield from writing.before(shard)
                    write = self._encoded(shard, decoded, batches, recipe, report)
                    yield from writing.finished()
                    writing.begin(shard, write)
            yield from writing.finished()

    def _encoded(
        self,
        shard: ShardPlan,
        decoded: Iterator[Chunk | DecodedVideo],
        batches: FrameBatches,
        recipe: Recipe,
        report: "Report",
    ) -> Callable[[], Receipt]:
        """Encode a shard; what is left is to write it."""
        path = recipe.folder / shard.name
        if isinstance(shard, TextShardPlan):
            texts, seconds = text_rows(
                shard,
                self.encoder,
                report.add_texts,
                policy=recipe.options.text_policy,
                paragraphs=recipe.paragraphs,
            )
            return partial(write_text_shard, path, texts, recipe.dim, seconds)
        rows, seconds = video_rows(shard, decoded, batches, report.add_video)
        rows = with_stored(path, rows, recipe.patches)
        return partial(write_video_shard, path, rows, recipe.dim, seconds, recipe.patches)


class _Writing:
    """Writes one shard while the next one is encoded."""

    def __init__(self, writer: ThreadPoolExecutor, claims: Claims) -> None:
        self._writer, self._claims = writer, claims
        self._begun: tuple[ShardPlan, Future[Receipt]] | None = None

    def begin(self, shard: ShardPlan, write: Callable[[], Receipt]) -> None:
        self._begun = shard, self._writer.submit(write)

    def before(self, shard: ShardPlan) -> Iterator[tuple[ShardPlan, Receipt]]:
        """What is to be finished first: texts are not counted among the seconds of videos."""
        if self._begun and type(self._begun[0]) is not type(shard):
            yield from self.finished()

    def finished(self) -> Iterator[tuple[ShardPlan, Receipt]]:
        """What has been begun, once it is in place."""
        if self._begun:
            (shard, receipt), self._begun = self._begun, None
            done = receipt.result()
            self._claims.release(shard.name)
            yield shard, done


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
    with explained(folder):
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


def status_counts(store: FeatureStore) -> Counter[str]:
    """Number of videos by status over a whole store, with ``missing`` files apart from ``failed`` ones."""
    counts: Counter[str] = Counter()
    for name in store.shard_names("video"):
        receipt = store.receipt(name)
        if receipt:
            counts.update(receipt.status)
            counts.update({"failed": -len(receipt.missing), "missing": len(receipt.missing)})
    return Counter({status: count for status, count in counts.items() if count})


def num_truncated(store: FeatureStore) -> int:
    """How many texts of a store the encoder's context cut."""
    receipts = (store.receipt(name) for name in store.shard_names("text"))
    return sum(receipt.status.get("truncated", 0) for receipt in receipts if receipt)


class Report:
    """Counts videos as they leave the decoder, and texts as they leave the encoder."""

    def __init__(self, shards: Sequence[ShardPlan], on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.videos = Progress("videos", 0, videos_in(shards))
        self.texts = Progress("texts", 0, texts_in(shards))

    def add_shard(self, shard: ShardPlan, receipt: Receipt, workers: int) -> None:
        """A whole shard, done by one of so many workers."""
        if isinstance(shard, TextShardPlan):
            self.texts = self.texts.further(receipt.items, workers=workers)
            self.on_progress(self.texts)
        else:
            failed = receipt.status.get("failed", 0) - len(receipt.missing)
            self.videos = self.videos.further(receipt.items, receipt.rows, failed, workers=workers)
            self.on_progress(self.videos)

    def add_video(self, frames: int, failed: bool) -> None:
        self.videos = self.videos.further(1, frames, int(failed))
        self.on_progress(self.videos)

    def add_texts(self, count: int) -> None:
        self.texts = self.texts.further(count)
        self.on_progress(self.texts)


def videos_in(shards: Sequence[ShardPlan]) -> int:
    """How many videos these shards hold, missing ones too."""
    return sum(len(shard.videos) for shard in shards if isinstance(shard, VideoShardPlan))


def texts_in(shards: Sequence[ShardPlan]) -> int:
    """How many captions these shards hold."""
    return sum(len(shard.captions) for shard in shards if isinstance(shard, TextShardPlan))


def _wanted(
    shards: Sequence[ShardPlan], folder: Path, only: Collection[str] | None, again: set[str]
) -> list[ShardPlan]:
    """The shards to extract: the named ones, or whatever is not there or has to be done again."""
    if only is not None:
        return [shard for shard in shards if shard.name in only]
    return [shard for shard in shards if _is_wanted(folder, shard, again)]


def _up_to_a_failure(decoded: Iterator[Chunk | DecodedVideo]) -> Iterator[Chunk | DecodedVideo]:
    for given in decoded:
        if isinstance(given, DecodedVideo) and given.status == "failed":
            raise DecodeError(
                f"video {given.id!r} failed: {given.reason}. Stopped there because of --on-error fail; every finished "
                "shard is kept. Mend or remove the video, or leave the option out: then it becomes a row with that "
                "reason"
            )
        yield given


def _ids_to_retry(folder: Path, retry: str | None) -> set[str]:
    """Videos of the store with the status, and with the part of a reason, that ``retry`` names."""
    if retry is None:
        return set()
    status, _, reason = retry.partition(":")
    statuses = FeatureStore.open(folder, complete=False).statuses()
    return {row.id for row in statuses if row.status == status and reason in row.reason}


def _is_wanted(folder: Path, shard: ShardPlan, again: set[str]) -> bool:
    """Whether to extract a shard: it is not whole, a missing video has appeared, or one is to be retried."""
    receipt = read_receipt(folder / shard.name)
    if receipt is None:
        return True
    if isinstance(shard, TextShardPlan):
        return False
    present = {video.id for video in shard.videos if video.path}
    return bool(present & (set(receipt.missing) | again))


def decode_task(video: Video, encoder: Encoder, options: ExtractionOptions) -> DecodeTask:
    """What the decoding children need to know of one video that was found."""
    assert video.path is not None
    end = video.end_seconds
    if options.max_seconds is not None:
        limit = video.start_seconds + options.max_seconds
        end = limit if end is None else min(end, limit)
    return DecodeTask(
        video.id,
        video.path,
        options.sampling,
        encoder.identity.preprocessing,
        video.start_seconds,
        end,
        options.frames_per_batch,
    )
