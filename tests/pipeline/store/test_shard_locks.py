import os
import subprocess
from pathlib import Path

from tvr.pipeline.store.receipts import receipt_time_of
from tvr.pipeline.store.shard_locks import ShardLocks
from tvr.pipeline.store.shards import write_video_shard

from ...fixtures.lock_owners import lock_owner
from ...fixtures.stores import DIM, video_row

NAME = "video-00000-of-00001.h5"
_ACQUIRES_AND_WAITS = """
import sys
from pathlib import Path
from tvr.pipeline.store.shard_locks import ShardLocks
with ShardLocks(Path(sys.argv[1])) as locks:
    print(locks.acquire(sys.argv[2]), flush=True)
    sys.stdin.read()
"""


def owner(folder: Path) -> "subprocess.Popen[str]":
    """Another process that has locked the shard."""
    return lock_owner(_ACQUIRES_AND_WAITS, folder, NAME)


def test_a_lock_excludes_other_processes_until_its_owner_dies(tmp_path: Path) -> None:
    with owner(tmp_path) as process:
        with ShardLocks(tmp_path) as locks:
            assert not locks.acquire(NAME)
            assert locks.acquire("video-00001-of-00002.h5")
            assert (tmp_path / f"{NAME}.lock").exists()
        with ShardLocks(tmp_path):
            assert (tmp_path / f"{NAME}.lock").exists(), "the lock of a living process was removed"
        process.kill()
        process.wait()
    assert (tmp_path / f"{NAME}.lock").exists()
    with ShardLocks(tmp_path) as locks:
        assert locks.acquire(NAME)
        locks.release(NAME)
        assert locks.acquire(NAME), "the first answer stands"
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_what_another_has_finished_since_it_was_chosen_is_not_done_again(tmp_path: Path) -> None:
    chosen = receipt_time_of(tmp_path / NAME)
    assert chosen is None
    write_video_shard(tmp_path / NAME, [video_row(0)], DIM, {})
    with ShardLocks(tmp_path) as locks:
        assert not locks.acquire(NAME, chosen)
    chosen = receipt_time_of(tmp_path / NAME)
    with ShardLocks(tmp_path) as locks:
        assert locks.acquire(NAME, chosen), "whoever chooses it knows that it is there"
