"""Several processes that train one head on one batch, as ``torchrun`` starts them."""

import atexit
import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...data.contracts.errors import UsageError, cut
from ...pipeline.machine import torch_device

_BY_TORCHRUN = "torchrun sets these variables; `unset WORLD_SIZE RANK LOCAL_RANK` trains in one process"


class Distributed:
    """The processes of this job: one, unless ``torchrun`` started several.

    Every process encodes its share of the batch, then all encodings are gathered, so that each item meets the
    negatives of the whole batch. A gathered encoding sends its gradient back to the process that made it,
    summed over processes; averaging the parameters' gradients then gives those of one process with the whole
    batch, for parameters used before the gathering and after it alike.
    """

    def __init__(self) -> None:
        self.count = _number("WORLD_SIZE", 1)
        self.rank = _number("RANK", 0)
        self.local_rank = _number("LOCAL_RANK", self.rank)
        """Among the processes of this machine."""
        self.local_count = _number("LOCAL_WORLD_SIZE", self.count)
        if not 0 <= self.rank < self.count:
            raise UsageError(
                f"RANK must be from 0 to WORLD_SIZE - 1, got RANK={self.rank} and WORLD_SIZE={self.count}. "
                + _BY_TORCHRUN
            )

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def connect(self, device: torch.device) -> None:
        """Meet the other processes, once; they part when this one ends.

        Raises:
            UsageError: the variables that say where they are do not lead to them.
        """
        if self.count > 1 and not dist.is_initialized():
            # This module's functions take the group that exists at its import as their default argument. Imported
            # later (torch.optim does so), they would keep the group, and its threads, alive beyond `shutdown`.
            importlib.import_module("torch.distributed.nn.functional")
            if device.type == "cuda":
                torch.cuda.set_device(device)  # to it nccl copies what is broadcast, wherever that lies
            try:
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            except (ValueError, RuntimeError) as error:
                raise UsageError(
                    f"the {self.count} processes of this training cannot meet ({cut(str(error))}). {_BY_TORCHRUN}"
                ) from error
            atexit.register(shutdown)

    def device(self, wanted: str) -> torch.device:
        """The device this process computes on: of several on a machine each takes the GPU of its ``LOCAL_RANK``.

        Raises:
            UsageError: the device is not there, or one GPU is named for several processes.
        """
        if self.count == 1:
            return torch_device(wanted, gpu="cuda:0")
        device = torch_device(wanted)
        if device.type != "cuda":
            return device
        return torch.device("cuda", self.gpu_of_own(device.index, torch.cuda.device_count()))

    def gpu_of_own(self, wanted: int | None, num_gpus: int) -> int:
        """Which of the GPUs that this process sees is its own.

        Args:
            wanted: the one that was asked for by its number, or None.
            num_gpus: how many it sees.

        Raises:
            UsageError: two processes would share it, which nccl cannot.
        """
        if wanted is not None and self.local_count == 1:
            return wanted
        if wanted is not None:
            raise UsageError(
                f"device cuda:{wanted} cannot be shared by the {self.local_count} processes that torchrun started on "
                "this machine: use --device cuda, and each takes a GPU of its own. CUDA_VISIBLE_DEVICES chooses which"
            )
        if self.local_rank >= num_gpus:
            raise UsageError(
                f"process {self.local_rank} of the {self.local_count} that torchrun started on this machine has no "
                f"GPU: torch sees {num_gpus}. Start as many: --nproc-per-node={num_gpus}, or use --device cpu"
            )
        return self.local_rank

    def on_first_rank(self, work: Callable[[], None]) -> None:
        """Do something in the first process only, before any other process goes on."""
        if self.is_first:
            work()
        self.broadcast(None)

    def share(self, batch: int) -> slice:
        """The part of a batch that this process encodes."""
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def all_gather(self, encoded: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The encodings of all processes, in the order of the batch."""
        if self.count == 1:
            return encoded
        return {name: _AllGather.apply(tensor, self.rank, self.count) for name, tensor in encoded.items()}

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes, in one message."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        pieces = flat.split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def broadcast(self, value: Any) -> Any:
        """The first process's value, on every process."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


def _number(name: str, otherwise: int) -> int:
    """What torchrun says in the environment.

    Raises:
        UsageError: it is no number.
    """
    said = os.environ.get(name, "") or str(otherwise)
    if not said.isdecimal():
        raise UsageError(
            f"the environment variable {name} must be a number, as torchrun sets it, got {said!r}"
        )
    return int(said)


def shutdown() -> None:
    """Leave the other processes, and end the threads that spoke to them.

    Such a thread frees a tensor after the last message; in an interpreter that is ending, that aborts the process.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


class _AllGather(torch.autograd.Function):
    """All processes' tensors along the first axis; backward sums the gradients and returns the own part."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rank: int, count: int) -> Tensor:
        ctx.rank, ctx.items = rank, len(tensor)
        is_mask = tensor.dtype == torch.bool
        sent = (tensor.to(torch.uint8) if is_mask else tensor).contiguous()
        received = [torch.empty_like(sent) for _ in range(count)]
        dist.all_gather(received, sent)
        gathered = torch.cat(received)
        return gathered.bool() if is_mask else gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[ctx.rank * ctx.items : (ctx.rank + 1) * ctx.items], None, None
