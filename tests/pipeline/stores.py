"""A small real store on disk, made through the shard writer, with known numbers in it."""

from pathlib import Path

import numpy as np
from tvr.pipeline.store.manifest import Manifest, SplitRecord, ids_digest
from tvr.pipeline.store.shards import MISSING, TextRow, VideoRow, write_text_shard, write_video_shard

DIM = 6
SPLITS = {"train": ("v0", "v1", "v2"), "test": ("v3", "v4")}


def manifest(**changes: object) -> Manifest:
    """The manifest of five videos in shards of two, and six texts in shards of four."""
    splits = {
        name: SplitRecord(len(ids), len(ids), "made up", ids_digest(ids)) for name, ids in SPLITS.items()
    }
    preprocessing = {"height": 8, "width": 8, "mean": [0.5, 0.5, 0.5]}
    values: dict[str, object] = {
        "dataset": "toy",
        "protocol": "multi",
        "annotation_digests": {"captions.csv": "ab"},
        "normalisation": [],
        "preset": {"num_frames": 4, "max_words": 8},
        "splits": splits,
        "encoder": {
            "model": "toy-model",
            "pretrained": "random",
            "weights_digest": "00" * 32,
            "random_weights": True,
            "dim": DIM,
            "logit_scale": 100.0,
            "precision": "fp32",
            "open_clip_version": "3.3.0",
            "preprocessing": preprocessing,
        },
        "sampling": {"policy": "uniform", "num_frames": 4},
        "max_seconds": None,
        "num_videos": 5,
        "videos_per_shard": 2,
        "num_texts": 6,
        "texts_per_shard": 4,
        "frames_per_batch": 8,
        "limit": None,
        "decoder": "pyav",
    }
    return Manifest(**{**values, **changes})  # type: ignore[arg-type]


def video_row(index: int) -> VideoRow:
    """Video ``v<index>``: index + 1 frames whose numbers are all index; v2 failed, v4 is missing."""
    bad = {2: ("failed", "no video stream"), 4: ("failed", MISSING)}
    status, reason = bad.get(index, ("ok", ""))
    frames = 0 if reason else index + 1
    return VideoRow(
        id=f"v{index}",
        frames=np.full((frames, DIM), index, np.float32),
        frame_seconds=np.arange(frames, dtype=np.float32) / 2,
        frame_index=np.arange(frames, dtype=np.int32) * 4,
        status=status,
        reason=reason,
        decoder="" if reason else "pyav",
    )


def text_row(index: int) -> TextRow:
    """Text ``t<index>`` of video ``v<index % 5>``: index + 2 words whose numbers are all index."""
    words = index + 2
    return TextRow(
        id=f"t{index}",
        video_id=f"v{index % 5}",
        text=f"caption {index}, città",
        words=np.full((words, DIM), index, np.float32),
        token_ids=np.arange(words, dtype=np.int32),
        sentence_row=words - 1,
        truncated=index == 5,
    )


def write_store(folder: Path, made: Manifest | None = None) -> Path:
    """Write the store and give back its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (made or manifest()).save(folder, SPLITS)
    for shard, videos in enumerate([(0, 1), (2, 3), (4,)]):
        name = f"video-{shard:05d}-of-00003.h5"
        write_video_shard(folder / name, [video_row(i) for i in videos], DIM, {"wall": 1.0})
    for shard, texts in enumerate([(0, 1, 2, 3), (4, 5)]):
        name = f"text-{shard:05d}-of-00002.h5"
        write_text_shard(folder / name, [text_row(i) for i in texts], DIM, {})
    return folder
