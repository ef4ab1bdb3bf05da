"""What trials of one small head gain by sharing a process: ``python -m benchmarks.sweep STORE``.

The same trials (one head, several learning rates, two seeds) by two workers of one thread each, as ``tvr sweep`` runs
them on two cores, two ways in turns: each trial in a process of its own, and in one process a worker, one after
another. Both come to the same bits. Then one step of all at once by ``torch.func``, with their parameters stacked,
against the same steps in turn.

The record that is kept, ``results/sweep.json``, was made when there were two ways more: a step of each trial of a
process in turn, on batches of its own (``own_batches``) and on one batch for all (``same_batches``, to which the
ratios are). They took no less processor time than one trial after another, and are gone. Other work ran beside it:
seconds of the clock say less than those of the processors.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import FeatureShape, Head, build_head
from tvr.heads.sweep import run
from tvr.heads.sweep.grid import plan_trials
from tvr.heads.sweep.processes import run_in_processes
from tvr.heads.sweep.run import tasks_of
from tvr.heads.sweep.trial import TrialTask
from tvr.pipeline.store.reader import FeatureStore

from .heads import random_features
from .record import keep

RATES = ("1e-4", "3e-4", "1e-3", "3e-3")
WORKERS = 2
WAYS = {"own_processes": 0, "one_after_another": run.MAX_PARAMETERS}
"""The most parameters of the trials that share a process."""


def main() -> None:
    """Measure both and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "store", type=Path, help="a store with train and val splits, such as that of tvr demo"
    )
    parser.add_argument("--heads", nargs="+", default=["xpool", "seq_transformer", "wti"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"rates": RATES, "workers": WORKERS}
    figures |= {key: getattr(options, key) for key in ("epochs", "batch_size", "rounds")}
    for name in options.heads:
        figures[name] = {"trials": _trials(name, options), **_stacked(name, options.batch_size)}
        print(name, figures[name], flush=True)
    keep("sweep", figures)


def _trials(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the clock and of the processors by way, and how many times the last way's each takes."""
    fixed = {"epochs": str(options.epochs), "batch_size": str(options.batch_size), "device": "cpu"}
    trials = plan_trials({"head": [name], "lr": RATES, "seed": ("0", "1")}, fixed)
    store = FeatureStore.open(options.store.absolute())
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for way in WAYS:
                tasks = tasks_of(trials, store, Path(folder) / way, threads=1)
                seconds[way].append(_seconds_of(way, tasks))
                print(name, way, seconds[way][-1], flush=True)
            _check_bits(Path(folder), [task.folder.name for task in tasks])
    by_way: dict[str, Any] = {
        way: {
            "seconds": [round(wall, 1) for wall, _ in some],
            "processor_seconds": [round(c, 1) for _, c in some],
        }
        for way, some in seconds.items()
    }
    for way, some in seconds.items():
        pairs = list(zip(some, seconds["one_after_another"], strict=True))
        by_way[way]["ratio"] = round(median(one[0] / other[0] for one, other in pairs), 2)
        by_way[way]["processor_ratio"] = round(median(one[1] / other[1] for one, other in pairs), 2)
    return by_way


def _seconds_of(way: str, tasks: list[TrialTask]) -> tuple[float, float]:
    started, cpu = time.perf_counter(), _processor_seconds()
    with patch.object(run, "MAX_PARAMETERS", WAYS[way]):
        run_in_processes(tasks, WORKERS)
    return time.perf_counter() - started, _processor_seconds() - cpu


def _processor_seconds() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _check_bits(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        found = {(folder / way / "trials" / name / "head.safetensors").read_bytes() for way in WAYS}
        assert len(found) == 1, f"{name} came out otherwise"


def _stacked(name: str, batch: int) -> dict[str, float]:
    """Forward and backward of a step of all trials, stacked and in turn."""
    shape = FeatureShape(dim=512, num_frames=12, num_words=32)
    losses = [_Loss(build_head(name, load_plug_in("tvr.heads", name).Config(), shape), batch) for _ in RATES]
    parameters, buffers = stack_module_state(losses)  # type: ignore[arg-type]

    def one(some: dict[str, Tensor], rest: dict[str, Tensor]) -> Tensor:
        return functional_call(losses[0], (some, rest), ())

    def in_turn() -> None:
        for loss in losses:
            loss.zero_grad()
            loss().backward()

    every = vmap(grad(one), randomness="different")
    turns, stacked = _seconds(in_turn), _seconds(lambda: every(parameters, buffers))
    return {"steps_in_turn_ms": round(1e3 * turns, 1), "stacked_ms": round(1e3 * stacked, 1)}


class _Loss(nn.Module):
    """A head's loss of one batch."""

    def __init__(self, head: Head, batch: int) -> None:
        super().__init__()
        self.head = head.train()
        self.text, self.video = random_features(head.shape, batch)

    def forward(self) -> Tensor:
        views = [self.head.encode_video(self.video) for _ in range(self.head.num_views)]
        same = torch.eye(len(self.video.mask), dtype=torch.bool)
        return self.head.loss(self.head.encode_text(self.text), views, same)["total"]


def _seconds(work: Callable[[], object]) -> float:
    work()
    spent: list[float] = []
    for _ in range(3):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return median(spent)


if __name__ == "__main__":
    main()
