"""A split of a store as features: copied into memory, or mapped where they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...data.contracts.errors import DataError, NoCaptionsError, UsageError, pasteable
from ...pipeline.machine import available_memory
from ...pipeline.store.manifest import Manifest
from ...pipeline.store.reader import FeatureStore
from ...pipeline.store.shard_reader import ShardReader
from .feature_set import FeatureSet, Origin
from .items import TextItems, VideoItems
from .rows import ConcatenatedArrays, Rows

CONTENT_DIGEST = "shards_digest"
"""What a run calls the digest of all bytes of its store."""

SHARE_OF_MEMORY = 0.5
"""Features are copied into memory where they take no more than this share of what is free."""


def features_of(store: FeatureStore, split: str | None, *, mapped: bool | None = None) -> FeatureSet:
    """The features of one split of a store, in the split's order.

    Args:
        store: a complete store.
        split: its name; None: every video of the store, in its order.
        mapped: whether features stay in their files, of which each batch is gathered; None: where they do not
            fit into memory.

    Raises:
        UsageError: the store has no such split.
        DataError: nothing of it can be used.
    """
    if not store.manifest.num_texts:
        raise NoCaptionsError(only_searched(store.folder))
    ids, origin = _ids_of(store, split), _origin(split or "all", store)
    if mapped is None:
        mapped = not fits_in_memory(store)
    if mapped:
        features = FeatureSet(mapped_videos(store, ids), mapped_texts(store, ids), origin)
    else:
        features = FeatureSet(store.videos(ids), store.texts(ids), origin)
    if not features.num_texts:
        of_what = f"{store.folder}" if split is None else f"split {split!r} of {store.folder}"
        raise DataError(f"{of_what} has no text that describes a video with frames")
    return features


def only_searched(folder: Path) -> str:
    """What is said of a store without captions, and the command that works on it."""
    return (
        f"{folder} has no captions, so nothing can be trained or scored on it; it can be searched: "
        f'tvr search "what you look for" --store {pasteable(folder)}'
    )


def gallery_of(store: FeatureStore, split: str | None = None) -> FeatureSet:
    """The videos of a store, or of a split of it, that have frames, and no text: something to search in.

    Raises:
        UsageError: the store has no such split.
    """
    ids, origin, texts = _ids_of(store, split), _origin(split or "all", store), _no_texts(store.manifest.dim)
    videos = store.videos(ids) if fits_in_memory(store) else mapped_videos(store, ids)
    return FeatureSet(videos, texts, origin)


def _ids_of(store: FeatureStore, split: str | None) -> list[str]:
    if split is None:
        return store.video_ids
    if split not in store.splits:
        raise UsageError(f"{store.folder} has no split {split!r}. Known: {', '.join(sorted(store.splits))}.")
    stored = set(store.video_ids)
    return [i for i in store.splits[split] if i in stored]


def _no_texts(dim: int) -> TextItems:
    # A store may have no shard of texts at all; and a million captions are not read for nothing.
    words = Rows.of(np.zeros((0, dim), np.float16), np.zeros(1, np.int64))
    nothing = torch.zeros(0, dtype=torch.long)
    return TextItems((), (), (), words, np.zeros(0, np.int32), nothing, None)


def identity_of(store: FeatureStore) -> dict[str, Any]:
    """What a run records of its store: enough to know another copy of it, or another store, when it meets
    one."""
    return {
        "path": str(store.folder.resolve()),
        **feature_settings(store.manifest),
        CONTENT_DIGEST: store.digest,
        "generation": store.manifest.generation,
        "videos": store.manifest.num_videos,
        "texts": store.manifest.num_texts,
    }


def feature_settings(manifest: Manifest) -> dict[str, Any]:
    """Everything in a store's manifest that decides what its features are, and of what."""
    # Runs of stores from before there was a choice say nothing of these, and must still be known as runs of them.
    pixels = {} if manifest.pixels == "stored" else {"pixels": manifest.pixels}
    resize = {} if manifest.resize == "exact" else {"resize": manifest.resize}
    return {
        "dataset": manifest.dataset,
        "protocol": manifest.protocol,
        "annotation_digests": dict(manifest.annotation_digests),
        "normalisation": list(manifest.normalisation),
        "encoder": dict(manifest.encoder),
        "sampling": dict(manifest.sampling),
        "max_seconds": manifest.max_seconds,
        "limit": manifest.limit,
        "decoder": manifest.decoder,
        "text_policy": manifest.text_policy,
        "splits": {name: record.digest for name, record in manifest.splits.items()},
        **pixels,
        **resize,
    }


