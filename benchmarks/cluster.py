"""What Dask costs: two local workers against the plain loop, ``python -m benchmarks.cluster``.

The cluster and its encoders are started once and are not counted; decoding processes are, on both sides. The two take
turns, and the figure is the median of the ratios of neighbours.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from tvr.data.base import load_dataset
from tvr.pipeline.cluster.config import ClusterConfig
from tvr.pipeline.cluster.runner import cluster_runner
from tvr.pipeline.extract import run_extraction
from tvr.pipeline.machine import usable_cores
from tvr.pipeline.options import EncoderSpec, ExtractionOptions, sampling_of
from tvr.pipeline.shard_worker import ShardRunner, ShardWorker

from .record import keep

WORKERS = 2


def main() -> None:
    """Extract generated clips in turns, a few times, and keep seconds and ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--pretrained", default="random")
    parser.add_argument("--num-frames", type=int, default=12)
    parser.add_argument("--videos-per-shard", type=int, default=10)
    chosen = parser.parse_args()
    spec = EncoderSpec(chosen.model, chosen.pretrained)
    with tempfile.TemporaryDirectory() as scratch:
        settings = {"train_videos": str(chosen.clips), "val_videos": "0", "test_videos": "0"}
        dataset = load_dataset("storyboard", Path(scratch) / "storyboard", settings)
        options = ExtractionOptions(
            sampling=sampling_of(dataset.preset, None, chosen.num_frames, None),
            videos_per_shard=chosen.videos_per_shard,
        )
        seconds: dict[str, list[float]] = {"plain": [], "dask": []}

        def measured(name: str, runner: ShardRunner) -> None:
            folder = Path(scratch) / f"{name}-{len(seconds[name])}"
            started = time.perf_counter()
            summary = run_extraction(runner, dataset, options, folder)
            seconds[name].append(time.perf_counter() - started)
            assert summary.status == {"ok": chosen.clips}, summary.status

        encoder = spec.load()
        with cluster_runner(ClusterConfig(workers=WORKERS), spec, dataset, options) as dask:
            for _ in range(chosen.rounds + 1):
                with ShardWorker(encoder, options) as plain:
                    measured("plain", plain)
                measured("dask", dask)
    plain_seconds, dask_seconds = seconds["plain"][1:], seconds["dask"][1:]  # the first round warms up
    keep(
        "cluster",
        {
            "clips": chosen.clips,
            "shards": -(-chosen.clips // chosen.videos_per_shard),
            "model": f"{chosen.model} {chosen.pretrained}, {encoder.identity.precision}",
            "cores": len(usable_cores()),
            "plain_seconds": [round(s, 2) for s in plain_seconds],
            "dask_seconds": [round(s, 2) for s in dask_seconds],
            "dask_over_plain": round(
                median(d / p for d, p in zip(dask_seconds, plain_seconds, strict=True)), 3
            ),
        },
    )


if __name__ == "__main__":
    main()
