"""Who may write what, where several processes use one folder at the same time.

The kernel takes a lock back when its owner dies, however it dies. Where a file system has no locks, every one is
granted: then two processes may do the same work.

Not the filelock package: it leaves its files in the folder, and where a file system has no locks it takes a file for
one, which outlives a killed owner.
"""

import errno
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

if sys.platform != "win32":
    import fcntl

SUFFIX = ".lock"

LOOK_SECONDS = 0.1
"""How long who wants a lock alone waits for somebody who only looks (``is_held``)."""
_AGAIN_SECONDS = 0.01
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a file system without locks answers, such as Lustre mounted without ``-o flock``."""


class FileLock:
    """A lock that one process holds, or with ``shared`` several that all asked for a shared one.

    A context manager that gives it back. The file is there only while somebody holds the lock, or was killed with it.

    Args:
        path: of the file that stands for the lock.
        shared: whether others that ask for a shared lock may have it at the same time.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._shared = shared
        self._descriptor: int | None = None

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self, wait_seconds: float = 0.0) -> bool:
        """Whether this process has the lock now.

        False: another living process holds it, or it is a file of another user that this one may not open.

        Args:
            wait_seconds: how long it is asked for again, where whoever holds it does so for a moment only.

        Raises:
            OSError: the folder cannot be written.
        """
        if sys.platform == "win32" or self._descriptor is not None:
            return True
        end = time.monotonic() + wait_seconds
        while True:
            try:
                self._descriptor = self._locked()
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(_AGAIN_SECONDS)
            else:
                return True

    def sign(self, text: str) -> None:
        """Say in the file who holds the lock: what it says means something only while somebody does."""
        if self._descriptor is not None:  # there is none where there are no locks
            with suppress(OSError):  # the file may be of another user
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Give the lock back; the last holder removes the file."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with suppress(
            OSError
        ):  # others share it, or may alone remove it: the file stays, the lock ends all the same
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path.unlink(missing_ok=True)
        os.close(descriptor)

    def _locked(self) -> int | None:
        """An open descriptor that holds the lock; None where there are no locks.

        Raises:
            BlockingIOError: somebody else holds it.
        """
        kind = (fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        while True:
            descriptor = _opened(self.path)
            try:
                fcntl.flock(descriptor, kind)
                # Its last owner may have removed the file between the two calls: then this locks nothing.
                if self.path.exists() and os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    return descriptor
            except OSError as error:
                os.close(descriptor)
                if error.errno not in _WITHOUT_LOCKS:
                    raise
                self.path.unlink(missing_ok=True)
                return None
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock, as somebody sees who only looks: nothing is made or taken away, and the
    folder need not be writable. A lock that nobody holds is in the way of others while this asks, for microseconds.

    A file of another user who alone may open it counts as held; where a file system has no locks, none is.
    """
    if sys.platform == "win32":
        return False
    descriptor, unreadable = None, False
    for access in (
        os.O_RDWR,
        os.O_RDONLY,
    ):  # a network's file system wants the first, a read-only one the second
        try:
            descriptor = os.open(path, access | _NO_LINK)
            break
        except PermissionError:
            unreadable = True
        except OSError:
            unreadable = False
    if descriptor is None:
        return unreadable
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def is_out_of_reach(path: Path) -> bool:
    """Whether a lock's file is there, and its owner alone may open it: nobody else can say whether that one lives."""
    return path.exists() and not os.access(path, os.R_OK)


def _opened(path: Path) -> int:
    """A descriptor of the lock's file, made if it is not there.

    Raises:
        BlockingIOError: it is another user's, who alone may open it: nobody can say whether that one lives.
        OSError: it is a link, which who made the folder may have let lead to any file of this user.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
    except PermissionError as error:
        if not path.exists():
            raise
        # Of another user, in a folder that both may write: where reading is allowed, so is locking.
        with suppress(PermissionError):
            return os.open(path, os.O_RDONLY | _NO_LINK)
        raise BlockingIOError(errno.EWOULDBLOCK, "held by another user", str(path)) from error
