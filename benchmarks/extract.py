"""Decode-only, encode-only and end-to-end frames per second: ``python -m benchmarks.extract [--root DIR]``.

On a machine without a GPU both stages want every core, so the floor of the whole is the sum of the two alone; with a
GPU it is the slower of them. The three are measured in turns, so that what else the machine does meets all of them.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tvr.data.base import Dataset, load_dataset
from tvr.pipeline.decoding.pool import DecoderPool
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder
from tvr.pipeline.extract import extract
from tvr.pipeline.options import ExtractionOptions, sampling_of
from tvr.pipeline.plan import plan_extraction
from tvr.pipeline.shard_worker import decode_task
from tvr.pipeline.summary import Summary, shares

from .record import keep

WANTED_SHARE = 0.85


def main() -> None:
    """Measure the three in turns, a few times, and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of videos; default: generated storyboard videos")
    parser.add_argument("--videos", type=int, default=300, help="of the storyboard")
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--pretrained", default="random")
    parser.add_argument("--num-frames", type=int, default=12)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    encoder = clip.load(chosen.model, chosen.pretrained)
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.root:
            dataset = load_dataset("folder", chosen.root, {})
        else:
            settings = {"train_videos": str(chosen.videos), "val_videos": "0", "test_videos": "0"}
            dataset = load_dataset("storyboard", Path(scratch) / "storyboard", settings)
        options = ExtractionOptions(
            sampling=sampling_of(dataset.preset, None, chosen.num_frames, None),
            num_children=chosen.workers,
            frames_per_batch=encoder.frames_per_batch,
        )
        rounds = [
            _round(dataset, encoder, options, Path(scratch) / f"store-{turn}")
            for turn in range(chosen.rounds)
        ]
    keep("extract", _figures(chosen, dataset, encoder, rounds))


def _round(
    dataset: Dataset, encoder: FrozenEncoder, options: ExtractionOptions, store: Path
) -> tuple[dict[str, float], Summary]:
    """Seconds of each of the three."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    frames = _decode(dataset, encoder, options)
    seconds["decode"] = time.perf_counter() - started
    started = time.perf_counter()
    for start in range(0, len(frames), options.frames_per_batch):
        encoder.encode_frames(frames[start : start + options.frames_per_batch])
    seconds["encode"] = time.perf_counter() - started
    summary = extract(dataset, encoder, options, store)
    seconds["end_to_end"] = summary.seconds["videos"]
    return seconds, summary


def _figures(
    chosen: argparse.Namespace,
    dataset: Dataset,
    encoder: FrozenEncoder,
    rounds: list[tuple[dict[str, float], Summary]],
) -> dict[str, Any]:
    on_cpu = encoder.texts.arithmetic.device.type == "cpu"
    floors = [(sum if on_cpu else max)((s["decode"], s["encode"])) for s, _ in rounds]
    share = median(floor / s["end_to_end"] for floor, (s, _) in zip(floors, rounds, strict=True))
    summary = rounds[-1][1]
    return {
        "videos": sum(video.path is not None for video in dataset.videos.values()),
        "frames": summary.frames,
        "model": f"{chosen.model} {chosen.pretrained}, {encoder.identity.precision}",
        "decoding_processes": chosen.workers,
        "floor": "decoding alone + encoding alone" if on_cpu else "the slower of decoding and encoding alone",
        "frames_per_second": {
            stage: round(summary.frames / median(s[stage] for s, _ in rounds), 1) for stage in rounds[0][0]
        },
        "floor_seconds": round(median(floors), 2),
        "end_to_end_seconds": round(median(s["end_to_end"] for s, _ in rounds), 2),
        "share_of_floor": round(share, 3),
        "wanted_share": WANTED_SHARE,
        "met": share >= WANTED_SHARE,
        "shares_of_time": {
            stage: round(value, 3) for stage, value in shares(summary.stages, chosen.workers).items()
        },
    }


def _decode(dataset: Dataset, encoder: FrozenEncoder, options: ExtractionOptions) -> np.ndarray:
    videos = [video for video in plan_extraction(dataset, options).videos if video.path]
    with DecoderPool(options.decoding_processes) as pool:
        tasks = (decode_task(video, encoder.identity.preprocessing, options) for video in videos)
        decoded = [video.frames for video in pool.decode(tasks)]
    return np.concatenate(decoded)


if __name__ == "__main__":
    main()
