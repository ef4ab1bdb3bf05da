"""What loading costs a training step, at the size of MSR-VTT: ``python -m benchmarks.training``.

The same steps are run on batches that are on the device already and on batches cut from the feature set, in
turns: 9,000 videos x 12 frames x 512, 180,000 captions x 32 words.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from statistics import median

import torch
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import build_head
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.features.seeding import seeded_everything
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.batches import Batch, epoch_of_batches
from tvr.heads.training.distributed import Distributed
from tvr.heads.training.state import TrainingState

from .generated import features
from .record import keep

WANTED = 1.10


def main() -> None:
    """Measure some heads and keep the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", nargs="+", default=["seq_transformer", "xclip", "hcmi"])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--captions", type=int, default=20, help="captions of each of the 9,000 videos")
    arguments = parser.parse_args()
    device = Distributed().device("auto")
    stored = features(9_000, arguments.captions).placed_on(device)
    config = TrainingConfig(batch_size=arguments.batch_size, captions="all", num_frames=12, num_words=32)
    figures = {name: _measured(name, stored, config, arguments.steps, device) for name in arguments.heads}
    keep(
        "training",
        {
            "videos": 9_000,
            "captions": stored.num_texts,
            "batch_size": config.batch_size,
            "resident_bytes": stored.num_bytes,
            "heads": figures,
            "largest_ratio": max(figure["ratio"] for figure in figures.values()),
            "wanted_ratio": WANTED,
        },
    )


def _measured(
    name: str, stored: FeatureSet, config: TrainingConfig, steps: int, device: torch.device
) -> dict[str, float]:
    distributed = Distributed()
    with seeded_everything(0, device):
        kind = load_plug_in("tvr.heads", name)
        head = build_head(name, kind.Config(), stored.shape(12, 32)).to(device).train()
        state = TrainingState(head, config, steps)

        def epoch(number: int) -> Iterator[Batch]:
            return epoch_of_batches(stored, head, config, number, distributed)

        source = (batch for number in cycle([0]) for batch in epoch(number))
        ready = cycle([next(source) for _ in range(4)])

        def train_on(batch: Batch) -> None:
            state.update(state.loss(batch, distributed)["total"], distributed)

        seconds: dict[str, list[float]] = {"ready": [], "loaded": [], "loading": []}
        train_on(next(ready))
        for _ in range(steps):
            seconds["ready"].append(_timed(lambda: train_on(next(ready)), device))
            seconds["loaded"].append(_timed(lambda: train_on(next(source)), device))
            seconds["loading"].append(_timed(lambda: next(source), device))
    ratio = median(b / a for a, b in zip(seconds["ready"], seconds["loaded"], strict=True))
    share = median(seconds["loading"]) / median(seconds["ready"])
    return {
        "ready_step_ms": round(1e3 * median(seconds["ready"]), 2),
        "loaded_step_ms": round(1e3 * median(seconds["loaded"]), 2),
        "loading_ms": round(1e3 * median(seconds["loading"]), 2),
        "ratio": round(ratio, 3),
        "ratio_by_loading_alone": round(1 + share, 3),
    }


def _timed(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
