"""Who makes which shard, where several processes extract into one store at the same time.

The kernel takes a lock back when its owner dies, however it dies. Where a file system has no locks, every one is
granted: then two processes may make the same shard, which costs time and no byte.

Not the filelock package: it leaves its files in the store, and where a file system has no locks it takes a file for
one, which outlives a killed owner.
"""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from .atomic_files import os_errors_as_store_error
from .shards import receipt_path

if sys.platform != "win32":
    import fcntl

_SUFFIX = ".lock"
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a file system without locks answers, such as Lustre mounted without ``-o flock``."""


class ShardLocks:
    """The shards that this process may make. A context manager: on leaving it, every lock is given back.

    Make it before you look which shards are there: what others finish from then on is not made again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._receipts = {path.stem: path.stat().st_mtime_ns for path in folder.glob("*-of-*.json")}
        self._granted: dict[str, bool] = {}
        self._locks: dict[str, int] = {}

    def __enter__(self) -> "ShardLocks":
        # Those of killed processes; what a living one holds cannot be locked.
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(BlockingIOError):
                _unlock(path, _locked(path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shard in list(self._locks):
            self.release(shard)

    def acquire(self, shard: str) -> bool:
        """Whether this process is to make the shard. The first answer stands."""
        if shard not in self._granted:
            self._granted[shard] = self._lock(shard) and not self._was_made(shard)
        return self._granted[shard]

    def release(self, shard: str) -> None:
        """Give a lock back, once its shard is in place."""
        _unlock(self._lock_path(shard), self._locks.pop(shard, None))

    def _lock(self, shard: str) -> bool:
        with os_errors_as_store_error(self._folder):
            try:
                descriptor = _locked(self._lock_path(shard))
            except BlockingIOError:
                return False
        if descriptor is not None:
            self._locks[shard] = descriptor
        return True

    def _was_made(self, shard: str) -> bool:
        """Whether another process has made the shard since this one looked."""
        receipt = receipt_path(self._folder / shard)
        then = self._receipts.get(receipt.stem)
        try:
            made = receipt.stat().st_mtime_ns != then
        except FileNotFoundError:
            made = False
        if made:
            self.release(shard)
        return made

    def _lock_path(self, shard: str) -> Path:
        return self._folder / (shard + _SUFFIX)


def _locked(path: Path) -> int | None:
    """An open descriptor that holds the lock of a file made for it; None where there are no locks.

    Raises:
        BlockingIOError: a living process holds it.
    """
    if sys.platform == "win32":
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last owner may have removed the file between the two calls: then this locks nothing.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _WITHOUT_LOCKS:
                raise
            path.unlink(missing_ok=True)
            return None
        os.close(descriptor)


def _unlock(path: Path, descriptor: int | None) -> None:
    if descriptor is not None:
        path.unlink(missing_ok=True)
        os.close(descriptor)
