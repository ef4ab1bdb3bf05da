"""The pictures of a report, each a PNG file."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..evaluation.ranks import Ranks
from ..search.alignment import Alignment
from .escaping import in_picture

DOTS_PER_INCH = 110
_AROUND_MAP, _NARROWEST_MAP, _WIDEST_MAP = 3.0, 2.0, 6.0
"""Inches: for labels and colours beside a map, and of the map itself."""
_CELL, _LABEL = 0.5, 0.22
"""Inches of a frame, where there are few, and that a label of its seconds takes."""


def curves(metrics: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Loss terms and validation recalls by epoch."""
    _save(curves_figure(metrics), file)


def curves_figure(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """The two plots; a point of its own for each epoch, since a line of one epoch shows nothing."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in metrics]
    for name in metrics[0]["loss"]:
        values = [line["loss"].get(name, np.nan) for line in metrics]
        left.plot(epochs, values, label=in_picture(name), marker=".")
    left.set(title="training loss", xlabel="epoch", ylabel="loss")
    validated = [line for line in metrics if line["val"] is not None]
    for way, style, marker in (("t2v", "-", "."), ("v2t", "--", "x")):
        told = [line for line in validated if way in line["val"]]
        for k in (1, 5, 10):
            points = [line["val"][way][f"R@{k}"] for line in told]
            right.plot([line["epoch"] for line in told], points, style, marker=marker, label=f"{way} R@{k}")
    for best in [line["epoch"] for line in metrics if line["is_best"]][-1:]:
        right.axvline(best, color="grey", linewidth=0.8, zorder=0)
    right.set(title="validation recall; the line is the epoch that is kept", xlabel="epoch", ylabel="%")
    right.set_ylim(-4, 104)
    for axes in (left, right):
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        legend = axes.legend(fontsize="small", ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))
        for text in legend.get_texts():
            text.set_parse_math(False)  # a name such as "$$" is no formula
    return figure


def rank_histogram(t2v: Ranks, v2t: Ranks, file: Path) -> None:
    """How many queries have their true match at which rank, in bins that double."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (title, ranks) in zip(figure.subplots(1, 2), (("t2v", t2v), ("v2t", v2t)), strict=True):
        edges = [1.0, 2.0]
        while edges[-1] <= ranks.candidates:
            edges.append(edges[-1] * 2)
        counts, _ = np.histogram(ranks.ranks, bins=edges)
        labels = [f"{int(a)}" if b - a == 1 else f"{int(a)}-{int(b) - 1}" for a, b in pairwise(edges)]
        axes.bar(labels, counts, color="tab:blue")
        axes.set(title=f"{title}: rank of the true match among {ranks.candidates:,}", ylabel="queries")
        axes.tick_params(axis="x", labelrotation=60)
    _save(figure, file)


def alignment_map(alignment: Alignment, file: Path) -> None:
    """Words against frames and, below it, clips against frames."""
    _save(alignment_figure(alignment), file)


def alignment_figure(alignment: Alignment) -> Figure:
    """The maps, as wide as their frames and as high as their words need."""
    words = [in_picture(word) for word in alignment.words]
    heights = [len(words)] if alignment.clips is None else [len(words), len(alignment.clips)]
    width = _AROUND_MAP + min(max(_CELL * len(alignment.frame_seconds), _NARROWEST_MAP), _WIDEST_MAP)
    figure = Figure(figsize=(width, 0.25 * sum(heights) + 1.1 * len(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    owner = "the head's" if alignment.is_of_head else "the stored features'"
    _map(axes[0], alignment.scores.numpy(), alignment, f"cosine of {owner} words and frames")
    # A word of a caption such as "$$" is no formula.
    axes[0].set_yticks(range(len(words)), words, fontsize="small", parse_math=False)
    if alignment.clips is not None:
        _map(axes[1], alignment.clips.numpy(), alignment, "share of each frame in each clip")
        clips = [f"clip {k + 1}" for k in range(len(alignment.clips))]
        axes[1].set_yticks(range(len(clips)), clips, fontsize="small")
    axes[-1].set_xlabel("seconds", fontsize="small")
    return figure


def strip(frames: UInt8[np.ndarray, "frame height width 3"], file: Path) -> None:
    """A few frames side by side."""
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(file)


def _map(axes: Axes, values: np.ndarray, alignment: Alignment, title: str) -> None:
    image = axes.imshow(values, aspect="auto", cmap="viridis")
    count = len(alignment.frame_seconds)
    told = range(0, count, ceil(count * _LABEL / _WIDEST_MAP))
    labels = [f"{alignment.frame_seconds[k]:.{alignment.decimals}f}" for k in told]
    axes.set_xticks(told, labels, rotation=60, fontsize="small")
    axes.set_title(title, fontsize="small")
    axes.figure.colorbar(image, ax=axes).ax.tick_params(labelsize="small")


def _save(figure: Figure, file: Path) -> None:
    with warnings.catch_warnings():
        # A word in a script that the font lacks is drawn as boxes, which tells as much as the warning.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(file, dpi=DOTS_PER_INCH)
