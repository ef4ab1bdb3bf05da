"""Videos and texts as a store holds them: copied into memory, or mapped where they are."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ...pipeline.store.reader import FeatureStore, Shard, TextRows, VideoRows
from .joined import JoinedArrays
from .rows import Rows, Values

SHARE_OF_MEMORY = 0.5
"""Features are copied into memory where they take no more than this share of what is free."""


@dataclass(frozen=True)
class Videos:
    """Frames of several videos."""

    ids: tuple[str, ...]
    frames: Rows
    """One item a video; a failed video has no row."""
    frame_seconds: Values
    """When each row is shown."""


@dataclass(frozen=True)
class Texts:
    """Words of several texts."""

    ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    texts: tuple[str, ...]
    words: Rows
    """One item a text."""
    token_ids: Values
    """The token of each row."""
    sentence_row: Int[Tensor, " text"]
    """Which of a text's own rows is the pooled one."""
    parts: Rows | None
    """The sentences of each text, for paragraphs."""


def videos_of(rows: VideoRows) -> Videos:
    """Videos of arrays in memory."""
    return Videos(rows.ids, Rows.of(rows.frames, rows.offsets), rows.frame_seconds)


def texts_of(rows: TextRows) -> Texts:
    """Texts of arrays in memory."""
    has_parts = rows.parts is not None and rows.part_offsets is not None
    return Texts(
        ids=rows.ids,
        video_ids=rows.video_ids,
        texts=rows.texts,
        words=Rows.of(rows.words, rows.offsets),
        token_ids=rows.token_ids,
        sentence_row=torch.from_numpy(np.asarray(rows.sentence_row, np.int64)),
        parts=Rows.of(rows.parts, rows.part_offsets) if has_parts else None,  # pyright: ignore[reportArgumentType]
    )


def mapped_videos(store: FeatureStore, ids: Sequence[str]) -> Videos:
    """The named videos of a store, mapped; their pages are shared with every process that maps them too."""
    shards = _shards(store, "video")
    places = {video: place for place, video in enumerate(i for shard in shards for i in shard.ids)}
    frames = _joined_rows(shards, "frames", "offsets")
    chosen = torch.tensor([places[i] for i in ids], dtype=torch.long)
    return Videos(tuple(ids), frames.chosen(chosen), _joined(shards, "frame_seconds"))


def mapped_texts(store: FeatureStore, video_ids: Sequence[str]) -> Texts:
    """The texts of the named videos of a store, mapped."""
    shards = _shards(store, "text")
    wanted = set(video_ids)
    owners = [video for shard in shards for video in shard.strings("video_ids")]
    rows = [row for row, video in enumerate(owners) if video in wanted]
    chosen = torch.tensor(rows, dtype=torch.long)
    texts = [text for shard in shards for text in shard.strings("texts")]
    ids = [i for shard in shards for i in shard.ids]
    sentence_rows = np.concatenate([shard.array("sentence_row") for shard in shards]).astype(np.int64)
    paragraphs = all(shard.has_sentences for shard in shards)
    parts = _joined_rows(shards, "sentences", "sentence_offsets").chosen(chosen) if paragraphs else None
    return Texts(
        ids=tuple(ids[row] for row in rows),
        video_ids=tuple(owners[row] for row in rows),
        texts=tuple(texts[row] for row in rows),
        words=_joined_rows(shards, "words", "offsets").chosen(chosen),
        token_ids=_joined(shards, "token_ids"),
        sentence_row=torch.from_numpy(sentence_rows)[chosen],
        parts=parts,
    )


def fits_in_memory(store: FeatureStore) -> bool:
    """Whether the shards of a store take no more than ``SHARE_OF_MEMORY`` of the memory that is free."""
    names = store.shard_names("video") + store.shard_names("text")
    size = sum((store.folder / name).stat().st_size for name in names if (store.folder / name).exists())
    return size <= SHARE_OF_MEMORY * _available_bytes()


def _shards(store: FeatureStore, kind: str) -> list[Shard]:
    return [Shard(store.folder / name) for name in store.shard_names(kind) if store.receipt(name) is not None]


def _joined(shards: Sequence[Shard], column: str) -> JoinedArrays:
    return JoinedArrays([shard.array(column) for shard in shards])


def _joined_rows(shards: Sequence[Shard], column: str, boundaries: str) -> Rows:
    """Rows of all shards' items, in the order of the shards."""
    values = _joined(shards, column)
    offsets = [shard.array(boundaries).astype(np.int64) for shard in shards]
    starts = [own[:-1] + begin for own, begin in zip(offsets, values.bounds, strict=False)]
    lengths = [np.diff(own) for own in offsets]
    return Rows(values, torch.from_numpy(np.concatenate(starts)), torch.from_numpy(np.concatenate(lengths)))


def _available_bytes() -> int:
    """Memory that can be had, page cache included where the system tells."""
    info = Path("/proc/meminfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
