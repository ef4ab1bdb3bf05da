"""Frames a second and memory of ``words`` beside ViT-B-32 with random weights: two precisions, plain and compiled.

Each encoder lives in a process of its own, so that its memory is its own; their batches are timed in turns, so that
what else the machine does meets all of them. Random weights are as fast as trained ones.
"""

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tvr.pipeline.encoders.base import Encoder, load_encoder
from tvr.pipeline.machine import end_with_parent, torch_device

MEASURED, BESIDE = "words", "ViT-B-32"
FRAMES = 64
"""A batch, as extraction hands it over."""


@dataclass(frozen=True)
class Variant:
    """One encoder, run in one way."""

    model: str
    precision: str
    compiled: bool

    @property
    def name(self) -> str:
        """Such as ``words, bf16, compiled``."""
        return f"{self.model}, {self.setting}"

    @property
    def setting(self) -> str:
        """What two models share that are compared."""
        return f"{self.precision}, {'compiled' if self.compiled else 'plain'}"


VARIANTS = tuple(
    Variant(model, precision, compiled)
    for precision in ("fp32", "bf16")
    for compiled in (False, True)
    for model in (MEASURED, BESIDE)
)


def encoder_figures(device: str, rounds: int) -> dict[str, Any]:
    """Everything of every variant; the first batch, which compiles, is timed apart."""
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as processes:
        pools = {
            variant: processes.enter_context(
                ProcessPoolExecutor(1, spawn, initializer=_prepare, initargs=(variant, device))
            )
            for variant in VARIANTS
        }
        first = {variant: pool.submit(_seconds).result() for variant, pool in pools.items()}
        seconds: dict[Variant, list[float]] = {variant: [] for variant in VARIANTS}
        for _ in range(rounds):
            for variant, pool in pools.items():
                seconds[variant].append(pool.submit(_seconds).result())
        memory = {variant: pool.submit(_memory).result() for variant, pool in pools.items()}
    return {
        "frames": FRAMES,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "encoders": {
            variant.name: {
                "frames_per_second": round(FRAMES / median(seconds[variant]), 1),
                "first_batch_seconds": round(first[variant], 1),
                **memory[variant],
            }
            for variant in VARIANTS
        },
        f"{MEASURED}_against_{BESIDE}": compared(seconds, memory),
    }


def compared(
    seconds: Mapping[Variant, Sequence[float]], memory: Mapping[Variant, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """By setting, the speed of the one as a multiple of the other's, the median of pairs of batches that were timed
    one after the other; and likewise its memory."""
    found: dict[str, dict[str, float]] = {}
    for one in (variant for variant in VARIANTS if variant.model == MEASURED):
        other = Variant(BESIDE, one.precision, one.compiled)
        ratios = [theirs / ours for ours, theirs in zip(seconds[one], seconds[other], strict=True)]
        found[one.setting] = {"speed": round(median(ratios), 2)} | {
            name: round(value / memory[other][name], 2) for name, value in memory[one].items()
        }
    return found


_loaded: list[tuple[Encoder, np.ndarray, torch.device]] = []
"""In a child: its encoder, the frames it encodes, and where."""


def _prepare(variant: Variant, device: str) -> None:
    end_with_parent()
    weights = "random" if variant.model == BESIDE else None
    encoder = load_encoder(
        variant.model, weights, device=device, precision=variant.precision, compiled=variant.compiled
    )
    size = encoder.identity.preprocessing
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, size.height, size.width, 3), np.uint8)
    _loaded.append((encoder, frames, torch_device(device)))


def _seconds() -> float:
    encoder, frames, _ = _loaded[0]
    started = time.perf_counter()
    encoder.begin_frames(frames)()
    return time.perf_counter() - started


def _memory() -> dict[str, float]:
    """The most that the process ever took, loading and compiling included; on a GPU also what its tensors took."""
    device = _loaded[0][2]
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(int(line.split()[1]) / 2**20 for line in lines if line.startswith("VmHWM"))
    found = {"peak_gib": round(peak, 2)}
    if device.type == "cuda":
        found["peak_gpu_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
    return found