def _origin(split: str, store: FeatureStore) -> Origin:
    reasons = {s.id: f"{s.status}: {s.reason}" for s in store.statuses() if s.frames == 0}
    manifest = store.manifest
    return Origin(
        split=split,
        protocol=manifest.protocol,  # pyright: ignore[reportArgumentType]  # written from a Dataset, whose type it is
        expected_videos=manifest.splits[split].expected if split in manifest.splits else None,
        limit=manifest.limit,
        reasons=reasons,
        logit_scale=manifest.logit_scale,
        attention_heads=manifest.attention_heads,
        num_frames=manifest.preset["num_frames"],
        num_words=manifest.preset["max_words"],
        store=identity_of(store),
    )


def fits_in_memory(store: FeatureStore) -> bool:
    """Whether a store's features take no more than ``SHARE_OF_MEMORY`` of the memory that is free, once copied."""
    names = store.shard_names("video") + store.shard_names("text")
    receipts = [receipt for name in names if (receipt := store.receipt(name))]
    # One shard of float32 makes all copies float32: see ``FeatureStore.dtype``.
    itemsize = 2 if all(receipt.dtype == "float16" for receipt in receipts) else 4
    size = sum(receipt.rows for receipt in receipts) * store.manifest.dim * itemsize
    return size <= SHARE_OF_MEMORY * available_memory()


def mapped_videos(store: FeatureStore, ids: Sequence[str]) -> VideoItems:
    """The named videos of a store, mapped; their pages are shared with every process that maps them too."""
    shards = list(store.shards("video"))
    places = {video: place for place, video in enumerate(i for shard in shards for i in shard.ids)}
    frames = _joined_rows(shards, "frames", "offsets")
    chosen = torch.tensor([places[i] for i in ids], dtype=torch.long)
    return VideoItems(tuple(ids), frames.chosen(chosen), _joined(shards, "frame_seconds"))


def mapped_texts(store: FeatureStore, video_ids: Sequence[str]) -> TextItems:
    """The texts of the named videos of a store, mapped."""
    shards, living = _living_texts(store)
    wanted = set(video_ids)
    owners = [video for shard in shards for video in shard.strings("video_ids")]
    rows = [row for row in living if owners[row] in wanted]
    chosen = torch.tensor(rows, dtype=torch.long)
    texts = [text for shard in shards for text in shard.strings("texts")]
    ids = [i for shard in shards for i in shard.ids]
    sentence_rows = np.concatenate([shard.array("sentence_row") for shard in shards]).astype(np.int64)
    paragraphs = all(shard.has_sentences for shard in shards)
    parts = _joined_rows(shards, "sentences", "sentence_offsets").chosen(chosen) if paragraphs else None
    return TextItems(
        ids=tuple(ids[row] for row in rows),
        video_ids=tuple(owners[row] for row in rows),
        texts=tuple(texts[row] for row in rows),
        words=_joined_rows(shards, "words", "offsets").chosen(chosen),
        token_ids=_joined(shards, "token_ids"),
        sentence_row=torch.from_numpy(sentence_rows)[chosen],
        parts=parts,
    )


def _living_texts(store: FeatureStore) -> tuple[list[ShardReader], list[int]]:
    """The shards of texts, and which of all their rows are of the store, in the order of the ids."""
    shards: list[ShardReader] = []
    living: list[tuple[str, int]] = []
    begin = 0
    for shard, rows in store.living("text"):
        living += [(shard.ids[row], begin + row) for row in rows]
        begin += len(shard.ids)
        shards.append(shard)
    return shards, [row for _, row in (sorted(living) if store.generation else living)]


def _joined(shards: Sequence[ShardReader], column: str) -> ConcatenatedArrays:
    return ConcatenatedArrays([shard.array(column) for shard in shards])


def _joined_rows(shards: Sequence[ShardReader], column: str, boundaries: str) -> Rows:
    """Rows of all shards' items, in the order of the shards."""
    values = _joined(shards, column)
    offsets = [shard.array(boundaries).astype(np.int64) for shard in shards]
    starts = [own[:-1] + begin for own, begin in zip(offsets, values.bounds, strict=False)]
    lengths = [np.diff(own) for own in offsets]
    return Rows(values, torch.from_numpy(np.concatenate(starts)), torch.from_numpy(np.concatenate(lengths)))
