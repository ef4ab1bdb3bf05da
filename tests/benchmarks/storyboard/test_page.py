"""The tables of the page come from the figures that are kept."""

import json
from pathlib import Path

import pytest

from benchmarks.record import RESULTS
from benchmarks.storyboard.page import PAGE, README, earlier_tables, fill, short_table, tables

ROW = {
    "label": "hcmi",
    "lr": 0.001,
    "logit_scale": None,
    "mean": {"test/t2v/R@1": 81.26, "parameters": 12345.0, "seconds": 60.4, "spans/frame_word/iou": 0.6123},
    "deviation": {"test/t2v/R@1": 0.44, "parameters": 0.0, "seconds": 1.6},
}


def test_cells_say_how_far_seeds_differ() -> None:
    found = tables({"heads": [ROW]})
    assert "| hcmi | 81.3 ± 0.4 |" in found["heads"]
    assert "| 12,345 | 60 ± 2 | 0.001 |" in found["cost"]
    assert "| 0.61 |" in found["ground-truth"]


def test_the_best_setting_of_a_head_is_bold() -> None:
    tried = [
        {"lr": 0.004, "logit_scale": None, "validation_score": 540.0},
        {"lr": 0.008, "logit_scale": 50.0, "validation_score": 556.2},
    ]
    lines = tables({"heads": [ROW], "tuning": [{"label": "hcmi", "tried": tried}]})["tuning"].splitlines()
    assert lines[0] == "| | 0.004, encoder's | 0.008, 50 |"
    assert lines[2] == "| hcmi | 90.0 | **92.7** |"


def test_a_page_keeps_its_words(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    fill({"heads": [ROW | {"label": "before"}]}, page)
    page.write_text(page.read_text().replace("# Storyboard", "# Ours\n\nWhat we found."))
    fill({"heads": [ROW | {"label": "wti"}]}, page)
    assert "# Ours\n\nWhat we found.\n\n<!-- table: heads -->\n| | t2v R@1 |" in page.read_text()
    assert "| before |" not in page.read_text()


def test_fill_fails_without_a_mark(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: heads -->\n<!-- end of table: heads -->\n")
    with pytest.raises(ValueError, match="no mark <!-- table: cost -->"):
        fill({"heads": [ROW]}, page)


def test_the_page_holds_the_kept_figures() -> None:
    figures = json.loads((RESULTS / "storyboard.json").read_text())["figures"]
    page = PAGE.read_text()
    for name, table in (tables(figures) | earlier_tables()).items():
        assert table in page, f"docs/storyboard.md shows other {name} than benchmarks/results/storyboard.json"
    assert short_table(figures) in README.read_text()
