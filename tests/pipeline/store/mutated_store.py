"""Reads mutated stores, one after another, and says how each was answered: run as a script, because HDF5 may crash.

``python mutated_store.py STORE SCRATCH FIRST LAST [forged]``: with ``forged``, the receipts are made to fit what was
mutated, as somebody would who means harm, and only then do mutated bytes reach the HDF5 library.
"""

import dataclasses
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
from tvr.data.contracts.errors import StoreError
from tvr.data.contracts.identity import sha256_of
from tvr.pipeline.store import receipts, shards
from tvr.pipeline.store.checksummed_json import write_checksummed
from tvr.pipeline.store.reader import FeatureStore

_SECONDS = 20


def mutate(path: Path, rng: np.random.Generator) -> None:
    """Set up to a dozen bytes to anything, half of them in the first few thousand, or cut the file off."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 12)):
        last = len(data) if rng.random() < 0.5 else min(len(data), 2500)
        data[int(rng.integers(last))] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
    if rng.random() < 0.05:
        del data[int(rng.integers(len(data))) :]
    path.write_bytes(data)


def forge(path: Path) -> None:
    """Make the receipt of a shard fit its bytes."""
    receipt = receipts.load_receipt(path)
    rows_at = [place for place in receipt.rows_at if sum(place) <= path.stat().st_size]
    changes = {
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "rows_at": rows_at,
        "structure_sha256": shards.structure_sha256(path, rows_at),
    }
    write_checksummed(receipts.receipt_path(path), dataclasses.asdict(receipt) | changes)


def read_all(folder: Path) -> None:
    """Whatever a reader of a store can ask for."""
    store = FeatureStore.open(folder, complete=False)
    store.statuses()
    store.videos()
    store.texts()
    _ = store.splits


def answer(store: Path, copy: Path, seed: int, *, forged: bool) -> str:
    """How the mutated store was answered."""
    shutil.copytree(store, copy)
    rng = np.random.default_rng([6, seed])
    names = ["*.h5"] if forged else ["*.h5", "video-*.json", "store.json", "splits.json"]
    target = sorted(copy.glob(names[seed % len(names)]))[0 if seed % 2 else -1]
    mutate(target, rng)
    if forged:
        forge(target)
    signal.alarm(_SECONDS)  # whoever hangs is ended by the kernel
    try:
        read_all(copy)
        return "read"
    except StoreError:
        return "refused"
    finally:
        signal.alarm(0)
        shutil.rmtree(copy)


def main(store: str, scratch: str, first: str, last: str, forged: str = "") -> None:
    for seed in range(int(first), int(last)):
        sys.stdout.write(f"{seed} ")
        sys.stdout.flush()
        sys.stdout.write(f"{answer(Path(store), Path(scratch) / str(seed), seed, forged=bool(forged))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
