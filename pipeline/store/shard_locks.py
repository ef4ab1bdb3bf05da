"""Who makes which shard, where several processes extract into one store at the same time."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from .atomic_files import os_errors_as_store_error
from .file_locks import SUFFIX, FileLock, is_out_of_reach
from .receipts import receipt_time_of


def locks_out_of_reach(folder: Path, shards: Sequence[str]) -> list[Path]:
    """Files by which another user holds some of these shards, or held them once, and that only that user may open."""
    return [path for shard in shards if is_out_of_reach(path := folder / (shard + SUFFIX))]


class ShardLocks:
    """The shards that this process may make. A context manager: on leaving it, every lock is given back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._granted: dict[str, bool] = {}
        self._locks: dict[str, FileLock] = {}

    def __enter__(self) -> "ShardLocks":
        # Those of killed processes; what a living one holds cannot be locked.
        for path in self._folder.glob(f"*.h5{SUFFIX}"):
            with FileLock(path) as lock:
                lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shard in list(self._locks):
            self.release(shard)

    def acquire(self, shard: str, receipt_time: int | None = None) -> bool:
        """Whether this process is to make the shard. The first answer stands.

        Args:
            shard: its name.
            receipt_time: of its receipt when the shard was chosen: one that others have made since is not made again.
        """
        if shard not in self._granted:
            self._granted[shard] = self._lock(shard) and not self._was_made(shard, receipt_time)
        return self._granted[shard]

    def release(self, shard: str) -> None:
        """Give a lock back, once its shard is in place."""
        if shard in self._locks:
            self._locks.pop(shard).release()

    def _lock(self, shard: str) -> bool:
        lock = FileLock(self._folder / (shard + SUFFIX))
        with os_errors_as_store_error(self._folder):
            if not lock.acquire():
                return False
        self._locks[shard] = lock
        return True

    def _was_made(self, shard: str, receipt_time: int | None) -> bool:
        """Whether another process has made the shard since it was chosen."""
        now = receipt_time_of(self._folder / shard)
        made = now is not None and now != receipt_time
        if made:
            self.release(shard)
        return made
