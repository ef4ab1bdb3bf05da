"""Train the backbone on stills drawn as they are needed, and write its weights with the record of how it went.

    python -m tvr.benchmarks.storyboard_backbone.train

The loss is CLIP's: the symmetric cross-entropy of a batch's similarities (Radford et al. 2021, figure 3).
"""

import argparse
import json
import logging
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from tvr.data.rendering.twins import VERSION
from tvr.data.rendering.world import randomness
from tvr.pipeline.encoders.storyboard_backbone.weights import (
    FOLDER,
    MODEL_NAME,
    RECORD,
    TABLE,
    WEIGHTS,
    compact,
    register,
    untrained_rows,
)

from .stills import Still, draw_still

log = logging.getLogger(__name__)

MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
"""What open_clip normalises pictures with where a model's configuration does not say otherwise."""
SIDE_PIXELS = 64
"""Of a picture, as the model's configuration has it."""
MAX_LOGIT_SCALE = 100.0
HELD_OUT_STILLS = 1000
VOCABULARY_STILLS = 4000
"""So many captions hold every word that any caption can hold."""
STEPS_A_LINE = 50


@dataclass(frozen=True, slots=True)
class Config:
    """What can be chosen; each field is an option of the command."""

    steps: int = 1500
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    """Share of the steps in which the learning rate rises."""
    seed: int = 0
    threads: int = 2
    precision: str = "bfloat16"
    """Of the matrix products: bfloat16 or float32."""


