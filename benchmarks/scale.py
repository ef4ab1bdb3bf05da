"""What every job of a large archive does before its first video: ``python -m benchmarks.scale``.

``plan``: a data set of so many videos with a caption each is cut into shards, ``store.json`` and ``splits.json`` are
written and read again. ``resume``: a store of so many shards, all done, is extracted into once more, which finds that
nothing is to be done; then one video more is planned. ``open``: it is opened, its videos are listed, a split is read.
Each step runs in a process of its own, whose peak of memory is kept; the rows of the store are tiny, its receipts as
large as ever.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tvr.data.base import Caption, Dataset, Preset, Split, Video
from tvr.data.contracts.identity import FileIdentity
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.encoders.clip import load
from tvr.pipeline.extract import planned_growth, run_extraction
from tvr.pipeline.options import EncoderSpec, ExtractionOptions, Request
from tvr.pipeline.plan import Plan, manifest_of, plan_extraction
from tvr.pipeline.request import save_request
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.shard_worker import ShardWorker
from tvr.pipeline.store.generations.record import load_split_ids
from tvr.pipeline.store.reader import FeatureStore
from tvr.pipeline.store.shards import VideoRow, write_video_shard

from .record import keep

SIZES = (1_000_000, 10_000_000)
SHARDS, PER_SHARD = 10_000, 100
LIMITS = {"plan of 1,000,000, seconds": 60.0, "plan of 1,000,000, GiB": 2.0, "resume, seconds": 10.0}
MOST_GIB = 16
"""Of a child's address space; more ends it."""


