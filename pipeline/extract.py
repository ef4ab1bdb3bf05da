"""Stage one: plan -> decode -> sample -> encode -> commit. The main path is ``extract``; read it first.

A shard is the unit of everything: batches never cross one, a finished one is never touched again, and running
the same command again does whatever is left. So a run that was killed anywhere ends with the same bytes.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..data.base import Caption, Dataset, Video
from ..data.contracts.errors import StoreError, UsageError
from .batches import FrameBatches
from .decoding import DecodedVideo, DecoderPool, DecodeTask
from .durable import remove_leftovers
from .encoders.base import Encoder
from .manifest import Manifest, differences, load_manifest
from .plan import ExtractionOptions, Plan, TextShardPlan, VideoShardPlan, manifest_of, plan_extraction
from .shards import MISSING, TextRow, VideoRow, read_receipt, write_text_shard, write_video_shard
from .store import FeatureStore

TEXTS_PER_CALL = 512
"""Captions per call of the encoder: enough to fill length-sorted batches, few enough to show progress."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is; sent after every video and after every few texts."""

    stage: Literal["videos", "texts"]
    done: int
    total: int
    frames: int = 0
    failed: int = 0


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
    """Shards that an earlier run had finished."""
    status: Counter[str] = field(default_factory=Counter[str])
    """Number of videos by status over the whole store; ``missing`` apart from ``failed``."""
    seconds: dict[str, float] = field(default_factory=lambda: {"videos": 0.0, "texts": 0.0})

    def within_budget(self, max_failed: str | None) -> bool:
        """Whether no more videos failed than ``"12"`` or ``"5%"`` allows; missing files are not failures.

        Raises:
            UsageError: the budget is neither a number nor a percentage.
        """
        if max_failed is None:
            return True
        share = max_failed.endswith("%")
        try:
            allowed = float(max_failed.removesuffix("%"))
        except ValueError:
            raise UsageError(
                f"max_failed must be a number such as 12 or a share such as 5%, got {max_failed!r}"
            ) from None
        return self.status["failed"] <= (allowed / 100 * self.videos if share else allowed)


OnProgress = Callable[[Progress], None]


def extract(
    dataset: Dataset,
    encoder: Encoder,
    options: ExtractionOptions,
    folder: Path,
    *,
    on_progress: OnProgress = lambda progress: None,
) -> Summary:
    """Extract what is not yet there of a data set's features into the store at ``folder``.

    Args:
        dataset: videos and captions.
        encoder: the frozen model.
        options: sampling, decoder, shard sizes, what to retry.
        folder: the store; made if absent, extended if it is the same store.
        on_progress: called often, from this thread.

    Raises:
        DataError: no video of the data set was found.
        StoreError: the folder holds a store made in another way; the message says what differs.
    """
    plan = plan_extraction(dataset, options)
    manifest = manifest_of(dataset, encoder.identity, plan, options)
    prepare_store(folder, manifest, plan)
    again = _ids_to_retry(folder, options.retry)
    videos = [shard for shard in plan.video_shards if _is_wanted(folder, shard, again)]
    texts = [shard for shard in plan.text_shards if read_receipt(folder / shard.name) is None]
    summary = Summary(folder, videos=manifest.num_videos, texts=manifest.num_texts)
    summary.shards_done = len(videos) + len(texts)
    summary.shards_skipped = len(plan.video_shards) + len(plan.text_shards) - summary.shards_done

    started = time.perf_counter()
    report = _VideoProgress(sum(len(shard.videos) for shard in videos), on_progress)
    with DecoderPool(options.num_children, options.decoder) as pool:
        found = (video for shard in videos for video in shard.videos if video.path)
        decoded = pool.decode(decode_task(video, encoder, options) for video in found)
        for shard in videos:
            rows, seconds = _encoded_videos(shard, decoded, encoder, options.frames_per_batch, report)
            write_video_shard(folder / shard.name, rows, manifest.dim, seconds)
    summary.frames, summary.seconds["videos"] = report.frames, time.perf_counter() - started

    started = time.perf_counter()
    for shard, rows in _encoded_texts(
        texts, encoder, on_progress, paragraphs=dataset.protocol == "paragraph"
    ):
        write_text_shard(folder / shard.name, rows, manifest.dim, {})
    summary.seconds["texts"] = time.perf_counter() - started
    summary.status = status_counts(FeatureStore.open(folder))
    return summary


