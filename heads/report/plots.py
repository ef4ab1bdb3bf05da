"""The pictures of a report, each a PNG file."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..evaluation.ranks import Ranks
from .alignment import Alignment
from .escaping import in_picture

DOTS_PER_INCH = 110


def curves(metrics: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Loss terms and validation recalls by epoch."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in metrics]
    for name in metrics[0]["loss"]:
        values = [line["loss"].get(name, np.nan) for line in metrics]
        left.plot(epochs, values, label=in_picture(name), marker=".")
    left.set(title="training loss", xlabel="epoch", ylabel="loss")
    for text in left.legend(fontsize="small").get_texts():
        text.set_parse_math(False)  # a name such as "$$" is no formula
    validated = [line for line in metrics if line["val"] is not None]
    for way, style in (("t2v", "-"), ("v2t", "--")):
        told = [line for line in validated if way in line["val"]]
        for k in (1, 5, 10):
            points = [line["val"][way][f"R@{k}"] for line in told]
            right.plot([line["epoch"] for line in told], points, style, label=f"{way} R@{k}")
    for best in [line["epoch"] for line in metrics if line["is_best"]][-1:]:
        right.axvline(best, color="grey", linewidth=0.8)
    right.set(title="validation recall; the line is the epoch that is kept", xlabel="epoch", ylabel="%")
    right.legend(fontsize="small", ncols=2)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, file)


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
    rows = 1 if alignment.clips is None else 2
    height = (
        1.2
        + 0.22 * len(alignment.words)
        + (0 if alignment.clips is None else 1 + 0.25 * len(alignment.clips))
    )
    figure = Figure(figsize=(9, height), layout="constrained")
    heights = (
        [len(alignment.words)] if alignment.clips is None else [len(alignment.words), len(alignment.clips)]
    )
    axes = figure.subplots(rows, 1, squeeze=False, height_ratios=heights)[:, 0]
    owner = "the head's" if alignment.is_of_head else "the stored features'"
    _map(axes[0], alignment.scores.numpy(), alignment, f"cosine of {owner} words and frames")
    # A word of a caption such as "$$" is no formula.
    words = [in_picture(word) for word in alignment.words]
    axes[0].set_yticks(range(len(words)), words, fontsize="small", parse_math=False)
    if alignment.clips is not None:
        _map(axes[1], alignment.clips.numpy(), alignment, "share of each frame in each clip")
        axes[1].set_yticks(
            range(len(alignment.clips)), [f"clip {k + 1}" for k in range(len(alignment.clips))]
        )
    axes[-1].set_xlabel("seconds")
    _save(figure, file)


def strip(frames: UInt8[np.ndarray, "frame height width 3"], file: Path) -> None:
    """A few frames side by side."""
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(file)


def _map(axes: Axes, values: np.ndarray, alignment: Alignment, title: str) -> None:
    image = axes.imshow(values, aspect="auto", cmap="viridis")
    seconds = [f"{second:.1f}" for second in alignment.frame_seconds]
    axes.set_xticks(range(len(seconds)), seconds, rotation=60, fontsize="small")
    axes.set_title(title, fontsize="small")
    axes.figure.colorbar(image, ax=axes)


def _save(figure: Figure, file: Path) -> None:
    with warnings.catch_warnings():
        # A word in a script that the font lacks is drawn as boxes, which tells as much as the warning.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(file, dpi=DOTS_PER_INCH)
