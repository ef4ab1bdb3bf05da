"""Random video reads through the store against numpy.memmap on the same bytes: ``python -m benchmarks.store``."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from tvr.pipeline.store.generations.record import shard_name
from tvr.pipeline.store.manifest import Manifest, SplitRecord, ids_digest
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import VideoRow, write_video_shard

from .record import keep

VIDEOS, PER_SHARD, DIM = 8_192, 128, 512
READS, ROUNDS = 20_000, 9


def main() -> None:
    """Write a store and a flat file with the same rows, then read the same random videos from both, in turns."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(8, 33, VIDEOS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "store"
        flat = _write(folder, Path(scratch) / "flat.bin", lengths, rng)
        store = FeatureStore.open(folder)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = [f"v{i:06d}" for i in range(VIDEOS)]
        order = rng.integers(0, VIDEOS, READS).tolist()

        def through_store() -> float:
            return sum(float(np.array(store.frames(ids[i]))[0, 0]) for i in order)

        def through_memmap() -> float:
            return sum(float(np.array(flat[offsets[i] : offsets[i + 1]])[0, 0]) for i in order)

        assert through_store() == through_memmap()  # also warms the page cache for both
        seconds: dict[str, list[float]] = {"store": [], "memmap": []}
        for _ in range(ROUNDS):
            seconds["store"].append(_timed(through_store))
            seconds["memmap"].append(_timed(through_memmap))
    rates = {name: READS / median(values) for name, values in seconds.items()}
    ratios = [m / s for s, m in zip(seconds["store"], seconds["memmap"], strict=True)]
    keep(
        "store",
        {
            "videos": VIDEOS,
            "dim": DIM,
            "bytes": int(lengths.sum()) * DIM * 2,
            "store_reads_per_second": round(rates["store"]),
            "memmap_reads_per_second": round(rates["memmap"]),
            "ratio": round(median(ratios), 3),
            "wanted_ratio": 0.9,
        },
    )


def _write(folder: Path, flat_path: Path, lengths: np.ndarray, rng: np.random.Generator) -> np.memmap:
    folder.mkdir()
    ids = tuple(f"v{i:06d}" for i in range(VIDEOS))
    split = SplitRecord(VIDEOS, VIDEOS, "generated", ids_digest(ids))
    encoder = {
        "model": "none",
        "pretrained": "none",
        "weights_digest": "none",
        "precision": "none",
        "random_weights": True,
        "dim": DIM,
        "logit_scale": 100.0,
    }
    Manifest(
        dataset="generated",
        protocol="single",
        annotation_digests={},
        normalisation=[],
        preset={},
        splits={"all": split},
        encoder=encoder,
        sampling={},
        max_seconds=None,
        num_videos=VIDEOS,
        videos_per_shard=PER_SHARD,
        num_texts=0,
        texts_per_shard=1,
        frames_per_batch=1,
        limit=None,
        decoder="none",
    ).save(folder, {"all": ids})
    flat = np.memmap(flat_path, np.float16, "w+", shape=(int(lengths.sum()), DIM))
    start, count = 0, -(-VIDEOS // PER_SHARD)
    for shard in range(count):
        rows: list[VideoRow] = []
        for i in range(shard * PER_SHARD, min((shard + 1) * PER_SHARD, VIDEOS)):
            frames = rng.standard_normal((lengths[i], DIM), np.float32)
            flat[start : start + lengths[i]] = frames
            start += lengths[i]
            times = np.arange(lengths[i], dtype=np.float32)
            rows.append(VideoRow(ids[i], frames, times, times.astype(np.int32), "ok", "", "none"))
        write_video_shard(folder / shard_name("video", shard, count), rows, DIM, {})
    flat.flush()
    return np.memmap(flat_path, np.float16, "r", shape=flat.shape)


def _timed(work: Callable[[], float]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
