from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvr.data.contracts.errors import StoreError
from tvr.pipeline.store.merge import merge_with_stored
from tvr.pipeline.store.receipts import load_receipt
from tvr.pipeline.store.shard_reader import ShardReader
from tvr.pipeline.store.shards import NO_VIDEO, VideoRow, write_video_shard

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


def test_frames_of_a_file_that_holds_no_video_do_not_outlive_it(tmp_path: Path) -> None:
    write_video_shard(tmp_path / NAME, [video_row(1)], DIM, {})
    cover = replace(failed(video_row(1)), reason=f"{NO_VIDEO} (only audio and a cover picture)")
    assert merge_with_stored(tmp_path / NAME, [cover]) == [cover]


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


def test_rows_are_taken_over_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write_video_shard(path, [video_row(i) for i in (0, 1, 2, 3)], DIM, {})
    new = replace(video_row(1), frames=np.full((2, DIM), 9, np.float32), reading_rules=2)
    rows = merge_with_stored(path, [failed(video_row(0)), new, failed(video_row(3))], taken_over=["v0"])
    assert [(row.id, row.reading_rules, float(row.frames.mean())) for row in rows] == [
        ("v0", 1, 0),  # not attempted
        ("v1", 2, 9),
        ("v3", 1, 3),  # attempted in vain
    ]
    nothing = merge_with_stored(path, [failed(video_row(1)), failed(video_row(2))], taken_over=["v1", "v2"])
    assert [(row.status, row.reason) for row in nothing] == [("ok", ""), ("failed", "no video stream")]


def test_the_receipt_names_rows_of_older_rules(tmp_path: Path) -> None:
    path = tmp_path / NAME
    rows = [replace(video_row(i), reading_rules=2) for i in (0, 1, 3)]
    write_video_shard(path, rows, DIM, {})
    assert (load_receipt(path).reading_rules, load_receipt(path).older_rows) == (2, {})
    new = replace(video_row(3), reading_rules=3)
    write_video_shard(path, merge_with_stored(path, [*rows[:2], new], taken_over=["v0", "v1"]), DIM, {})
    receipt = load_receipt(path)
    assert (receipt.reading_rules, receipt.older_rows) == (3, {"v0": 2, "v1": 2})
    assert [receipt.rules_of(video) for video in ("v0", "v1", "v3")] == [2, 2, 3]
    # They stay what they were through any number of retries.
    newest = replace(video_row(1), reading_rules=4)
    rows = merge_with_stored(path, [rows[0], newest, new], taken_over=["v0", "v3"])
    write_video_shard(path, rows, DIM, {})
    assert load_receipt(path).older_rows == {"v0": 2, "v3": 3}


def test_rows_that_are_taken_over_stay_as_wide_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / NAME
    large = replace(video_row(0), frames=np.full((1, DIM), 1e5, np.float32))
    kept = replace(video_row(1), frames=np.full((2, DIM), 1 / 3, np.float32))
    write_video_shard(path, [large, kept], DIM, {})
    write_video_shard(path, merge_with_stored(path, [video_row(0), kept], taken_over=["v1"]), DIM, {})
    assert (ShardReader(path).array("frames")[1:] == np.float32(1 / 3)).all()


def test_taking_over_fails_where_there_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with pytest.raises(StoreError, match=r"is missing, so the rows .* --repair"):
        merge_with_stored(path, [failed(video_row(1))], taken_over=["v1"])
    write_video_shard(path, [video_row(1)], DIM, {})
    with pytest.raises(StoreError, match="has no video 'v3'"):
        merge_with_stored(path, [failed(video_row(3))], taken_over=["v3"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="differs from the sha256"):
        merge_with_stored(path, [failed(video_row(1))], taken_over=["v1"])
