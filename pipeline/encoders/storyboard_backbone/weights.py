"""The shipped weights of ``tvr-storyboard`` and how open_clip comes to know the model.

    register()
    model = open_clip.create_model(MODEL_NAME)
    model.load_state_dict(state_dict())

The file keeps the vocabulary rows of the words that occur in the training captions, and those of the start, end and
padding tokens. Every other row of the standard vocabulary, such as those of "then" and "moves", is what it was before
training: ``untrained_rows``.
"""

from pathlib import Path

import numpy as np
import open_clip
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor

MODEL_NAME = "tvr-storyboard"
"""The model's name in open_clip, once it is registered."""
TAG = "storyboard"
"""What stands in the place of a pretrained tag."""
TABLE = "token_embedding.weight"
"""The parameter of which only the rows that occur are kept."""
KEPT_IDS = "token_embedding.kept_ids"
"""The token ids of those rows in the file."""

FOLDER = Path(__file__).parent
MODEL_CONFIG = FOLDER / f"{MODEL_NAME}.json"
WEIGHTS = FOLDER / "weights.safetensors"
RECORD = FOLDER / "training.json"
"""How the weights were made: command, seed, time, loss."""

VOCABULARY_ROWS = 49408
"""Of open_clip's standard tokenizer."""
UNTRAINED_STD = 0.02
"""Of the rows before training, as open_clip initialises them."""
UNTRAINED_SEED = 20_220_101


def register() -> None:
    """Make the model known to open_clip by its name. Doing so again changes nothing."""
    if MODEL_NAME not in open_clip.list_models():
        open_clip.add_model_config(MODEL_CONFIG)


def state_dict() -> dict[str, Tensor]:
    """The shipped weights in float32, with the vocabulary at its full size."""
    weights = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(WEIGHTS).items()
    }
    kept, ids = weights.pop(TABLE), weights.pop(KEPT_IDS)
    table = untrained_rows(kept.shape[1])
    table[ids.long()] = kept
    return {**weights, TABLE: table}


def compact(weights: dict[str, Tensor], ids: Int[Tensor, " token"]) -> dict[str, Tensor]:
    """What the file holds of full weights: half precision, and of the vocabulary only the rows of these ids."""
    kept = {**weights, TABLE: weights[TABLE][ids.long()]}
    halved = {name: tensor.half().contiguous() for name, tensor in kept.items()}
    return {**halved, KEPT_IDS: ids.int()}


def untrained_rows(width: int) -> Float[Tensor, "token width"]:
    """The vocabulary before training. Uniform numbers, which need no logarithm, are the same on every machine."""
    uniform = np.random.RandomState(UNTRAINED_SEED).random_sample((VOCABULARY_ROWS, width))
    return torch.from_numpy(((2 * uniform - 1) * (UNTRAINED_STD * 3**0.5)).astype(np.float32))
