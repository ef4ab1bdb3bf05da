"""The pictures of ``docs/storyboard.md``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tvr.data.base import Dataset
from tvr.data.storyboard import PhraseSpan
from tvr.heads.base import Head
from tvr.heads.evaluation.scores import similarity_matrix
from tvr.heads.features.feature_set import FeatureSet
from tvr.heads.report.thumbnails import thumbnails
from tvr.heads.search.alignment import align

from .spans import frame_edges

DOTS_PER_INCH = 110
TOP = 3


def bars(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Recall and twin accuracy of every head, with the deviation over seeds."""
    figure = Figure(figsize=(10, 0.36 * len(rows) + 1.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    labels = [row["label"] for row in rows][::-1]
    places = np.arange(len(rows))
    _bars(left, rows, places, {"t2v R@1": "test/t2v/R@1", "v2t R@1": "test/v2t/R@1"})
    _bars(right, rows, places, {"order twins": "twins/order", "colour twins": "twins/colour"})
    left.set(title="R@1 on the test split, %", yticks=places, yticklabels=labels)
    right.set(title="told from its twin, % (chance: 50)", xlim=(40, 100))
    figure.savefig(file, dpi=DOTS_PER_INCH)


def _bars(
    axes: Axes, rows: Sequence[Mapping[str, Any]], places: np.ndarray, names: Mapping[str, str]
) -> None:
    height = 0.8 / len(names)
    for order, (title, name) in enumerate(names.items()):
        values = [row["mean"][name] for row in rows][::-1]
        deviations = [row["deviation"].get(name, 0.0) for row in rows][::-1]
        axes.barh(places + (0.5 - order) * height, values, height, xerr=deviations, label=title)
    axes.legend(fontsize="small", loc="lower right")
    axes.grid(axis="x", alpha=0.3)


def gallery(head: Head, features: FeatureSet, dataset: Dataset, queries: Sequence[int], file: Path) -> None:
    """The videos that a head ranks highest for some captions, the right one framed."""
    ranked = similarity_matrix(head, features)[list(queries)].topk(TOP, dim=1).indices.tolist()
    wanted = [features.video_ids[video] for row in ranked for video in row]
    frames = thumbnails(dataset.videos, wanted)
    figure = Figure(figsize=(11, 1.35 * len(queries)), layout="constrained")
    axes = figure.subplots(len(queries), TOP, squeeze=False)
    for row, query, found in zip(axes, queries, ranked, strict=True):
        row[0].set_title(f"“{features.texts[query]}”", loc="left", fontsize="x-small")
        for place, video in zip(row, found, strict=True):
            _strip(
                place, frames[features.video_ids[video]], is_right=video == int(features.text_video[query])
            )
    figure.savefig(file, dpi=DOTS_PER_INCH)


def _strip(axes: Axes, frames: UInt8[np.ndarray, "frame height width 3"], *, is_right: bool) -> None:
    axes.imshow(np.concatenate(list(frames), axis=1))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="tab:green" if is_right else "lightgrey", linewidth=3 if is_right else 1)


def alignment(
    head: Head, features: FeatureSet, spans: Mapping[str, Sequence[PhraseSpan]], query: int, file: Path
) -> None:
    """Words against frames of one caption and its video, with the true span of every phrase."""
    found = align(head, features, query, int(features.text_video[query]))
    phrases = spans[features.text_ids[query]]
    edges = frame_edges(found.frame_seconds, phrases[-1].end_seconds)
    levels = {"frames and words": found.scores, "clips and phrases": found.clip_scores}
    shown = {title: scores for title, scores in levels.items() if scores is not None}
    figure = Figure(figsize=(11, 0.22 * len(found.words) + 1), layout="constrained")
    for axes, (title, scores) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        # Against the mean of each frame: what is bright for every word says nothing about one of them.
        image = scores - scores.mean(dim=0, keepdim=True)
        rows = torch.arange(len(found.words) + 1).numpy() - 0.5
        axes.pcolormesh(edges, rows, image.numpy(), cmap="viridis")
        axes.set_yticks(range(len(found.words)), found.words, fontsize="x-small")
        axes.invert_yaxis()
        axes.set(title=title, xlabel="seconds; the lines are where one event ends and the next begins")
        for phrase in phrases[:-1]:
            axes.axvline(phrase.end_seconds, color="white", linestyle="--")
    figure.savefig(file, dpi=DOTS_PER_INCH)