def prepare_store(folder: Path, manifest: Manifest, plan: Plan) -> None:
    """Make the folder, or make sure that what is there is the same store.

    Raises:
        StoreError: it is another store, or the folder cannot be written.
    """
    if folder.is_dir() and any(folder.glob("*.h5")):
        differing = differences(load_manifest(folder), manifest)
        if differing:
            raise StoreError(
                f"the store at {folder} was made in another way and will not be extended:\n  "
                + "\n  ".join(differing)
                + "\nChoose another folder with --store, or delete this one."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        manifest.save(folder, plan.split_ids)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error


def status_counts(store: FeatureStore) -> Counter[str]:
    """Number of videos by status over a whole store, with ``missing`` files apart from ``failed`` ones."""
    counts: Counter[str] = Counter()
    for name in store.shard_names("video"):
        receipt = store.receipt(name)
        if receipt:
            counts.update(receipt.status)
            counts.update({"failed": -len(receipt.missing), "missing": len(receipt.missing)})
    return Counter({status: count for status, count in counts.items() if count})


@dataclass
class _VideoProgress:
    """Counts videos as they leave the decoder."""

    total: int
    on_progress: OnProgress
    done: int = 0
    frames: int = 0
    failed: int = 0

    def add(self, frames: int, *, failed: bool) -> None:
        self.done += 1
        self.frames += frames
        self.failed += failed
        self.on_progress(Progress("videos", self.done, self.total, self.frames, self.failed))


def _ids_to_retry(folder: Path, retry: str | None) -> set[str]:
    """Videos of the store with the status, and with the part of a reason, that ``retry`` names."""
    if retry is None:
        return set()
    status, _, reason = retry.partition(":")
    statuses = FeatureStore.open(folder, complete=False).statuses()
    return {row.id for row in statuses if row.status == status and reason in row.reason}


def _is_wanted(folder: Path, shard: VideoShardPlan, again: set[str]) -> bool:
    """Whether to extract a shard: it is not whole, a missing video has appeared, or one is to be retried."""
    receipt = read_receipt(folder / shard.name)
    if receipt is None:
        return True
    present = {video.id for video in shard.videos if video.path}
    return bool(present & (set(receipt.missing) | again))


def decode_task(video: Video, encoder: Encoder, options: ExtractionOptions) -> DecodeTask:
    """What the decoding children need to know of one video that was found."""
    assert video.path is not None
    end = video.end_seconds
    if options.max_seconds is not None:
        limit = video.start_seconds + options.max_seconds
        end = limit if end is None else min(end, limit)
    preprocessing = encoder.identity.preprocessing
    return DecodeTask(video.id, video.path, options.sampling, preprocessing, video.start_seconds, end)


def _encoded_videos(
    shard: VideoShardPlan,
    decoded: Iterator[DecodedVideo],
    encoder: Encoder,
    frames_per_batch: int,
    report: _VideoProgress,
) -> tuple[list[VideoRow], dict[str, float]]:
    """Rows of a shard in its order, the frames of many videos filling batches of one size."""
    started, decode_seconds = time.perf_counter(), 0.0
    batches = FrameBatches(encoder, frames_per_batch)
    facts: dict[
        str, dict[str, Any]
    ] = {}  # all of a decoded video but its pixels, which the encoder has taken
    for video in islice(decoded, sum(video.path is not None for video in shard.videos)):
        batches.add(video.frames)
        facts[video.id] = {name: getattr(video, name) for name in _KEPT}
        decode_seconds += video.decode_seconds
        report.add(len(video.frames), failed=video.status == "failed")
    cuts = np.cumsum([len(fact["frame_index"]) for fact in facts.values()], dtype=np.int64)
    features = dict(zip(facts, np.split(batches.finished(), cuts), strict=False))
    rows: list[VideoRow] = []
    for video in shard.videos:
        if video.id in facts:
            rows.append(VideoRow(id=video.id, frames=features[video.id], **facts[video.id]))
        else:
            report.add(0, failed=False)
            rows.append(_missing_row(video.id, encoder.identity.dim))
    wall = time.perf_counter() - started
    seconds = {"wall": wall, "encode": batches.encode_seconds, "decode_in_children": decode_seconds}
    return rows, seconds


_KEPT = ("frame_seconds", "frame_index", "status", "reason", "decoder")


def _missing_row(video_id: str, dim: int) -> VideoRow:
    nothing = np.zeros(0, np.float32)
    return VideoRow(
        video_id, np.zeros((0, dim), np.float32), nothing, nothing.astype(np.int32), "failed", MISSING, ""
    )


def _encoded_texts(
    shards: Sequence[TextShardPlan], encoder: Encoder, on_progress: OnProgress, *, paragraphs: bool
) -> Iterator[tuple[TextShardPlan, list[TextRow]]]:
    """Rows of each shard in its order, encoded a few hundred at a time."""
    done, total = 0, sum(len(shard.captions) for shard in shards)
    for shard in shards:
        rows: list[TextRow] = []
        for start in range(0, len(shard.captions), TEXTS_PER_CALL):
            captions = shard.captions[start : start + TEXTS_PER_CALL]
            rows += _text_rows(captions, encoder, paragraphs=paragraphs)
            done += len(captions)
            on_progress(Progress("texts", done, total))
        yield shard, rows


def _text_rows(captions: Sequence[Caption], encoder: Encoder, *, paragraphs: bool) -> list[TextRow]:
    """Each caption's words; of a paragraph also the pooled row of each of its sentences."""
    texts = encoder.encode_texts([caption.text for caption in captions])
    sentences = iter(encoder.encode_texts([s for c in captions for s in c.sentences]) if paragraphs else ())
    rows: list[TextRow] = []
    for caption, text in zip(captions, texts, strict=True):
        own = [part.words[part.sentence_row] for part in islice(sentences, len(caption.sentences))]
        rows.append(
            TextRow(
                id=caption.id,
                video_id=caption.video_id,
                text=caption.text,
                words=text.words,
                token_ids=text.token_ids,
                sentence_row=text.sentence_row,
                truncated=text.truncated,
                parts=np.stack(own) if paragraphs else None,
            )
        )
    return rows
