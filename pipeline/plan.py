"""What an extraction will do: which videos and texts go into which shard, before a frame is decoded."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

from ..data.base import Caption, Dataset, Preset, Video
from ..data.contracts.errors import DataError, UsageError, unknown_name
from ..data.contracts.plug_ins import plug_in_names
from .cores import usable_cores
from .encoders.base import EncoderIdentity
from .manifest import Manifest, SplitRecord, ids_digest
from .patches import PatchFormat, PatchLayout
from .sampling import Policy, Sampling
from .shards import shard_name

TextPolicy = Literal["truncate", "sentences"]

_Item = TypeVar("_Item")

ON_ERROR = ("skip", "fail")
RETRIED = ("failed", "partial")
"""Statuses of videos that another attempt may better."""


@dataclass(frozen=True, slots=True)
class Request:
    """The names by which a data set and an encoder were loaded. No feature depends on where a file lies."""

    dataset: str
    """The plug-in, such as ``folder``; the store's own name of its data set may be another."""
    root: Path
    settings: Mapping[str, str]
    """``--data key=value``."""
    model: str
    pretrained: str | None
    device: str
    precision: str
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """What a user can choose of stage one beside data set and model."""

    sampling: Sampling
    max_seconds: float | None = None
    """Only the first seconds of each video are used; None means all of it."""
    decoder: str = "decord"
    videos_per_shard: int = 128
    texts_per_shard: int = 4096
    frames_per_batch: int = 64
    """Frames the encoder sees at once. Part of a store's identity: another batch size rounds differently."""
    limit: int | None = None
    """Only so many videos, taken in turn from every split; None means all."""
    text_policy: TextPolicy = "truncate"
    """truncate: a text ends with the encoder's context. sentences: one that is longer is encoded sentence by
    sentence."""
    patches_dtype: PatchFormat | None = None
    """Number format of the patches of each frame, which are kept as well; None: they are not."""
    num_children: int | None = None
    """Decoding processes; None: one for each core that may be used. Changes no feature."""
    retry: str | None = None
    """``failed`` or ``failed:<part of a reason>``: extract the shards that hold such videos again."""
    only: frozenset[str] | None = None
    """Names of shards to extract whether they are there or not; None means those that are not."""
    request: Request | None = None
    """Written into the store, so that it can be repaired."""
    on_error: str = "skip"
    """``skip``: a video that fails becomes a row with a reason; ``fail``: it ends the run."""

    @property
    def decoding_processes(self) -> int:
        """As many as were asked for, or as this process has cores."""
        return self.num_children or len(usable_cores())

    def __post_init__(self) -> None:
        self._check_numbers()
        for kind, value, known in (
            ("decoder", self.decoder, plug_in_names("tvr.pipeline.decoders")),
            ("way to meet an error", self.on_error, ON_ERROR),
        ):
            if value not in known:
                raise UsageError(unknown_name(kind, value, known))
        if self.retry is not None and self.retry.partition(":")[0] not in RETRIED:
            raise UsageError(unknown_name("status to retry", self.retry.partition(":")[0], RETRIED))

    def _check_numbers(self) -> None:
        for name in ("videos_per_shard", "texts_per_shard", "frames_per_batch", "num_children", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise UsageError(f"max_seconds must be more than 0, got {self.max_seconds}")


def sampling_of(preset: Preset, policy: str | None, num_frames: int | None, fps: float | None) -> Sampling:
    """What a user asked for, the rest filled in from the data set's preset.

    By default evenly spread frames, twice as many as heads use, up to 64: decoding costs the same, and two
    different views of a video (adaptive label denoising) need the spare ones.

    Raises:
        UsageError: no such policy.
    """
    spread = max(preset.num_frames, min(2 * preset.num_frames, 64))
    name = policy or ("uniform" if fps is None else "fps")
    policies = get_args(Policy)
    if name not in policies:
        raise UsageError(unknown_name("sampling policy", name, policies))
    cap = MOST_FRAMES if name == "fps" else spread
    return Sampling(
        policy=cast(Policy, name),
        num_frames=cap if num_frames is None else num_frames,
        fps=preset.fps if fps is None else fps,
    )


def text_policy_of(name: str) -> TextPolicy:
    """The policy of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in get_args(TextPolicy):
        raise UsageError(unknown_name("text policy", name, get_args(TextPolicy)))
    return cast(TextPolicy, name)


MOST_FRAMES = 512
"""The cap of the fps policy unless another is asked for: 8.5 minutes at one frame a second."""


@dataclass(frozen=True)
class VideoShardPlan:
    """The videos of one shard."""

    name: str
    videos: tuple[Video, ...]


@dataclass(frozen=True)
class TextShardPlan:
    """The captions of one shard."""

    name: str
    captions: tuple[Caption, ...]


ShardPlan = VideoShardPlan | TextShardPlan


@dataclass(frozen=True)
class Plan:
    """Every shard of a store, in order."""

    video_shards: tuple[VideoShardPlan, ...]
    text_shards: tuple[TextShardPlan, ...]
    split_ids: dict[str, tuple[str, ...]]

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
            f"{dataset.name}: none of its {len(videos):,} videos was found. "
            f"`tvr datasets {dataset.name} --root DIR` says which names were looked for, and where."
        )
    captions = sorted((c for c in dataset.captions if c.video_id in chosen), key=lambda caption: caption.id)
    video_cuts, text_cuts = _cut(videos, options.videos_per_shard), _cut(captions, options.texts_per_shard)
    return Plan(
        tuple(
            VideoShardPlan(shard_name("video", i, len(video_cuts)), cut) for i, cut in enumerate(video_cuts)
        ),
        tuple(TextShardPlan(shard_name("text", i, len(text_cuts)), cut) for i, cut in enumerate(text_cuts)),
        {name: tuple(i for i in split.video_ids if i in chosen) for name, split in dataset.splits.items()},
    )


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
        videos_per_shard=options.videos_per_shard,
        num_texts=sum(1 for _ in plan.captions),
        texts_per_shard=options.texts_per_shard,
        frames_per_batch=options.frames_per_batch,
        limit=options.limit,
        decoder=options.decoder,
        text_policy=options.text_policy,
        patches_dtype=options.patches_dtype,
        notes=list(dataset.notes),
    )


def patch_layout(encoder: EncoderIdentity, options: ExtractionOptions) -> PatchLayout | None:
    """How the patches of each frame are stored, or None where they are not wanted.

    Raises:
        UsageError: they are wanted of a model that has none.
    """
    if options.patches_dtype is None:
        return None
    if not encoder.num_patches:
        raise UsageError(
            f"--patches: {encoder.model} has no patch features: {encoder.patches_unavailable_reason}. "
            "Leave the option out, or take a vision transformer such as ViT-B-16"
        )
    return PatchLayout(encoder.num_patches, encoder.dim, options.patches_dtype)


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


def _cut(items: Sequence[_Item], size: int) -> list[tuple[_Item, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
