"""AdamW as the field uses it on retrieval heads: which parameters decay, and how the learning rate moves."""

import math

import torch
from torch import nn

from ..runs.training_config import TrainingConfig

BETAS = (0.9, 0.98)
"""CLIP4Clip's and X-CLIP's."""
EPSILON = 1e-6


def adamw(head: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices only.

    Biases, norms and scalars (everything of one axis or none) are left alone, position tables and matrices
    that start as the identity are decayed, as X-CLIP's ``prep_optimizer`` does by parameter name.
    """
    trained = [p for p in head.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=config.lr, betas=BETAS, eps=EPSILON, fused=True
    )


def learning_rate(config: TrainingConfig, step: int, num_steps: int) -> float:
    """Learning rate of a step (from 0): a linear rise over the warm-up, then half a cosine down to 0.

    Unlike the released schedules the cosine starts where the warm-up ends, so that the rate does not jump.
    """
    warmup_steps = round(config.warmup * num_steps)
    if step < warmup_steps:
        return config.lr * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return config.lr * 0.5 * (1 + math.cos(math.pi * progress))
