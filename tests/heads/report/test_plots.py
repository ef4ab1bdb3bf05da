"""Figures of whatever captions say, of one epoch and of many, of few frames and of many."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tvr.heads.report.plots import alignment_figure, alignment_map, curves_figure
from tvr.heads.search.alignment import Alignment


def aligned(words: list[str], seconds: list[float], clips: int = 0) -> Alignment:
    shares = torch.eye(len(seconds))[:clips] if clips else None
    scores = torch.rand(len(words), len(seconds))
    return Alignment(" ".join(words), words, seconds, scores, is_of_head=False, clips=shares)


def test_words_of_a_caption_are_no_formulas(tmp_path: Path) -> None:
    alignment_map(aligned(["$$", "$x^$", "\\frac", "[bold]"], [0.5, 1.5]), tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 500


@pytest.mark.parametrize("frames", [1, 2, 12, 64, 200])
def test_labels_of_frames_stand_apart(frames: int) -> None:
    figure = alignment_figure(
        aligned(["a"] * 24, [100.05 + 1.37 * k for k in range(frames)], min(frames, 16))
    )
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= max(5, 3 + frames / 2), "a picture of few frames is small"
    for axes in figure.axes[:2]:
        inches = axes.get_window_extent().width / figure.dpi
        labels = axes.get_xticklabels()
        assert len(labels) >= min(frames, 8)
        assert inches / len(labels) > 0.15, "a label in this size is that high"
        assert labels[0].get_text() == "100.0"


def test_frames_that_lie_close_have_different_labels() -> None:
    figure = alignment_figure(aligned(["a"], [0.02, 0.06, 0.10]))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0.02", "0.06", "0.10"]


def test_spans_of_clips_are_as_long_as_their_frames() -> None:
    assert aligned(["a"], [0.5, 1.5, 2.5], clips=3).spans == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


@pytest.mark.parametrize("epochs", [1, 3])
def test_curves_show_every_epoch(epochs: int) -> None:
    recalls = {"R@1": 10.0, "R@5": 50.0, "R@10": 100.0}
    figure = curves_figure(
        [
            {
                "epoch": e + 1,
                "loss": {"total": 1.0},
                "val": {"t2v": recalls, "v2t": recalls},
                "is_best": e == 0,
            }
            for e in range(epochs)
        ]
    )
    figure.draw_without_rendering()
    for axes in figure.axes:
        curves = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
        assert all(line.get_marker() != "None" for line in curves), "a line of one point is invisible"
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks == list(range(1, epochs + 1))
    assert [len(axes.lines) for axes in figure.axes] == [1, 7], "with the line of the epoch that is kept"
    assert figure.axes[1].get_ylim()[1] > 100
