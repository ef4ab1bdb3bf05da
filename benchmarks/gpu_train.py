"""How long a whole training takes on a GPU, and how far that is from what the GPU could do.

``python -m benchmarks.gpu_train``, for each head: five epochs over generated features of MSR-VTT's size (9,000
videos x 12 frames x 512, 180,000 captions x 32 words) with validation on 1,000 pairs, by ``train`` itself. A few
steps are tried first eagerly, compiled and as CUDA graphs; the quickest of these ways trains. A training that is
expected to take longer than ``--most-seconds`` is only estimated.

The floor is the longer of two times: the FLOPs of a step's matrix products at the GPU's bf16 peak, and its bytes at
the GPU's bandwidth. Bytes: what autograd keeps, written and read once; the features, read and written once;
the weights, gradients and both moments of AdamW, read and written once. The fraction is floor over wall time.

It needs torch, h5py, safetensors, jaxtyping, tensorboard and tvr itself (``pip install --no-deps
--no-build-isolation -e .`` where nothing can be downloaded): no decoder, no encoder, no Dask. Without a GPU it says so;
``--device cpu`` with small sizes tries the same path, and keeps no figures.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import Head, build_head
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.seeding import seeded_everything
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.batches import Batch, epoch_of_batches
from tvr.heads.training.distributed import Distributed
from tvr.heads.training.loop import train
from tvr.heads.training.state import TrainingState

from .generated import features
from .record import keep

WAYS = {"eager": {}, "compiled": {"compile": True}, "graphs": {"cuda_graphs": True}}
WARM_UP_STEPS, TIMED_STEPS = 10, 20
WANTED_SECONDS = {"hcmi": 60.0}


def main() -> None:
    """Print a line per head, and keep the figures of a GPU."""
    options = _options()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "benchmarks.gpu_train measures on a GPU, and torch sees none; --device cpu tries a small case"
        )
    print(
        f"{'head':18}{'parameters':>12}{'way':>10}{'ms/step':>10}{'seconds':>9}{'of floor':>9}{'GPU busy':>9}"
    )
    figures: dict[str, Any] = dict(vars(options))
    sets = {
        "train": features(options.videos, options.captions, words=options.words),
        "val": features(options.val_videos, 1, words=options.words),
    }
    names = options.heads or [name for name in plug_in_names("tvr.heads") if _learns(name, sets["train"])]
    for name in names:
        figures[name] = row = _measured(name, sets, options)
        print(_line(name, row), flush=True)
    late = [n for n in names if figures[n]["seconds"] > WANTED_SECONDS.get(n, float("inf"))]
    if options.device == "cuda":
        keep("gpu_train", figures | {"wanted_seconds": WANTED_SECONDS, "above": late})
    sys.exit(f"slower than wanted: {', '.join(late)}" if late else None)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", nargs="+", help="Default: all that have parameters.")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--videos", type=int, default=9_000)
    parser.add_argument("--captions", type=int, default=20)
    parser.add_argument("--words", type=int, default=32)
    parser.add_argument("--val-videos", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--most-seconds", type=float, default=150.0)
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="dense bf16; an H200's by default")
    parser.add_argument("--terabytes-per-second", type=float, default=4.8)
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def _learns(name: str, some: FeatureSet) -> bool:
    head = build_head(name, load_plug_in("tvr.heads", name).Config(), some.shape())
    return any(True for _ in head.parameters())


def _measured(name: str, sets: dict[str, FeatureSet], options: argparse.Namespace) -> dict[str, Any]:
    """Try the ways, count what a step asks for, and train the quickest way."""
    config = TrainingConfig(
        epochs=options.epochs, batch_size=options.batch_size, captions="all", device=options.device
    )
    placed = sets["train"].placed_on(options.device)
    tried = {way: _step_seconds(name, placed, replace(config, **WAYS[way])) for way in options.ways}
    found = {way: seconds for way, seconds in tried.items() if isinstance(seconds, float)}
    if not found:
        sys.exit(f"{name} cannot be trained in any way: {tried}")
    way = min(found, key=found.__getitem__)
    floor = _floor(name, placed, config, options)
    steps = config.epochs * max(1, placed.num_texts // config.batch_size)
    del placed
    row: dict[str, Any] = {
        "tried": tried,
        "way": way,
        "steps": steps,
        "ms_per_step": 1e3 * found[way],
        **floor,
    }
    if steps * found[way] > options.most_seconds:
        row |= {"seconds": steps * found[way], "estimated": True, "gpu_busy": None}
    else:
        row |= _trained(name, sets, replace(config, **WAYS[way]))
    return row | {"fraction_of_floor": steps * floor["floor_ms"] / 1e3 / row["seconds"]}


def _trained(name: str, sets: dict[str, FeatureSet], config: TrainingConfig) -> dict[str, Any]:
    """The whole training, from features in the computer's memory to a finished run folder."""
    with tempfile.TemporaryDirectory() as folder, Utilisation(config.device) as busy:
        started = time.perf_counter()
        result = train(name, load_plug_in("tvr.heads", name).Config(), sets, config, Path(folder) / "run")
        seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "seconds_in_epochs": result.seconds,
        "estimated": False,
        "gpu_busy": busy.mean(),
        "validation_score": result.best_score,
    }


