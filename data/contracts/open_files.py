"""How many files a process may have open: as many as the system allows it, not the few that it is started with.

Every shard of a store that is mapped takes one, every decoding child four; the usual 1,024 are those of a store of
130,000 videos, or of a machine of 256 cores.
"""

from contextlib import suppress

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None


def allow_open_files() -> bool:
    """Raise the limit of this process to what the system allows; children that it starts have the same.

    Returns:
        Whether more can be open now than before.
    """
    if resource is None:
        return False
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] != soft


def most_open_files() -> int:
    """How many files this process may have open now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else 0
