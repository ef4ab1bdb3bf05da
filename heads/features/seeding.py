"""Random numbers that depend on the seed and their purpose only."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager

import torch


def seeded(seed: int, *purpose: object) -> torch.Generator:
    """A generator of its own for each purpose, so that no draw depends on how many came before it
    elsewhere."""
    return torch.Generator().manual_seed(_mixed(seed, *purpose))


@contextmanager
def seeded_everything(seed: int, device: torch.device) -> Generator[None]:
    """Torch's own generators seeded inside, and as they were outside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(_mixed(seed, "weights"))
        yield


def seed_dropout(seed: int, epoch: int) -> None:
    """Seed by epoch, so that a resumed run drops the same neurons as an uninterrupted one."""
    torch.manual_seed(_mixed(seed, "dropout", epoch))


def _mixed(seed: int, *purpose: object) -> int:
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
