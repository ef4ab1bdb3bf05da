"""Trials that go through the data together: each batch is gathered once and trains every one of them in turn."""

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from ..base import Head
from ..features.feature_set import FeatureSet
from ..runs.training_config import TrainingConfig
from ..training.batches import Batch, epoch_of_batches
from ..training.distributed import Distributed

_Name = TypeVar("_Name", bound=Hashable)


class SharedBatches:
    """Batches of one training split for trainings that take a step each in turn.

    Trainings that draw the same batches (same seed, batch size, captions, neighbours and numbers of frames and words)
    are given the same tensors; the others draw their own. Only the batch of the current turn is held. An epoch can be
    joined during its first turn; a training that comes later, as a resumed one may, draws for itself.
    """

    def __init__(self) -> None:
        self._epochs: dict[Hashable, _Epoch] = {}

    def __call__(
        self, features: FeatureSet, head: Head, config: TrainingConfig, epoch: int, distributed: Distributed
    ) -> Iterator[Batch]:
        """As ``epoch_of_batches``."""
        shape = head.shape
        drawn = (
            config.seed,
            config.batch_size,
            config.captions,
            config.alike,
            shape.num_frames,
            shape.num_words,
        )
        key = (*drawn, head.num_views)
        shared = self._epochs.get(key)
        if shared is None or shared.number != epoch or shared.step > 1:
            source = epoch_of_batches(features, head, config, epoch, distributed)
            shared = self._epochs[key] = _Epoch(epoch, source)
        return shared.batches()


class _Epoch:
    """One epoch's batches, of which the last is held."""

    def __init__(self, number: int, source: Iterator[Batch]) -> None:
        self.number = number
        self.step = 0
        """Batches taken from the source."""
        self._source = source
        self._last: Batch | None = None

    def batches(self) -> Iterator[Batch]:
        step = 0
        while True:
            if step == self.step:
                self._last = next(self._source, None)
                self.step += 1
            step += 1
            assert step == self.step, "trainings that share batches take turns"
            if self._last is None:
                return
            yield self._last


def take_turns(
    trainings: Mapping[_Name, Iterator[object]], device: torch.device
) -> Iterator[tuple[_Name, Exception | None]]:
    """Advance every training by a step, again and again; the name of each that ends, and why if it failed.

    Each has random numbers of its own, so that it draws what it would draw alone.
    """
    states = dict.fromkeys(trainings, _random_state(device))
    while states:
        for name, state in list(states.items()):
            _restore(state, device)
            try:
                next(trainings[name])
            except StopIteration:
                del states[name]
                yield name, None
            except Exception as error:  # noqa: BLE001  # one broken head must not take the others with it
                del states[name]
                yield name, error
            else:
                states[name] = _random_state(device)


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
