"""How much faster texts are encoded than by open_clip's own full-context tower: ``python -m benchmarks.text_encoding``.

10-word captions, all different, in float32 on the same weights; the two are run in turns.
"""

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
import open_clip
import torch
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers.frozen import FrozenEncoder

from .record import keep

WORDS = (
    "man",
    "dog",
    "red",
    "runs",
    "on",
    "the",
    "beach",
    "with",
    "two",
    "cats",
    "and",
    "small",
    "blue",
    "car",
)
WORDS_PER_CAPTION = 10
CAPTIONS_PER_PASS = 64
WANTED_SPEED_UP = 3.0
MAX_DISTANCE = 1e-6


def main() -> None:
    """Measure both in turns, a few times, and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--captions", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    captions = _captions(chosen.captions)
    encoder = clip.load(chosen.model, "random", device="cpu", precision="fp32")
    seconds: dict[str, list[float]] = {"full_context": [], "to_longest": []}
    distance = 0.0
    for _ in range(chosen.rounds):
        started = time.perf_counter()
        full = _full_context(encoder, captions)
        seconds["full_context"].append(time.perf_counter() - started)
        started = time.perf_counter()
        texts = encoder.encode_texts(captions)
        seconds["to_longest"].append(time.perf_counter() - started)
        distance = max(distance, _cosine_distance(np.stack([t.words[t.sentence_row] for t in texts]), full))
    ratios = [full / cut for full, cut in zip(seconds["full_context"], seconds["to_longest"], strict=True)]
    keep(
        "text_encoding",
        {
            "model": chosen.model,
            "captions": chosen.captions,
            "words_per_caption": WORDS_PER_CAPTION,
            "threads": torch.get_num_threads(),
            "captions_per_second": {
                name: round(chosen.captions / median(s), 1) for name, s in seconds.items()
            },
            "speed_up": round(median(ratios), 2),
            "wanted_speed_up": WANTED_SPEED_UP,
            "largest_cosine_distance": distance,
            "allowed_cosine_distance": MAX_DISTANCE,
            "met": median(ratios) >= WANTED_SPEED_UP and distance < MAX_DISTANCE,
        },
    )


def _captions(count: int) -> list[str]:
    dice = np.random.default_rng(0)
    return [" ".join(dice.choice(WORDS, WORDS_PER_CAPTION)) for _ in range(count)]


def _full_context(encoder: FrozenEncoder, captions: list[str]) -> np.ndarray:
    """open_clip's own way: all positions of every caption. It gives one row per caption and no words."""
    model: Any = encoder.texts.model
    tokens = open_clip.get_tokenizer(encoder.identity.model)(captions)
    with torch.no_grad():
        return torch.cat([model.encode_text(part) for part in tokens.split(CAPTIONS_PER_PASS)]).numpy()


def _cosine_distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest of any caption, in float64."""
    one, other = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in map(np.float64, (found, expected))
    )
    return float((1 - (one * other).sum(axis=1)).max())


if __name__ == "__main__":
    main()
