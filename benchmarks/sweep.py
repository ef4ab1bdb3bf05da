"""What trials of one small head gain by going through the data together: ``python -m benchmarks.sweep``.

The same trials (one head, several learning rates, one seed) three ways: each in a process of its own, one at a time;
all in one process, a step each in turn on the same batch, as ``tvr sweep`` does; and one step of all at once by
``torch.func``, with their parameters stacked, against the same steps in turn. The first two give the same bits.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import FeatureShape, Head, build_head
from tvr.heads.sweep.grid import plan_trials
from tvr.heads.sweep.run import run_in_processes, tasks_of
from tvr.heads.sweep.trial import run_trials

from .heads import random_features
from .record import keep

RATES = ("1e-4", "3e-4", "1e-3", "3e-3")


def main() -> None:
    """Measure both and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "store", type=Path, help="a store with train and val splits, such as that of tvr demo"
    )
    parser.add_argument("--heads", nargs="+", default=["xpool", "seq_transformer", "wti"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"rates": RATES, "epochs": options.epochs, "batch_size": options.batch_size}
    for name in options.heads:
        figures[name] = {**_trials(name, options), **_stacked(name, options.batch_size)}
        print(name, figures[name], flush=True)
    keep("sweep", figures)


def _trials(name: str, options: argparse.Namespace) -> dict[str, float]:
    fixed = {"epochs": str(options.epochs), "batch_size": str(options.batch_size), "device": "cpu"}
    trials = plan_trials({"head": [name], "lr": RATES}, fixed)
    with tempfile.TemporaryDirectory() as folder:
        alone = tasks_of(trials, options.store.absolute(), Path(folder) / "alone", threads=1)
        together = tasks_of(trials, options.store.absolute(), Path(folder) / "together", threads=1)
        started = time.perf_counter()
        for task in alone:
            run_in_processes([task], 1)
        between = time.perf_counter()
        run_trials(together)
        ended = time.perf_counter()
        for pair in zip(alone, together, strict=True):
            one, other = ((task.folder / "head.safetensors").read_bytes() for task in pair)
            assert one == other, f"{pair[0].trial.name} came out otherwise"
    return {
        "own_processes_seconds": round(between - started, 2),
        "together_seconds": round(ended - between, 2),
        "speedup": round((between - started) / (ended - between), 2),
    }


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