def _step_seconds(name: str, placed: FeatureSet, config: TrainingConfig) -> float | str:
    """Mean time of a step, loading included; or why this way fails."""
    torch.compiler.reset()
    try:
        with seeded_everything(0, placed.device):
            state, batches = _prepared(name, placed, config)
            _seconds_of_steps(state, batches, WARM_UP_STEPS)
            return _seconds_of_steps(state, batches, TIMED_STEPS) / TIMED_STEPS
    except Exception as error:  # noqa: BLE001  # a way that a head or a GPU refuses is a finding, not the end
        return f"{type(error).__name__}: {error}".splitlines()[0]


def _prepared(name: str, placed: FeatureSet, config: TrainingConfig) -> tuple[TrainingState, Iterator[Batch]]:
    kind, shape = load_plug_in("tvr.heads", name), placed.shape()
    head = build_head(name, kind.Config(), shape).to(placed.device).train()
    state = TrainingState(head, config, placed.num_texts // config.batch_size)
    return state, _endless(placed, head, config)


def _endless(placed: FeatureSet, head: Head, config: TrainingConfig) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from epoch_of_batches(placed, head, config, epoch, Distributed())
        epoch += 1


def _seconds_of_steps(state: TrainingState, batches: Iterator[Batch], count: int) -> float:
    _synchronise()
    started = time.perf_counter()
    for batch in islice(batches, count):
        state.update(state.loss(batch, Distributed())["total"], Distributed())
    _synchronise()
    return time.perf_counter() - started


def _floor(
    name: str, placed: FeatureSet, config: TrainingConfig, options: argparse.Namespace
) -> dict[str, float]:
    """What a step asks of the GPU, and how long that takes at its peaks."""
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with seeded_everything(0, placed.device):
        state, batches = _prepared(name, placed, config)
        batch = next(batches)
        with FlopCounterMode(display=False) as counter, saved_tensors_hooks(count, lambda tensor: tensor):
            state.loss(batch, Distributed())["total"].backward()
    for parameter in state.head.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    weights = sum(parameter.numel() for parameter in state.head.parameters())
    batched = [batch.text.words, *(view.frames for view in batch.views)]
    read = sum(tensor.numel() for tensor in batched) * (2 + 4)
    moved = 2 * sum(kept.values()) + read + 2 * 4 * 4 * weights
    flops = counter.get_total_flops()
    seconds = flops / (options.peak_tflops * 1e12), moved / (options.terabytes_per_second * 1e12)
    return {
        "parameters": weights,
        "gflop_per_step": flops / 1e9,
        "gigabytes_per_step": moved / 1e9,
        "floor_ms": 1e3 * max(seconds),
    }


class Utilisation:
    """Share of the time in which the GPU computes, as its driver tells, asked ten times a second."""

    def __init__(self, device: str) -> None:
        self._seen: list[float] = []
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True) if device == "cuda" else None

    def __enter__(self) -> "Utilisation":
        if self._watcher:
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._watcher:
            self._watcher.join()

    def mean(self) -> float | None:
        """None where it cannot be told."""
        return fmean(self._seen) / 100 if self._seen else None

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            try:
                self._seen.append(torch.cuda.utilization())
            except (
                ModuleNotFoundError,
                RuntimeError,
            ):  # without nvidia-ml-py, or a driver that does not tell
                return


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _line(name: str, row: dict[str, Any]) -> str:
    busy = "-" if row["gpu_busy"] is None else f"{row['gpu_busy']:.0%}"
    seconds = f"{row['seconds']:,.1f}{'~' if row['estimated'] else ' '}"
    return (
        f"{name:18}{row['parameters']:>12,}{row['way']:>10}{row['ms_per_step']:>10,.2f}{seconds:>9}"
        f"{row['fraction_of_floor']:>9.1%}{busy:>9}"
    )


if __name__ == "__main__":
    main()
