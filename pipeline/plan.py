"""What an extraction will do: which videos and texts go into which shard, before a frame is decoded."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..data.base import Caption, Dataset, Video
from ..data.contracts.errors import DataError, UsageError, counted
from .decoding.durations import usual_seconds
from .encoders.base import EncoderIdentity
from .options import ExtractionOptions
from .store.generations.record import shard_name
from .store.manifest import Manifest, SplitRecord, ids_digest
from .store.patches import PatchLayout

MAX_VIDEOS_PER_SHARD = 128
SHARD_SECONDS = 3840.0
"""Footage in a shard: what 128 videos of half a minute have."""

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class VideoShardPlan:
    """The videos of one shard."""

    name: str
    videos: tuple[Video, ...]
    taken_over: Mapping[str, int] = field(default_factory=dict[str, int])
    """Videos that are left alone: the stored row of each stays as it is, with so many frames."""
    replaced: frozenset[str] = frozenset()
    """Videos whose stored rows are of other files than there are now: nothing of these rows stays."""
    receipt_time: int | None = None
    """When the receipt that was there when the shard was chosen was written; None where there was none."""

    @property
    def extracted(self) -> tuple[Video, ...]:
        """The videos whose rows are made anew, missing ones too."""
        return tuple(video for video in self.videos if video.id not in self.taken_over)

    @property
    def frames_taken_over(self) -> int:
        """How many frames the rows have that stay."""
        return sum(self.taken_over.values())


@dataclass(frozen=True)
class TextShardPlan:
    """The captions of one shard."""

    name: str
    captions: tuple[Caption, ...]
    receipt_time: int | None = None
    """As of videos."""


ShardPlan = VideoShardPlan | TextShardPlan


@dataclass(frozen=True)
class Plan:
    """Every shard of a store, in order."""

    video_shards: tuple[VideoShardPlan, ...]
    text_shards: tuple[TextShardPlan, ...]
    split_ids: dict[str, tuple[str, ...]]
    videos_per_shard: int

    @property
    def shards(self) -> tuple[ShardPlan, ...]:
        """Those of videos, which take longest, then those of texts."""
        return self.video_shards + self.text_shards

    @property
    def videos(self) -> Iterator[Video]:
        """All planned videos, missing ones too, sorted by id."""
        return (video for shard in self.video_shards for video in shard.videos)

    @property
    def captions(self) -> Iterator[Caption]:
        """All planned captions."""
        return (caption for shard in self.text_shards for caption in shard.captions)


def plan_extraction(dataset: Dataset, options: ExtractionOptions) -> Plan:
    """Cut a data set into shards, by sorted id, so that every machine that plans gets the same plan.

    Raises:
        DataError: not one video of the data set was found.
    """
    chosen = _chosen_ids(dataset, options.limit)
    videos = [dataset.videos[i] for i in sorted(chosen)]
    if not any(video.path for video in videos):
        raise DataError(
            f"{dataset.name}: none of its {counted(len(videos), 'video')} was found. "
            f"`tvr datasets {dataset.name} --root DIR` says which names were looked for, and where."
        )
    captions = sorted((c for c in dataset.captions if c.video_id in chosen), key=lambda caption: caption.id)
    videos_per_shard = options.videos_per_shard or usual_videos_per_shard(videos, options.max_seconds)
    video_cuts, text_cuts = cuts_of(videos, videos_per_shard), cuts_of(captions, options.texts_per_shard)
    return Plan(
        tuple(
            VideoShardPlan(shard_name("video", i, len(video_cuts)), cut) for i, cut in enumerate(video_cuts)
        ),
        tuple(TextShardPlan(shard_name("text", i, len(text_cuts)), cut) for i, cut in enumerate(text_cuts)),
        {name: tuple(i for i in split.video_ids if i in chosen) for name, split in dataset.splits.items()},
        videos_per_shard,
    )


def usual_videos_per_shard(videos: Sequence[Video], max_seconds: float | None) -> int:
    """How many videos go into a shard where nobody says it: as many as make ``SHARD_SECONDS`` of footage, 128 at most.

    A shard is then a few minutes of work on two cores, which is what Ctrl-C or a lost worker costs. It is a power of
    two, so that processes that begin a store together agree though a file more or less is there.

    Args:
        videos: of the plan, sorted by id; spans say how long they are, of whole files a few are asked.
        max_seconds: of each video that are used.
    """
    spans = [video.end_seconds - video.start_seconds for video in videos if video.end_seconds is not None]
    files = [video.path for video in videos if video.path and video.end_seconds is None]
    seconds = [sum(spans) / len(spans)] if spans else []
    if files:
        seconds.append(usual_seconds(files, SHARD_SECONDS / MAX_VIDEOS_PER_SHARD))
    usual = min(max(seconds, default=0.0), math.inf if max_seconds is None else max_seconds)
    fitting = max(1.0, SHARD_SECONDS / max(usual, SHARD_SECONDS / MAX_VIDEOS_PER_SHARD))
    return 1 << math.floor(math.log2(fitting))


def manifest_of(
    dataset: Dataset, encoder: EncoderIdentity, plan: Plan, options: ExtractionOptions
) -> Manifest:
    """The manifest of the store that this plan makes."""
    splits = {
        name: SplitRecord(
            found=sum(dataset.videos[i].path is not None for i in ids),
            expected=len(ids) if options.limit else dataset.splits[name].expected,
            source=dataset.splits[name].source + (f", limited to {len(ids)}" if options.limit else ""),
            digest=ids_digest(ids),
        )
        for name, ids in plan.split_ids.items()
    }
    return Manifest(
        dataset=dataset.name,
        protocol=dataset.protocol,
        annotation_digests=dict(dataset.annotation_digests),
        normalisation=list(dataset.normalisation),
        preset=dataclasses.asdict(dataset.preset),
        splits=splits,
        encoder=dataclasses.asdict(encoder),
        sampling=dataclasses.asdict(options.sampling),
        max_seconds=options.max_seconds,
        num_videos=sum(1 for _ in plan.videos),
        videos_per_shard=plan.videos_per_shard,
        num_texts=sum(1 for _ in plan.captions),
        texts_per_shard=options.texts_per_shard,
        frames_per_batch=options.frames_per_batch,
        limit=options.limit,
        decoder=options.chosen_decoder,
        text_policy=options.text_policy,
        patches_dtype=options.patches_dtype,
        pixels=options.chosen_pixels,
        resize=options.chosen_resize,
        notes=list(dataset.notes),
    )


def patch_layout(encoder: EncoderIdentity, options: ExtractionOptions) -> PatchLayout | None:
    """How the patches of each frame are stored, or None where they are not wanted.

    Raises:
        UsageError: they are wanted of a model that has none.
    """
    if options.patches_dtype is None:
        return None
    if not encoder.patch_kind:
        raise UsageError(
            f"--patches: {encoder.model} has no patch features: {encoder.patches_unavailable_reason}. "
            "Leave the option out, or take a vision transformer such as ViT-B-16"
        )
    return PatchLayout(encoder.patches_per_frame, encoder.patch_dim, options.patches_dtype)


def _chosen_ids(dataset: Dataset, limit: int | None) -> set[str]:
    if limit is None:
        return set(dataset.videos)
    columns = [[i for i in split.video_ids if dataset.videos[i].path] for split in dataset.splits.values()]
    chosen: dict[str, None] = {}
    for rank in range(max(map(len, columns), default=0)):
        for column in columns:
            if rank < len(column) and len(chosen) < limit:
                chosen[column[rank]] = None
    return set(chosen)


def cuts_of(items: Sequence[_Item], size: int) -> list[tuple[_Item, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