@dataclass(frozen=True, slots=True)
class StillBatch:
    """Stills as the model reads them."""

    pictures: Float[Tensor, "item 3 height width"]
    tokens: Int[Tensor, "item word"]
    """Cut after the last token of the longest caption: the text tower is causal, so that padding changes nothing."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: train, measure on held-out combinations, write weights and record."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config, folder = _parsed(arguments)
    torch.set_num_threads(config.threads)
    started = time.perf_counter()
    model, losses = train(config)
    seconds = time.perf_counter() - started
    save_file(compact(model.state_dict(), _vocabulary()), folder / WEIGHTS.name)
    record = {
        "command": _command(config),
        "config": asdict(config),
        "storyboard_version": VERSION,
        "seconds": round(seconds, 1),
        "loss": {"first": losses[0], "final": float(np.mean(losses[-STEPS_A_LINE:]))},
        "held_out_stills": {"items": HELD_OUT_STILLS, **held_out_recall(model, HELD_OUT_STILLS)},
        "made_with": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cpu": platform.machine(),
        },
    }
    (folder / RECORD.name).write_text(json.dumps(record, indent=2) + "\n")
    log.info("wrote %s: %s", folder, record["held_out_stills"])


def train(config: Config) -> tuple[nn.Module, list[float]]:
    """A trained model, and the loss of every step."""
    model = untrained_model(config.seed)
    optimiser = _optimiser(model, config)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps, pct_start=config.warm_up
    )
    losses: list[float] = []
    for step, batch in enumerate(_batches(config), start=1):
        loss = _contrastive_loss(model, batch, config.precision)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % STEPS_A_LINE == 0:
            log.info("step %d of %d: loss %.3f", step, config.steps, np.mean(losses[-STEPS_A_LINE:]))
    return model, losses


def untrained_model(seed: int) -> nn.Module:
    """The model as training finds it, with the vocabulary rows of ``untrained_rows``."""
    register()
    torch.manual_seed(seed)
    model = open_clip.create_model(MODEL_NAME)
    with torch.no_grad():
        table = model.get_parameter(TABLE)
        table.copy_(untrained_rows(table.shape[1]))
    return model


def encode_text(model: Any, tokens: Int[Tensor, "item word"]) -> Float[Tensor, "item dim"]:
    """What ``model.encode_text`` gives for the padded tokens, without the work for the padding."""
    words = tokens.shape[1]
    hidden = model.token_embedding(tokens) + model.positional_embedding[:words]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:words, :words]))
    return hidden[torch.arange(len(tokens)), tokens.argmax(dim=1)] @ model.text_projection


def held_out_recall(model: nn.Module, items: int) -> dict[str, float]:
    """R@1 in both directions among stills of held-out combinations, whose captions say everything and differ."""
    dice = randomness("held-out stills", VERSION)
    stills: dict[str, Still] = {}
    while len(stills) < items:
        still = draw_still(dice, held_out=True, says_all=True)
        stills[still.caption] = still
    with torch.no_grad():
        text, picture = _features(model, _batch(list(stills.values())))
    similarity = text @ picture.T
    right = torch.arange(len(similarity))
    t2i, i2t = (
        float((scores.argmax(dim=1) == right).float().mean()) for scores in (similarity, similarity.T)
    )
    return {"t2i_r1": round(t2i, 4), "i2t_r1": round(i2t, 4)}


def _contrastive_loss(model: Any, batch: StillBatch, precision: str) -> Float[Tensor, ""]:
    # With so few tokens, plain attention takes half the time of the fused kernel, whose backward pass is slow.
    mixed = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with mixed, sdpa_kernel(SDPBackend.MATH):
        text, picture = _features(model, batch)
    logits = model.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE) * text.float() @ picture.float().T
    right = torch.arange(len(logits))
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


def _features(model: Any, batch: StillBatch) -> tuple[Float[Tensor, "item dim"], Float[Tensor, "item dim"]]:
    """Unit vectors of the captions and of the pictures."""
    text, picture = encode_text(model, batch.tokens), model.encode_image(batch.pictures)
    return functional.normalize(text, dim=-1), functional.normalize(picture, dim=-1)


def _optimiser(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """AdamW; weights of layers decay, but not gains, biases, places and vocabulary: unseen rows must stay."""
    decays = {name: p.ndim >= 2 and "embedding" not in name for name, p in model.named_parameters()}
    groups = [
        {
            "params": [p for name, p in model.named_parameters() if decays[name] == decay],
            "weight_decay": amount,
        }
        for decay, amount in ((True, config.weight_decay), (False, 0.0))
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def _batches(config: Config) -> Iterator[StillBatch]:
    dice = randomness("stills", VERSION, config.seed)
    for _ in range(config.steps):
        yield _batch([draw_still(dice) for _ in range(config.batch)])


def _batch(stills: Sequence[Still]) -> StillBatch:
    pixels = torch.from_numpy(np.stack([still.picture(SIDE_PIXELS) for still in stills])).permute(0, 3, 1, 2)
    pictures = (pixels / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    tokens = _tokenizer()([still.caption for still in stills])
    return StillBatch(pictures, tokens[:, : int(tokens.argmax(dim=1).max()) + 1])


def _vocabulary() -> Int[Tensor, " token"]:
    """The ids of all tokens in training captions, those of start, end and padding among them."""
    dice = randomness("vocabulary", VERSION)
    captions = [draw_still(dice).caption for _ in range(VOCABULARY_STILLS)]
    return _tokenizer()(captions).unique()


@cache
def _tokenizer() -> Any:
    register()
    return open_clip.get_tokenizer(MODEL_NAME)


def _command(config: Config) -> str:
    """What to type for the same training, wherever the weights are to be written."""
    chosen = {name: value for name, value in asdict(config).items() if value != getattr(Config(), name)}
    options = [f"--{name.replace('_', '-')} {value}" for name, value in chosen.items()]
    return " ".join([f"python -m benchmarks.{FOLDER.name}.train", *options])


def _parsed(arguments: Sequence[str] | None) -> tuple[Config, Path]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for field in fields(Config):
        default: Any = field.default
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where weights and record are written")
    options = vars(parser.parse_args(arguments))
    folder = options.pop("folder")
    return Config(**options), folder


if __name__ == "__main__":
    main()
