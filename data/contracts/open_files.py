"""How many files a process may have open: as many as the system allows it, not the few that it is started with.

Every shard of a store that is mapped takes one, every decoding child four; the usual 1,024 are those of a store of
130,000 videos, or of a machine of 256 cores.
"""

from contextlib import suppress

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None


_MACOS = 10_240
"""What macOS takes, which says that there is no limit and refuses that."""


def allow_open_files() -> bool:
    """Raise the limit of this process to what the system allows; children that it starts have the same.

    Returns:
        Whether more can be open now than before.
    """
    if resource is None:
        return False
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before == hard:
        return False
    for wanted in (hard, _MACOS):
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    return most_open_files() != before


def most_open_files() -> int:
    """How many files this process may have open now; 0 where the system has no such limit.

    It is for messages: who is refused one more file says so by ``EMFILE``.
    """
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else 0
