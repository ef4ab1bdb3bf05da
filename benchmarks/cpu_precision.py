"""How much faster bfloat16 encodes frames than float32 on a CPU that has it: ``python -m benchmarks.cpu_precision``.

The same weights and frames, a model of each kind of tower, the two formats in turns.
"""

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
import torch
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers.precision import cpu_multiplies_bfloat16

from .record import keep

WANTED_SPEED_UP = 2.5
LOWEST_COSINE = 0.999


def main() -> None:
    """Measure both in turns, a few times, and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-B-16", "RN50"])
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    figures = {model: _measured(model, chosen.frames, chosen.rounds) for model in chosen.models}
    keep(
        "cpu_precision",
        {
            "bfloat16_in_hardware": cpu_multiplies_bfloat16(),
            "threads": torch.get_num_threads(),
            "frames": chosen.frames,
            "models": figures,
            "wanted_speed_up": WANTED_SPEED_UP,
            "wanted_cosine": LOWEST_COSINE,
        },
    )


def _measured(model: str, num_frames: int, rounds: int) -> dict[str, Any]:
    encoders = {name: clip.load(model, "random", device="cpu", precision=name) for name in ("fp32", "bf16")}
    size = encoders["fp32"].identity.preprocessing
    frames = np.random.default_rng(0).integers(0, 256, (num_frames, size.height, size.width, 3), np.uint8)
    features = {name: encoder.encode_frames(frames) for name, encoder in encoders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, encoder in encoders.items():
            started = time.perf_counter()
            encoder.encode_frames(frames)
            seconds[name].append(time.perf_counter() - started)
    ratios = [slow / fast for slow, fast in zip(seconds["fp32"], seconds["bf16"], strict=True)]
    speed_up, cosine = median(ratios), _lowest_cosine(features["fp32"], features["bf16"])
    return {
        "frames_per_second": {name: round(num_frames / median(taken), 1) for name, taken in seconds.items()},
        "speed_up": round(speed_up, 2),
        "lowest_cosine": round(cosine, 6),
        "met": speed_up >= WANTED_SPEED_UP and cosine >= LOWEST_COSINE,
    }


def _lowest_cosine(one: np.ndarray, other: np.ndarray) -> float:
    one, other = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in map(np.float64, (one, other))
    )
    return float((one * other).sum(axis=1).min())


if __name__ == "__main__":
    main()
