"""Evaluation against the published way, and at a size no matrix fits: ``python -m benchmarks.evaluation``.

1. All similarities of 1,000 texts and 1,000 videos with the xclip head, against the double loop over blocks of
   64 x 64 of CLIP4Clip's and X-CLIP's ``_run_on_single_gpu``: there the temporal transformer of the videos runs
   anew in every block, texts are padded to the longest allowed, and each block goes to numpy by itself.
2. Ranks of 100,000 texts among 100,000 videos with mean_pool, with the memory it takes beyond the features.
"""

import argparse
import resource
import time
from statistics import median

import numpy as np
import torch
from tvr.heads import mean_pool, xclip
from tvr.heads.base import Head, TextFeatures, VideoFeatures
from tvr.heads.evaluation.evaluate import evaluate
from tvr.heads.evaluation.scores import similarity_matrix
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.training.distributed import Distributed

from .generated import caption_lengths, features
from .record import keep

ITEMS, PUBLISHED_BLOCK, WORDS, FRAMES = 1_000, 64, 32, 12
WANTED_SPEEDUP, ALLOWED_DIFFERENCE = 5.0, 1e-4


def main() -> None:
    """Measure both and keep the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=100_000, help="items of the second part; 0: without")
    parser.add_argument("--large-dim", type=int, default=512)
    arguments = parser.parse_args()
    figures = {"xclip_1000": _against_published(arguments.rounds)}
    if arguments.large:
        figures["mean_pool_large"] = _large(arguments.large, arguments.large_dim)
    keep("evaluation", figures)


def _against_published(rounds: int) -> dict[str, float]:
    device = Distributed().device("auto")
    some = features(ITEMS, 1, frames=FRAMES, word_lengths=caption_lengths(ITEMS)).placed_on(device)
    torch.manual_seed(0)
    head = xclip.Head(xclip.Config(init="random"), some.shape(FRAMES, WORDS)).to(device).eval()
    seconds: dict[str, list[float]] = {"ours": [], "published": []}
    ours = published = np.zeros(0)
    for _ in range(rounds):
        started = time.perf_counter()
        ours = similarity_matrix(head, some).numpy()
        seconds["ours"].append(time.perf_counter() - started)
        started = time.perf_counter()
        published = _published_loop(head, some)
        seconds["published"].append(time.perf_counter() - started)
    difference = float(np.abs(ours - published).max())
    assert difference <= ALLOWED_DIFFERENCE, f"the two ways differ by {difference}"
    return {
        "ours_seconds": round(median(seconds["ours"]), 3),
        "published_seconds": round(median(seconds["published"]), 3),
        "speedup": round(
            median(p / o for p, o in zip(seconds["published"], seconds["ours"], strict=True)), 2
        ),
        "wanted_speedup": WANTED_SPEEDUP,
        "largest_difference": difference,
    }


@torch.no_grad()
def _published_loop(head: Head, some: FeatureSet) -> np.ndarray:
    texts = [_padded(some.text_batch(b, WORDS)) for b in torch.arange(ITEMS).split(PUBLISHED_BLOCK)]
    videos: list[VideoFeatures] = [
        some.video_batch(b, FRAMES) for b in torch.arange(ITEMS).split(PUBLISHED_BLOCK)
    ]
    rows: list[np.ndarray] = []
    for text in texts:
        row: list[np.ndarray] = []
        for video in videos:
            block = head.similarity(head.encode_text(text), head.encode_video(video))
            row.append(block.cpu().detach().numpy())
        rows.append(np.concatenate(row, axis=-1))
    return np.concatenate(rows, axis=0)


def _padded(text: TextFeatures) -> TextFeatures:
    missing = WORDS - text.words.shape[1]
    words = torch.nn.functional.pad(text.words, (0, 0, 0, missing))
    return TextFeatures(words, torch.nn.functional.pad(text.mask, (0, missing)), text.sentence)


def _large(items: int, dim: int) -> dict[str, float]:
    device = Distributed().device("auto")
    some = features(items, 1, dim=dim, frames=FRAMES, words=1).placed_on(device)
    head = mean_pool.Head(mean_pool.Config(), some.shape(FRAMES)).to(device)
    before = _peak_gib()
    started = time.perf_counter()
    ranks = evaluate(head, some).ranks
    seconds = time.perf_counter() - started
    assert ranks.t2v.num_queries == ranks.v2t.num_queries == items
    return {
        "items": items,
        "dim": dim,
        "seconds": round(seconds, 1),
        "features_gib": round(some.num_bytes / 2**30, 2),
        "matrix_gib_if_it_were_held": round(4 * items**2 / 2**30, 1),
        "peak_gib_beyond_features": round(_peak_gib() - before, 2),
    }


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30


if __name__ == "__main__":
    main()
