"""How many CPU cores this process may use, which on a cluster is fewer than the machine has."""

import os


def usable_cores() -> tuple[int, ...]:
    """Numbers of the cores that the system lets this process run on: those of its job, not of the node."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
