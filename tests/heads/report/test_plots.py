"""Figures of whatever captions say."""

from pathlib import Path

import torch
from PIL import Image
from tvr.heads.report.alignment import Alignment
from tvr.heads.report.plots import alignment_map


def test_words_of_a_caption_are_no_formulas(tmp_path: Path) -> None:
    words = ["$$", "$x^$", "\\frac", "[bold]"]
    alignment = Alignment(" ".join(words), words, [0.5, 1.5], torch.rand(4, 2), is_of_head=False, clips=None)
    alignment_map(alignment, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 500
