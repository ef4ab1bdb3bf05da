import csv
from pathlib import Path
from typing import get_args

from tvr.heads.report.published import Trained, published, published_for


def test_every_row_says_what_it_is_and_where_it_is_from() -> None:
    for row in published():
        assert row.direction in ("t2v", "v2t")
        assert row.encoder in get_args(Trained)
        assert row.normalisation in ("none", "none stated", "DSL", "unknown")
        assert all((row.model, row.backbone, row.source, row.figures))
        assert all(0 < row.figures[name] <= 100 for name in row.figures if name.startswith("R@"))
        recalls = [row.figures[name] for name in ("R@1", "R@5", "R@10") if name in row.figures]
        assert recalls == sorted(recalls)


def test_only_the_same_test_split_is_compared() -> None:
    assert {row.split for row in published_for("msrvtt", 1000)} == {"1k-A"}
    assert published_for("msrvtt", 2990) == []
    assert published_for("didemo", 1003) == published_for("didemo", 1004) != []
    assert published_for("folder", 1000) == []


def test_every_collected_figure_is_there(shared: Path) -> None:
    names = {
        "MSR-VTT-1kA": "msrvtt",
        "MSVD": "msvd",
        "LSMDC": "lsmdc",
        "DiDeMo": "didemo",
        "ActivityNet": "activitynet",
    }
    rows = published()
    for entry in csv.DictReader((shared / "published" / "results.csv").read_text().splitlines()):
        normalisation = entry["normalisation"].split(" (")[0]
        found = [
            row.figures[entry["metric"]]
            for row in rows
            if (row.model, row.dataset, row.direction)
            == (entry["model"], names[entry["dataset"]], entry["direction"])
            and (row.encoder, row.normalisation) == (entry["encoder"], normalisation)
            and entry["metric"] in row.figures
        ]
        assert found == [float(entry["value"])], entry
