"""A checkpoint file's tensors by name, read without running anything that the file says."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...data.contracts.errors import WeightsError
from ...pipeline.encoders.weights.file_kinds import why_no_weights

NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the weights among other things."""


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of what ``torch.save`` wrote (tensors only, no code).

    Raises:
        WeightsError: the file is missing, of another kind, or holds no tensors.
    """
    if not file.exists():
        raise WeightsError(
            f"{file}: there is no such file. Give the file its authors released, already unpacked."
        )
    found: Any = _loaded(file)
    while isinstance(found, Mapping) and (
        inner := [name for name in NESTED if isinstance(found.get(name), Mapping)]
    ):
        found = found[inner[0]]
    tensors = dict(found) if isinstance(found, Mapping) else {}
    tensors = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            f"{file} holds no tensors by name: it is no state dict, nor a dictionary with one."
        )
    return tensors


def _loaded(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of TorchScript and of pickles of other protocols: refused anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = why_no_weights(file, error) or "it is damaged, or holds something else than tensors"
        raise WeightsError(
            f"{file} is neither a .safetensors file nor a plain state dict that torch.save wrote: {reason}."
        ) from error
