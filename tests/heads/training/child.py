"""What the tests run in processes of its own: ``python -m tests.heads.training.child TASKS FOLDER HEAD ...``.

``TASKS`` is gradients, train and part (Linux only), joined by a plus. Further threes are done after the first, in the
same processes: most of their time they import torch.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save_file
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import Head, build_head
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.batches import epoch_of_batches
from tvr.heads.training.distributed import Distributed, shutdown
from tvr.heads.training.history import EpochReport
from tvr.heads.training.loop import train
from tvr.heads.training.state import TrainingState

from ...fixtures.generated import generated_features

CONFIG = TrainingConfig(
    epochs=4,
    batch_size=16,
    lr=5e-3,
    ema=0.9,
    captions="all",
    hard_negatives=4,
    num_frames=4,
    device="cpu",
    seed=3,
)
SECONDS_BETWEEN_EPOCHS = 0.3
"""Time for a test to kill the process between two epochs."""


def features(split: str) -> FeatureSet:
    """The same features in every process."""
    return generated_features(split, videos=24, captions=2, turned=True, seed=int(split == "val"))


def shaken_head(name: str, some: FeatureSet) -> Head:
    """A head away from its start, where zero-initialised layers would have no gradients."""
    torch.manual_seed(0)
    head = build_head(name, load_plug_in("tvr.heads", name).Config(), some.shape(num_frames=4))
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return head


def gradients(name: str) -> dict[str, torch.Tensor]:
    """Gradients of the first batch, whoever computes which part of it."""
    distributed = Distributed()
    distributed.connect(torch.device("cpu"))
    some = features("train")
    state = TrainingState(shaken_head(name, some), CONFIG, 3)
    batch = next(iter(epoch_of_batches(some, state.head, CONFIG, 0, distributed)))
    state.loss(batch, distributed)["total"].backward()
    distributed.average_gradients(state.head.parameters())
    return {key: p.grad for key, p in state.head.named_parameters() if p.grad is not None}


def run(folder: Path, name: str) -> None:
    """Train a head, slowly enough to be killed."""

    def rest(report: EpochReport) -> None:
        time.sleep(SECONDS_BETWEEN_EPOCHS)

    sets = {split: features(split) for split in ("train", "val")}
    train(name, load_plug_in("tvr.heads", name).Config(), sets, CONFIG, folder, rest)


def do(tasks: str, folder: Path, name: str) -> None:
    """The tasks for one head."""
    if "gradients" in tasks:
        found = gradients(name)
        if Distributed().is_first:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(found, folder / "gradients.safetensors")
    if "train" in tasks:
        run(folder, name)
    if "part" in tasks:
        shutdown()
        left: list[str] = []
        for thread in Path("/proc/self/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # the thread ended since it was listed
                left.append((thread / "comm").read_text())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"threads-{Distributed().rank}.txt").write_text("".join(left))


if __name__ == "__main__":
    torch.set_num_threads(1)
    words = iter(sys.argv[1:])
    for tasks, folder, name in zip(words, words, words, strict=True):
        do(tasks, Path(folder), name)
