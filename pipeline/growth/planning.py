"""The next generation of a store: what has come and changed goes into shards of its own, what is kept stays."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ...data.base import Caption, Dataset, Video
from ...data.contracts.errors import StoreError
from ..plan import Plan, TextShardPlan, VideoShardPlan, cuts_of
from ..store.generations.record import Generation, load_generation
from ..store.manifest import CAPTION_BY_CAPTION, Manifest, differences
from ..store.reader import FeatureStore
from ..store.shard_reader import ShardReader
from .comparison import ListComparison

_Item = TypeVar("_Item")


def listing_of(stored: Manifest, wanted: Manifest) -> Manifest:
    """What is wanted, with the videos and captions that a store has: where nothing else differs, it may grow."""
    names = ["annotation_digests", "splits", "num_videos", "num_texts"]
    if {stored.protocol, wanted.protocol} <= set(CAPTION_BY_CAPTION):
        names.append("protocol")
    return replace(wanted, **{name: getattr(stored, name) for name in names})


def may_grow(stored: Manifest, wanted: Manifest) -> bool:
    """Whether two manifests differ in their videos and captions alone."""
    return not differences(stored, listing_of(stored, wanted))


def next_generation(
    store: FeatureStore, wanted: Manifest, videos: ListComparison, texts: ListComparison
) -> Generation:
    """The record of the generation that makes a store what is wanted.

    Args:
        store: as it is.
        wanted: what it is to be.
        videos: of the plan, compared with its shards.
        texts: likewise.
    """
    read = {compared.shards[i] for compared in (videos, texts) for i in compared.kept}
    names = [name for kind in ("video", "text") for name in store.shard_names(kind)]
    return Generation(
        number=store.manifest.generation + 1,
        protocol=wanted.protocol,
        annotation_digests=wanted.annotation_digests,
        preset=wanted.preset,
        splits=wanted.splits,
        notes=wanted.notes,
        num_videos=wanted.num_videos,
        num_texts=wanted.num_texts,
        shards=[name for name in names if name in read],
        videos=videos.to_make,
        texts=texts.to_make,
        gone_videos=_unread(videos, read),
        gone_texts=_unread(texts, read),
        videos_per_shard=wanted.videos_per_shard,
        texts_per_shard=wanted.texts_per_shard,
        counted_videos=videos.counts,
        counted_texts=texts.counts,
        grown_from=store.digest,
    )


def _unread(compared: ListComparison, read: Collection[str]) -> list[str]:
    """Ids in shards that are read, and that are wanted no more."""
    held = {i for shard, ids in compared.held.items() if shard in read for i in ids}
    return sorted(held.difference(compared.new, compared.changed, compared.kept))


def plan_of(folder: Path, manifest: Manifest, whole: Plan) -> Plan:
    """The shards of a store's newest generation.

    Args:
        folder: the store.
        manifest: of that generation.
        whole: of all videos and captions that it is to hold.

    Raises:
        StoreError: its record cannot be read, or names videos or captions that are not planned.
    """
    generation = load_generation(folder, manifest.generation)
    return whole if generation is None else planned_shards(generation, whole, folder)


def planned_shards(generation: Generation, whole: Plan, folder: Path) -> Plan:
    """The shards of a generation.

    Raises:
        StoreError: it names videos or captions that are not planned.
    """
    videos = _named({video.id: video for video in whole.videos}, generation.videos, folder)
    captions = _named({caption.id: caption for caption in whole.captions}, generation.texts, folder)
    return replace(
        whole,
        video_shards=_video_shards(generation, videos),
        text_shards=_text_shards(generation, captions),
    )


def _video_shards(generation: Generation, videos: Sequence[Video]) -> tuple[VideoShardPlan, ...]:
    cuts = cuts_of(videos, generation.videos_per_shard)
    return tuple(map(VideoShardPlan, generation.own_shards("video"), cuts))


def _text_shards(generation: Generation, captions: Sequence[Caption]) -> tuple[TextShardPlan, ...]:
    cuts = cuts_of(captions, generation.texts_per_shard)
    return tuple(map(TextShardPlan, generation.own_shards("text"), cuts))


def _named(planned: dict[str, _Item], ids: Iterable[str], folder: Path) -> list[_Item]:
    try:
        return [planned[i] for i in ids]
    except KeyError as error:
        raise StoreError(
            f"the newest generation of {folder} is to hold {error.args[0]!r}, which the data set does not have"
        ) from error


def earlier_shards(
    store: FeatureStore, dataset: Dataset, ids: Collection[str], names: Collection[str]
) -> list[VideoShardPlan]:
    """Those of the named shards of earlier generations in which rows of these videos count, with all their videos.

    Raises:
        StoreError: a shard is damaged.
    """
    if not ids or not names:
        return []
    plans: list[VideoShardPlan] = []
    for shard, living in store.living("video"):
        if shard.path.name in names and any(shard.ids[row] in ids for row in living):
            plans.append(_as_stored(shard, {shard.ids[row] for row in living}, dataset))
    return plans


def _as_stored(shard: ShardReader, living: Collection[str], dataset: Dataset) -> VideoShardPlan:
    """The shard with its own videos; those that are gone have no file."""
    known = (dataset.videos[i] if i in living and i in dataset.videos else Video(i, None) for i in shard.ids)
    return VideoShardPlan(shard.path.name, tuple(known))
