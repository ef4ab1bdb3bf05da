"""Figures of heads that have nothing to train: each with its interval and chance beside it, plain and normalised apart.

An interval is a bootstrap over clips, each with all its captions; so is that of a difference between two ways to score
the same captions, which is narrower than the intervals of both, because most captions succeed or fail with either.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.heads.base import FeatureShape, Head, build_head
from tvr.heads.evaluation.bootstrap import RESAMPLES, bootstrap_intervals
from tvr.heads.evaluation.evaluate import Evaluation, evaluate
from tvr.heads.evaluation.normalisations import COLUMNS
from tvr.heads.evaluation.ranks import BothRanks, Ranks
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.query_scoring import Config as FramesByQuery

MEAN, BEST = "mean_pool", "best_frame"
FIGURES = ("R@1", "R@5", "R@10", "MdR")
WITHOUT_BANK = tuple(name for name, column in COLUMNS.items() if column.kind == "transductive")
_ALL_BUT_NOTHING = 1e-6
"""A temperature at which query_scoring's softmax over frames gives everything to the one of the highest cosine."""

Interval = tuple[float, float]


def untrained_heads(shape: FeatureShape) -> dict[str, Head]:
    """Every head that has nothing to train, with its usual settings, and the best frame.

    The best frame is query_scoring in the limit of its temperature: the highest cosine of any frame with the sentence.
    """
    built = {
        name: build_head(name, load_plug_in("tvr.heads", name).Config(), shape)
        for name in plug_in_names("tvr.heads")
    }
    untrained = {name: head for name, head in built.items() if not any(True for _ in head.parameters())}
    return untrained | {BEST: build_head("query_scoring", FramesByQuery(temperature=_ALL_BUT_NOTHING), shape)}


def evaluations(
    features: FeatureSet, num_frames: int, normalise: Sequence[str] = ()
) -> dict[str, Evaluation]:
    """Each of those heads on every caption and clip, reading so many frames of a clip."""
    heads = untrained_heads(features.shape(num_frames))
    return {name: evaluate(head.to(features.device), features, normalise) for name, head in heads.items()}


def both_directions(ranks: BothRanks) -> dict[str, Any]:
    """Figures of captions that look for clips, and of clips that look for captions."""
    return {"t2v": direction(ranks.t2v), "v2t": direction(ranks.v2t)}


def direction(ranks: Ranks) -> dict[str, Any]:
    """Each figure with its 95 % interval and what an order drawn at random would give."""
    values, intervals, by_chance = ranks.summary(), bootstrap_intervals(ranks), chance(ranks.candidates)
    return {
        name: {
            "value": round(values[name], 1),
            "interval": [round(end, 1) for end in intervals[name]],
            "chance": round(by_chance[name], 1),
        }
        for name in FIGURES
    }


def chance(candidates: int) -> dict[str, float]:
    """What a random order of so many candidates, one of them right, gives on average."""
    recalls = {name: 100 * min(1, int(name[2:]) / candidates) for name in FIGURES if name.startswith("R@")}
    return recalls | {"MdR": (candidates + 1) / 2}


def each_clip_once(ranks: Ranks) -> dict[str, float]:
    """Recalls in which a clip with twenty captions counts no more than a clip with one."""
    _, clip = np.unique(ranks.query_video, return_inverse=True)
    captions = np.bincount(clip)
    return {
        f"R@{k}": round(100 * float((np.bincount(clip, ranks.hits(k)) / captions).mean()), 1)
        for k in (1, 5, 10)
    }


def difference(one: Ranks, other: Ranks) -> dict[str, Any]:
    """How much higher the first's recalls are on the same captions, and whether its interval leaves 0 out."""
    found: dict[str, Any] = {}
    for k in (1, 10):
        gains = 100 * (one.hits(k) - other.hits(k))
        low, high = interval_of_mean(gains, one.query_video)
        found[f"R@{k}"] = {
            "difference": round(float(gains.mean()), 1),
            "interval": [round(low, 1), round(high, 1)],
            "shown": not low <= 0 <= high,
        }
    return found


def interval_of_mean(values: np.ndarray, clip_of_value: np.ndarray) -> Interval:
    """95 % of the mean over captions, clips drawn with replacement: as ``bootstrap_intervals`` draws them."""
    _, cluster = np.unique(clip_of_value, return_inverse=True)
    clips = int(cluster.max()) + 1
    sums, counts = np.bincount(cluster, values), np.bincount(cluster)
    draws = np.random.default_rng(0).multinomial(clips, [1 / clips] * clips, RESAMPLES)
    low, high = np.percentile((draws @ sums) / (draws @ counts), [2.5, 97.5])
    return float(low), float(high)


def ranks_by_caption(found: Mapping[str, Evaluation], features: FeatureSet) -> dict[str, dict[str, float]]:
    """At which place each caption has its clip, by the caption's id and the head; a tie counts by its mean place."""
    ranks = {name: evaluation.ranks.t2v.ranks for name, evaluation in found.items()}
    return {
        text: {name: float(places[row]) for name, places in ranks.items()}
        for row, text in enumerate(features.text_ids)
    }


def by_named_class(ranks: Ranks, texts: Sequence[str], class_names: Sequence[str]) -> dict[str, Any]:
    """R@10 of captions that say the name of a class, and of the others."""
    names = np.array([says_a_class(text, class_names) for text in texts])
    hits = 100 * ranks.hits(10)
    return {
        label: {
            "captions": int(some.sum()),
            "R@10": round(float(hits[some].mean()), 1),
            "interval": [round(end, 1) for end in interval_of_mean(hits[some], ranks.query_video[some])],
        }
        for label, some in (("say_a_class", names), ("say_none", ~names))
    }


def says_a_class(text: str, class_names: Sequence[str]) -> bool:
    """Whether the last word of a class's name (``retriever``, ``cat``), or its plural in s, is a word of the text."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    last = {name.lower().split()[-1] for name in class_names}
    return bool(words & (last | {f"{name}s" for name in last}))
