"""From a checkpoint file to a network's tensors; of what the file says nothing is run, but where that was asked for."""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ....data.contracts.errors import WeightsError
from .file_kinds import why_no_weights

_UNREADABLE = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AssertionError,
    struct.error,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    OSError,
    StopIteration,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    SafetensorError,
)
"""What open_clip, numpy and torch raise on files that are damaged, no checkpoint, or another model's."""

_OF_NUMPY = (".npz", ".npy")
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's archives hold beside the weights."""
_MAX_CHARACTERS = 600


def load_checkpoint(model: Any, path: Path, *, is_scripted: bool, name: str) -> None:
    """Fill a model from a checkpoint, every parameter of it and nothing else.

    Args:
        model: of open_clip.
        path: the file.
        is_scripted: whether a TorchScript archive was asked for: code of such a file may run. Of every other file
            tensors alone are read, and what else a pickle asks for is refused.
        name: of the model, for errors.

    Raises:
        WeightsError: the file is unreadable, or another model's.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch.jit.load is deprecated, and there is no other way to read these
            if is_scripted:
                archive = torch.jit.load(str(path), map_location="cpu").state_dict()
                model.load_state_dict({key: archive[key] for key in archive if key not in _NO_WEIGHTS})
                return
        _check_positions(model, path)
        open_clip.load_checkpoint(model, str(path), weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path} does not hold weights of {name}: {_reason(path, error)}. Name the checkpoint's own "
            "model with --model, or another checkpoint with --pretrained"
        ) from error


def _reason(path: Path, error: Exception) -> str:
    """What was wrong, in one line. Torch's advice to let a file run its code is not passed on."""
    if path.suffix not in _OF_NUMPY and (kind := why_no_weights(path, error)) is not None:
        return kind
    if "weights_only" in str(error):
        return "it is no whole file of tensors"
    reason = " ".join(str(error).split())
    return reason if len(reason) <= _MAX_CHARACTERS else f"{reason[:_MAX_CHARACTERS]} ..."


def _check_positions(model: Any, path: Path) -> None:
    """Refuse weights of another picture or context size, which open_clip would stretch to fit without a word."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if "pos" in name}
    for name, shape in _shapes(path).items():
        if shape != expected.get(name, shape):
            raise ValueError(f"{name} has shape {list(shape)} there and {list(expected[name])} in the model")


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in a file, without reading them where its format allows that; none of numpy's."""
    if path.suffix in _OF_NUMPY:
        return {}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    is_mapped = zipfile.is_zipfile(path)
    content: Any = torch.load(path, map_location="cpu", mmap=is_mapped, weights_only=True)
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds one {type(content).__name__}, not tensors by name")
    weights = content.get("state_dict", content)
    tensors = {name: tensor for name, tensor in weights.items() if isinstance(tensor, Tensor)}
    return {name.removeprefix("module."): tuple(tensor.shape) for name, tensor in tensors.items()}
