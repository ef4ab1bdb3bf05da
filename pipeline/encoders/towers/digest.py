"""One name for a set of weights, the same on every device and for every order of the parameters."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def weights_digest(state_dict: Mapping[str, Tensor]) -> str:
    """sha256 over name, dtype, shape and bytes of every tensor, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        tensor = state_dict[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
