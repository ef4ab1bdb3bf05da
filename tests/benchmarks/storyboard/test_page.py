"""The tables of the page come from the figures that are kept."""

import json
from pathlib import Path
from typing import Any

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


FIGURES = {"heads": [ROW], "tuning": [], "ablation": []}


def page_of(figures: dict[str, Any], path: Path) -> Path:
    """A page with marks for every table."""
    names = [*tables(figures), *earlier_tables()]
    path.write_text(
        "# Storyboard\n" + "".join(f"<!-- table: {n} -->\n<!-- end of table: {n} -->\n" for n in names)
    )
    return path


def test_cells_say_how_far_seeds_differ() -> None:
    found = tables(FIGURES)
    assert "| hcmi | 81.3 ± 0.4 |" in found["heads"]
    assert "| 12,345 | 60 ± 2 | 0.001 |" in found["cost"]
    assert "| 0.61 |" in found["ground-truth"]


def test_the_best_settings_stand_beside_their_neighbours() -> None:
    def tried(lr: float, logit_scale: float | None, score: float) -> dict[str, float | None]:
        return {"lr": lr, "logit_scale": logit_scale, "validation_score": score}

    both = [tried(0.004, None, 540.0), tried(0.008, 50.0, 556.2), tried(0.008, None, 549.0)]
    lines = tables(FIGURES | {"tuning": [{"label": "hcmi", "tried": both}]})["tuning"].splitlines()
    assert lines[2] == "| hcmi | 3 | 0.008, 50 | 92.7 | 0.008, encoder's: 91.5 |"


def test_a_page_keeps_its_words_and_no_old_table(tmp_path: Path) -> None:
    page = page_of(FIGURES, tmp_path / "page.md")
    tried = [{"lr": 0.004, "logit_scale": None, "validation_score": 540.0}]
    fill({"heads": [ROW], "tuning": [{"label": "before", "tried": tried}], "ablation": []}, page)
    assert "| before |" in page.read_text()
    page.write_text(page.read_text().replace("# Storyboard", "# Ours\n\nWhat we found."))
    fill(FIGURES | {"heads": [ROW | {"label": "wti"}]}, page)
    assert "# Ours\n\nWhat we found.\n<!-- table: heads -->\n| | t2v R@1 |" in page.read_text()
    assert "| before |" not in page.read_text()
    assert "<!-- table: tuning -->\n(not measured in this run)\n" in page.read_text()


def test_fill_fails_without_a_mark(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: heads -->\n<!-- end of table: heads -->\n")
    with pytest.raises(ValueError, match="no mark <!-- table: cost -->"):
        fill(FIGURES, page)


def test_the_page_holds_the_kept_figures(tmp_path: Path) -> None:
    figures = json.loads((RESULTS / "storyboard.json").read_text())["figures"]
    filled = tmp_path / "page.md"
    filled.write_text(PAGE.read_text())
    fill(figures, filled)
    assert filled.read_text() == PAGE.read_text(), "docs/storyboard.md shows other tables than its records"
    assert short_table(figures) in README.read_text()
