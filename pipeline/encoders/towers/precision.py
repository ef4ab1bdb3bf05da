"""On which device and in which number format the towers multiply; batch norms folded into the convolutions."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ....data.contracts.errors import UsageError
from ...machine import torch_device
from ..base import Precision

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Arithmetic:
    """A device and the number format of the matrix products on it."""

    device: torch.device
    precision: Precision

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move the model to the device, its large weight matrices in the format of the products.

        What is left in float32 (norms, embeddings, projections) is what autocast computes in float32, or is
        small. With the matrices cast once instead of in every pass, ViT-B-32 gains about a tenth.
        """
        model = model.to(self.device).eval()
        if self.precision != "fp32":
            for module in model.modules():
                _cast_matrices(module, _DTYPES[self.precision])
        return model

    @contextmanager
    def running(self) -> Generator[None]:
        """The context in which towers are run.

        It is ``no_grad`` and not ``inference_mode``, and the weights still ask for gradients, because of what
        torch does on a CPU with the transposed input of an attention layer: one matrix product for the whole batch
        if the weight asks for gradients, else one per position with a copy of the weight for each, which makes
        bfloat16 slower than float32 instead of three times faster (torch 2.15, ViT-B-32).
        """
        with torch.no_grad(), self._autocast():
            yield

    def _autocast(self) -> torch.autocast:
        dtype = _DTYPES[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32")


def arithmetic(device: str, precision: str) -> Arithmetic:
    """The device and format that are asked for.

    ``auto`` is bf16 on a CPU that multiplies it in hardware (AVX512-BF16 or AMX), bf16 on a CUDA device from
    Ampere on, fp16 on an older one, and fp32 elsewhere.

    Raises:
        UsageError: the device does not exist here, or fp16 on a CPU.
    """
    chosen = torch_device(device)
    if chosen.type == "cpu" and precision == "fp16":
        raise UsageError("--precision fp16 needs a GPU, and the device is cpu: use bf16, fp32 or auto")
    if precision == "auto":
        return Arithmetic(chosen, _fastest(chosen))
    for known in _DTYPES:
        if precision == known:
            return Arithmetic(chosen, known)
    raise UsageError(f"--precision must be one of auto, {', '.join(_DTYPES)}, got {precision!r}")


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has AVX512-BF16 or AMX."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


def fold_batch_norms(network: nn.Module) -> None:
    """Make one of each convolution and the batch norm behind it, in a network that registers them in that order.

    In inference a batch norm is a scale and a shift. On a CPU in bfloat16 it took a fifth of RN50's time, because it
    is computed in float32.
    """
    for module in network.modules():
        _fold(module)


def _fastest(device: torch.device) -> Precision:
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    if device.type == "cpu" and cpu_multiplies_bfloat16():
        return "bf16"
    return "fp32"


def _cast_matrices(module: nn.Module, dtype: torch.dtype) -> None:
    """The weights of one layer that autocast would cast in every pass."""
    names = {nn.Linear: "weight", nn.Conv2d: "weight", nn.MultiheadAttention: "in_proj_weight"}
    for kind, name in names.items():
        weight: Any = getattr(module, name, None) if isinstance(module, kind) else None
        if weight is not None:
            weight.data = weight.data.to(dtype)


def _fold(module: nn.Module) -> None:
    """Each batch norm that is registered right after a convolution: in these blocks it also follows it."""
    for (name, convolution), (norm_name, norm) in pairwise(list(module.named_children())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, norm_name, nn.Identity())
