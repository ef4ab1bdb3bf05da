"""What changes while a head is trained, and how it goes to a file and back."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...data.contracts.errors import TrainingError, UsageError
from ..base import Encoded, Head, TextFeatures
from ..layers.bucketing import Bucket, length_buckets, unsort
from ..runs.run_folder import RunFolder
from ..runs.training_config import TrainingConfig, TrainingPrecision
from .batches import Batch
from .distributed import Distributed
from .optimiser import adamw, learning_rate

LossFunction = Callable[[Head, Batch, Distributed], dict[str, Tensor]]

TEXTS_AT_A_TIME = 32
"""On a CPU. A batch of 128 captions of 27 tokens on average, but up to 48, loses two fifths of its padding."""


class TrainingState:
    """A head, its optimiser and how far they are."""

    def __init__(self, head: Head, config: TrainingConfig, steps_per_epoch: int) -> None:
        self.head = head
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.optimiser = adamw(head, config)
        self.autocast = _autocast_type(config.precision, head.device.type)
        self._loss_of = _loss_function(config, head.device)
        self.scaler = torch.amp.GradScaler(head.device.type, enabled=config.precision == "fp16")
        self.average: dict[str, Tensor] | None = None
        if config.ema:
            self.average = {name: p.detach().clone() for name, p in head.named_parameters()}
        self.epoch = 0
        """Finished epochs."""
        self.step = 0
        self.best_score: float | None = None
        self.best_epoch = 0

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or the validation score has not risen for ``patience`` of them."""
        patience = self.config.patience
        stale = (
            patience is not None and self.best_score is not None and self.epoch - self.best_epoch >= patience
        )
        return stale or self.epoch >= self.config.epochs

    def loss(self, batch: Batch, distributed: Distributed) -> dict[str, Tensor]:
        """The head's loss terms of a batch."""
        device = self.head.device.type
        if self.config.cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast(device, self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            terms = self._loss_of(self.head, batch, distributed)
        # A graph's results lie where those of its next replay will.
        return {name: term.clone() for name, term in terms.items()} if self.config.cuda_graphs else terms

    def update(self, loss: Tensor, distributed: Distributed) -> None:
        """One step of the optimiser down the gradient of the loss."""
        rate = learning_rate(self.config, self.step, self.steps_per_epoch * self.config.epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        distributed.average_gradients(self.head.parameters())
        self.scaler.unscale_(self.optimiser)
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.head.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        self._update_ema()

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Move the averaged weights towards the new ones; early on faster, so that the start is forgotten."""
        if self.average is None:
            return
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, parameter in self.head.named_parameters():
            self.average[name].lerp_(parameter, 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """The weights that are validated and kept: the averaged ones where there are any."""
        return {**self.head.state_dict(), **(self.average or {})}

    @contextmanager
    def ema_weights(self) -> Generator[None]:
        """The head with the weights that would be kept, for as long as the context lasts."""
        if self.average is None:
            yield
            return
        trained = {name: p.detach().clone() for name, p in self.head.named_parameters()}
        self.head.load_state_dict(self.average, strict=False)
        try:
            yield
        finally:
            self.head.load_state_dict(trained, strict=False)

    def refuse_broken_weights(self) -> None:
        """Check the weights before they replace good ones.

        Raises:
            TrainingError: one of them is no longer a finite number.
        """
        broken = [name for name, p in self.head.named_parameters() if not bool(p.isfinite().all())]
        if broken:
            raise TrainingError(
                f"weights left the finite numbers in epoch {self.epoch + 1} (first: {broken[0]}). The best "
                "finished epoch is kept in the run folder. Train with a smaller lr, a longer warmup or precision=fp32."
            )

    def end_epoch(self, score: float | None) -> bool:
        """Count an epoch with this validation score; whether it is the one to keep (without a score: yes)."""
        self.epoch += 1
        is_best = score is None or self.best_score is None or score > self.best_score
        if is_best:
            self.best_score, self.best_epoch = score, self.epoch
        return is_best

    def restore(self, folder: RunFolder) -> None:
        """Continue from where a run stopped, if it did."""
        saved = folder.load_state()
        if saved is None:
            return
        tensors, values = saved
        self.head.load_state_dict(_below("head.", tensors))
        optimiser = self.optimiser.state_dict()
        for name, tensor in _below("optimiser.", tensors).items():
            index, _, slot = name.partition(".")
            optimiser["state"].setdefault(int(index), {})[slot] = tensor
        self.optimiser.load_state_dict(optimiser)
        if self.average is not None:
            for name, tensor in _below("average.", tensors).items():
                self.average[name].copy_(tensor)
        self.scaler.load_state_dict(values["scaler"])
        self.epoch, self.step = values["epoch"], values["step"]
        self.best_score, self.best_epoch = values["best_score"], values["best_epoch"]

    def save(self, folder: RunFolder) -> None:
        """Keep everything a resumed run needs."""
        tensors = {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in (self.average or {}).items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in slots.items()}
        values = {
            "epoch": self.epoch,
            "step": self.step,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "scaler": self.scaler.state_dict(),
        }
        folder.save_state(tensors, values)


def _loss_function(config: TrainingConfig, device: torch.device) -> LossFunction:
    if not config.cuda_graphs:
        return torch.compile(_loss_of) if config.compile else _loss_of
    if device.type != "cuda":
        raise UsageError(
            f"cuda_graphs=true needs a GPU, and this trains on {device}; leave it out, or use compile=true"
        )
    return torch.compile(_loss_of, mode="reduce-overhead")


def _loss_of(head: Head, batch: Batch, distributed: Distributed) -> dict[str, Tensor]:
    # Processes that share a batch must pad it alike.
    text = encoded_texts(head, batch.text) if distributed.count == 1 else head.encode_text(batch.text)
    views = [distributed.all_gather(head.encode_video(view)) for view in batch.views]
    if len(views) == 1:  # drawn once, whatever the head asks for
        views *= head.num_views
    return head.loss(distributed.all_gather(text), views, batch.same_video)


def _autocast_type(precision: TrainingPrecision, device: str) -> torch.dtype | None:
    """The type of matrix products, None for float32."""
    if precision == "auto":
        has_bf16 = device == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has_bf16 else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def encoded_texts(head: Head, text: TextFeatures) -> Encoded:
    """The texts; on a CPU some at a time, those of like length together."""
    buckets = length_buckets(text.mask, TEXTS_AT_A_TIME)
    if len(buckets) == 1:
        return head.encode_text(text)
    encoded = [head.encode_text(_cut(text, bucket)) for bucket in buckets]
    return {name: unsort(_equally_long([some[name] for some in encoded]), buckets) for name in encoded[0]}


def _cut(text: TextFeatures, bucket: Bucket) -> TextFeatures:
    """Some of the texts, padded to the longest of them."""
    texts, parts, parts_mask = bucket.texts, text.parts, text.parts_mask
    return TextFeatures(
        text.words[texts, : bucket.words],
        text.mask[texts, : bucket.words],
        text.sentence[texts],
        None if parts is None else parts[texts],
        None if parts_mask is None else parts_mask[texts],
    )


def _equally_long(tensors: list[Tensor]) -> list[Tensor]:
    """Axes after the first that are shorter in some are padded with zeros, or False."""
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    return [_padded(tensor, shape) for tensor in tensors]


def _padded(tensor: Tensor, shape: list[int]) -> Tensor:
    missing = [wanted - size for wanted, size in zip(shape, tensor.shape[1:], strict=True)]
    # The last axis comes first in what pad is told.
    return pad(tensor, [number for size in reversed(missing) for number in (0, size)])
