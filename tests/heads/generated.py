"""Features that stand in for a store: every video has a meaning that its texts share, at CLIP's usual norm."""

from pathlib import Path

import numpy as np
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.pipeline.store.manifest import SplitRecord, ids_digest
from tvr.pipeline.store.reader import TextRows, VideoRows
from tvr.pipeline.store.shards import TextRow, VideoRow, shard_name, write_text_shard, write_video_shard

from ..pipeline.stores import manifest


def generated_rows(
    videos: int = 24,
    captions: int = 1,
    dim: int = 16,
    frames: tuple[int, int] = (3, 9),
    words: tuple[int, int] = (4, 8),
    noise: float = 1.0,
    turned: bool = False,
    seed: int = 0,
) -> tuple[VideoRows, TextRows]:
    """Frames and words scattered around one vector a video; ``turned``: words in a space turned by a fixed
    rotation, which zero-shot retrieval cannot know and a head can learn."""
    random = np.random.default_rng(seed)
    meaning = random.standard_normal((videos, dim))
    frame_counts = random.integers(frames[0], frames[1] + 1, videos)
    word_counts = random.integers(words[0], words[1] + 1, videos * captions)
    owner = np.repeat(np.arange(videos), captions)

    rotation = (
        np.linalg.qr(np.random.default_rng(99).standard_normal((dim, dim)))[0] if turned else np.eye(dim)
    )

    def rows(centres: np.ndarray, counts: np.ndarray) -> np.ndarray:
        centres = np.repeat(centres, counts, axis=0)
        return (2 * (centres + noise * random.standard_normal(centres.shape))).astype(np.float16)

    def offsets(counts: np.ndarray) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    ids = tuple(f"video{i:05d}" for i in range(videos))
    video_rows = VideoRows(
        ids=ids,
        frames=rows(meaning, frame_counts),
        offsets=offsets(frame_counts),
        frame_seconds=np.zeros(frame_counts.sum(), np.float32),
    )
    text_rows = TextRows(
        ids=tuple(f"text{i:05d}" for i in range(len(owner))),
        video_ids=tuple(ids[i] for i in owner),
        texts=tuple(f"caption {i}" for i in range(len(owner))),
        words=rows(meaning[owner] @ rotation, word_counts),
        token_ids=np.zeros(word_counts.sum(), np.int32),
        offsets=offsets(word_counts),
        sentence_row=(word_counts - 1).astype(np.int32),
        truncated=np.zeros(len(owner), np.bool_),
        parts=None,
        part_offsets=None,
    )
    return video_rows, text_rows


def generated_features(split: str = "train", **settings: object) -> FeatureSet:
    """A feature set of generated rows."""
    protocol = "multi" if settings.get("captions", 1) != 1 else "single"
    return FeatureSet(*generated_rows(**settings), Origin(split=split, protocol=protocol))  # type: ignore[arg-type]


def without_frames(videos: VideoRows, index: int) -> VideoRows:
    """The same videos, one of which failed."""
    begin, end = videos.offsets[index : index + 2]
    offsets = videos.offsets.copy()
    offsets[index + 1 :] -= end - begin
    return VideoRows(
        ids=videos.ids,
        frames=np.delete(videos.frames, slice(begin, end), axis=0),
        offsets=offsets,
        frame_seconds=np.delete(videos.frame_seconds, slice(begin, end)),
    )


def generated_store(folder: Path, dim: int = 16, videos: int = 40) -> Path:
    """A real store with train, val and test splits of generated features."""
    rows, texts = generated_rows(videos=2 * videos, captions=2, dim=dim, turned=True, noise=0.3)
    splits = {
        "train": rows.ids[:videos],
        "val": rows.ids[videos : videos + videos // 2],
        "test": rows.ids[videos + videos // 2 :],
    }
    changes = {
        "splits": {n: SplitRecord(len(i), len(i), "generated", ids_digest(i)) for n, i in splits.items()},
        "encoder": {**manifest().encoder, "dim": dim},
        "num_videos": len(rows.ids),
        "num_texts": len(texts.ids),
        "videos_per_shard": len(rows.ids),
        "texts_per_shard": len(texts.ids),
    }
    folder.mkdir(parents=True)
    manifest(**changes).save(folder, splits)
    write_video_shard(
        folder / shard_name("video", 0, 1), [_video_row(rows, i) for i in range(len(rows.ids))], dim, {}
    )
    write_text_shard(
        folder / shard_name("text", 0, 1), [_text_row(texts, i) for i in range(len(texts.ids))], dim, {}
    )
    return folder


def _video_row(rows: VideoRows, i: int) -> VideoRow:
    frames = rows.frames[rows.offsets[i] : rows.offsets[i + 1]].astype(np.float32)
    indices = np.arange(len(frames), dtype=np.int32)
    return VideoRow(rows.ids[i], frames, indices.astype(np.float32), indices, "ok", "", "pyav")


def _text_row(rows: TextRows, i: int) -> TextRow:
    words = rows.words[rows.offsets[i] : rows.offsets[i + 1]].astype(np.float32)
    tokens = np.arange(len(words), dtype=np.int32)
    return TextRow(rows.ids[i], rows.video_ids[i], rows.texts[i], words, tokens, len(words) - 1, False)