def main() -> None:
    """Measure each step in a child process, and keep what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, nargs="+", default=list(SIZES), help="Of the plans.")
    parser.add_argument("--shards", type=int, default=SHARDS, help="Of the store that is resumed.")
    parser.add_argument("--folder", type=Path, help="Where the store is written; default: a temporary one.")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step:
        STEPS[chosen.step](chosen.folder, chosen.videos[0], chosen.shards)
        return
    figures: dict[str, Any] = {"limits": LIMITS}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        for videos in chosen.videos:
            folder = Path(scratch) / f"plan{videos}"
            figures[f"plan of {videos:,}"] = _child("plan", folder, videos, chosen.shards)
        folder, videos = Path(scratch) / "store", chosen.shards * PER_SHARD
        write_store(folder, chosen.shards)
        for step in ("resume", "open"):
            figures[f"{step} of {chosen.shards:,} shards"] = _child(step, folder, videos, chosen.shards)
    keep("scale", figures)


def _child(step: str, folder: Path, videos: int, shards: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--videos", str(videos), "--shards", str(shards)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"ended": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def dataset_of(videos: int, path: Callable[[int], Path]) -> Dataset:
    """So many videos, a caption each, a thousandth for validation and for test."""
    ids = [f"archive/{number // 1000:06d}/clip-{number:08d}" for number in range(videos)]
    held = max(1, videos // 1000)
    splits = {"val": ids[:held], "test": ids[held : 2 * held], "train": ids[2 * held :]}
    return Dataset(
        name="folder-archive",
        protocol="single",
        preset=Preset(),
        videos={i: Video(i, path(number)) for number, i in enumerate(ids)},
        captions=[Caption(f"{i}#0", i, (f"what is to be seen in clip {i}",)) for i in ids],
        splits={name: Split(tuple(each), len(each), "generated") for name, each in splits.items()},
        annotation_digests={"captions.csv": "0" * 64},
        is_archive=True,
    )


def _encoder() -> Encoder:
    return load("tvr-storyboard", None, device="cpu", precision="fp32")


def _options(root: Path, per_shard: int) -> ExtractionOptions:
    request = Request("folder", root, {}, EncoderSpec("tvr-storyboard", device="cpu", precision="fp32"))
    return ExtractionOptions(Sampling(num_frames=1), videos_per_shard=per_shard, request=request)


def plan(folder: Path, videos: int, shards: int) -> None:
    """The step ``plan``: of the data set's own objects and of planning it."""
    folder.mkdir(parents=True)
    encoder, began = _encoder(), _Taken()
    dataset = dataset_of(videos, lambda number: Path(f"/archive/{number // 1000:06d}/clip-{number:08d}.mp4"))
    figures = began.since("data set")
    per_shard = max(128, videos // 10_000)
    began = _Taken()
    planned = plan_extraction(dataset, _options(folder, per_shard))
    manifest = manifest_of(dataset, encoder.identity, planned, _options(folder, per_shard))
    figures |= began.since("plan")
    began = _Taken()
    manifest.save(folder, planned.split_ids)
    figures |= began.since("writing store.json and splits.json")
    began = _Taken()
    load_split_ids(folder, manifest)
    figures |= began.since("reading splits.json")
    size = (folder / "splits.json").stat().st_size
    _print(figures | {"shards": len(planned.shards), "splits.json, bytes": size})


def write_store(folder: Path, shards: int) -> None:
    """A store of so many shards of a hundred videos of one frame each, all of one file."""
    folder.mkdir(parents=True)
    film = folder.parent / "film.mp4"
    film.write_bytes(b"a film")
    dataset = replace(dataset_of(shards * PER_SHARD, lambda number: film), captions=[])
    encoder, options = _encoder(), _options(folder.parent, PER_SHARD)
    planned = plan_extraction(dataset, options)
    manifest = manifest_of(dataset, encoder.identity, planned, options)
    replace(manifest, probe={"told_apart": 1}).save(folder, planned.split_ids)
    save_request(folder, replace(options, frames_per_batch=encoder.frames_per_batch))
    _write_shards(folder, planned, encoder.identity.dim, FileIdentity.of(film))


def _write_shards(folder: Path, planned: Plan, dim: int, file: FileIdentity) -> None:
    frame, nought = np.ones((1, dim), np.float32), np.zeros(1, np.float32)
    for shard in planned.video_shards:
        rows = [
            VideoRow(
                video.id,
                frame,
                nought,
                nought.astype(np.int32),
                "ok",
                "",
                "pyav",
                file=file,
                span=(0.0, None),
            )
            for video in shard.videos
        ]
        write_video_shard(folder / shard.name, rows, dim, {"wall": 1.0})


def resume(folder: Path, videos: int, shards: int) -> None:
    """The step ``resume``: a run with nothing to do, and a plan of one video more."""
    film, encoder = folder.parent / "film.mp4", _encoder()
    options = replace(_options(folder.parent, PER_SHARD), frames_per_batch=encoder.frames_per_batch)
    dataset = replace(dataset_of(videos, lambda number: film), captions=[])
    with ShardWorker(encoder, options) as worker:
        began = _Taken()
        summary = run_extraction(worker, dataset, options, folder)
        figures = began.since("a run with nothing to do")
    assert (summary.shards_done, summary.shards_skipped) == (0, shards), summary
    more = {"one more": Video("one more", film)}
    train = dataset.splits["train"]
    grown = replace(
        dataset,
        videos=dict(dataset.videos) | more,
        splits=dict(dataset.splits) | {"train": replace(train, video_ids=(*train.video_ids, *more))},
    )
    began = _Taken()
    planned = planned_growth(grown, encoder.identity, options, folder)
    assert planned is not None
    assert planned[0].counted_videos.new == 1
    _print(figures | began.since("planning one video more"))


def open_(folder: Path, videos: int, shards: int) -> None:
    """The step ``open``: what a training or a search begins with."""
    began = _Taken()
    store = FeatureStore.open(folder)
    figures = began.since("opening, with every receipt read")
    began = _Taken()
    assert len(store.splits["val"]) == max(1, videos // 1000)
    figures |= began.since("reading a split")
    began = _Taken()
    assert len(store.video_ids) == videos
    _print(figures | began.since("mapping every shard"))


class _Taken:
    """Seconds since this was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def since(self, name: str) -> dict[str, float]:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {f"{name}, seconds": round(wall, 2), f"{name}, of a core": round(cpu, 2)}


def _print(figures: dict[str, Any]) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(figures | {"peak GiB of the process": round(peak, 2)}))


STEPS: dict[str, Callable[[Path, int, int], None]] = {"plan": plan, "resume": resume, "open": open_}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_GIB << 30, MOST_GIB << 30))
    main()
