"""Decode-only, encode-only and end-to-end frames per second: ``python -m benchmarks.extract [--root DIR]``.

On a machine without a GPU both stages want every core, so the floor of the whole is the sum of the two alone.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from tvr.data.base import Dataset, load_dataset
from tvr.pipeline.decoding import DecoderPool
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.base import Encoder
from tvr.pipeline.extract import decode_task, extract
from tvr.pipeline.plan import ExtractionOptions, plan_extraction, sampling_of

from .record import keep

ROUNDS = 3


def main() -> None:
    """Measure the three in turns, a few times, and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of videos; default: generated storyboard videos")
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--pretrained", default="random")
    parser.add_argument("--num-frames", type=int, default=12)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.root:
            dataset = load_dataset("folder", chosen.root, {})
        else:
            settings = {"train_videos": "300", "val_videos": "0", "test_videos": "0"}
            dataset = load_dataset("storyboard", Path(scratch) / "storyboard", settings)
        encoder = clip.load(chosen.model, chosen.pretrained)
        options = ExtractionOptions(
            sampling=sampling_of(dataset.preset, None, chosen.num_frames, None),
            num_children=os.cpu_count() or 1,
        )
        seconds: dict[str, list[float]] = {"decode": [], "encode": [], "end_to_end": []}
        frames = 0
        for turn in range(ROUNDS):
            started = time.perf_counter()
            decoded = _decode(dataset, encoder, options)
            seconds["decode"].append(time.perf_counter() - started)
            frames = len(decoded)
            started = time.perf_counter()
            for start in range(0, frames, options.frames_per_batch):
                encoder.encode_frames(decoded[start : start + options.frames_per_batch])
            seconds["encode"].append(time.perf_counter() - started)
            summary = extract(dataset, encoder, options, Path(scratch) / f"store-{turn}")
            seconds["end_to_end"].append(summary.seconds["videos"])
    floors = [d + e for d, e in zip(seconds["decode"], seconds["encode"], strict=True)]
    ratios = [floor / whole for floor, whole in zip(floors, seconds["end_to_end"], strict=True)]
    keep(
        "extract",
        {
            "videos": sum(video.path is not None for video in dataset.videos.values()),
            "frames": frames,
            "model": f"{chosen.model} {chosen.pretrained}, {encoder.identity.precision}",
            **{f"{stage}_frames_per_second": round(frames / median(s), 1) for stage, s in seconds.items()},
            "floor_seconds": round(median(floors), 2),
            "end_to_end_seconds": round(median(seconds["end_to_end"]), 2),
            "share_of_floor": round(median(ratios), 3),
        },
    )


def _decode(dataset: Dataset, encoder: Encoder, options: ExtractionOptions) -> np.ndarray:
    videos = [video for video in plan_extraction(dataset, options).videos if video.path]
    with DecoderPool(options.decoding_processes, options.decoder) as pool:
        decoded = [v.frames for v in pool.decode(decode_task(video, encoder, options) for video in videos)]
    return np.concatenate(decoded)


if __name__ == "__main__":
    main()
