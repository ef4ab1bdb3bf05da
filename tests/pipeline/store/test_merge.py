from dataclasses import replace
from pathlib import Path

import numpy as np
from tvr.pipeline.store.merge import merge_with_stored
from tvr.pipeline.store.shards import VideoRow, write_video_shard

from ...fixtures.stores import DIM, video_row

NAME = "video-00000-of-00001.h5"


def failed(row: VideoRow) -> VideoRow:
    return replace(
        row,
        frames=row.frames[:0],
        frame_seconds=row.frame_seconds[:0],
        frame_index=row.frame_index[:0],
        status="failed",
        reason="decoder died (signal 9)",
        decoder="",
    )


def test_frames_outlive_a_failed_attempt(tmp_path: Path) -> None:
    rows = [video_row(i) for i in (0, 1, 2, 3)]
    write_video_shard(tmp_path / NAME, rows, DIM, {})
    before = (tmp_path / NAME).read_bytes()
    again = merge_with_stored(tmp_path / NAME, [failed(row) for row in rows])
    assert [(row.status, row.reason) for row in again] == [
        ("ok", ""),
        ("ok", ""),
        ("failed", "decoder died (signal 9)"),  # it had no frames before either
        ("ok", ""),
    ]
    write_video_shard(tmp_path / NAME, [*again[:2], rows[2], again[3]], DIM, {})
    assert (tmp_path / NAME).read_bytes() == before


def test_a_success_replaces_what_was_stored(tmp_path: Path) -> None:
    write_video_shard(tmp_path / NAME, [video_row(1)], DIM, {})
    better = replace(video_row(1), frames=np.full((2, DIM), 9, np.float32))
    assert merge_with_stored(tmp_path / NAME, [better]) == [better]


def test_a_damaged_shard_gives_nothing(tmp_path: Path) -> None:
    write_video_shard(tmp_path / NAME, [video_row(1)], DIM, {})
    data = bytearray((tmp_path / NAME).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / NAME).write_bytes(data)
    lost = failed(video_row(1))
    assert merge_with_stored(tmp_path / NAME, [lost]) == [lost]
    assert merge_with_stored(tmp_path / "absent.h5", [lost]) == [lost]
