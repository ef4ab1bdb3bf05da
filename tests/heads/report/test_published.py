import csv
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from tvr.data.annotation_files.splits import OWN_LIST
from tvr.data.base import Protocol
from tvr.heads.evaluation.evaluate import Evaluation, evaluate
from tvr.heads.evaluation.evaluate_runs import Scored, zero_shot
from tvr.heads.report.published import Trained, published, published_for
from tvr.heads.report.table import comparison_remarks, table_rows

from ...fixtures.generated import generated_features


def test_every_row_says_what_it_is_and_where_it_is_from() -> None:
    for row in published():
        assert row.direction in ("t2v", "v2t")
        assert row.encoder in get_args(Trained)
        assert row.normalisation in ("none", "none stated", "DSL", "unknown")
        assert all((row.model, row.backbone, row.source, row.figures))
        assert all(0 < row.figures[name] <= 100 for name in row.figures if name.startswith("R@"))
        recalls = [row.figures[name] for name in ("R@1", "R@5", "R@10") if name in row.figures]
        assert recalls == sorted(recalls)


def test_the_figures_of_a_row_fit_each_other() -> None:
    """Within a tenth, to which they are rounded: a figure in the column of another one shows here."""
    for row in published():
        recalls = {k: row.figures[f"R@{k}"] for k in (1, 5, 10) if f"R@{k}" in row.figures}
        if median := row.figures.get("MdR"):
            assert all((share >= 50) == (median <= k) for k, share in recalls.items()), row
        if mean := row.figures.get("MnR"):
            assert mean >= least_mean_rank(recalls) - 0.1, row
            assert mean >= (median or 1) / 2, row


def least_mean_rank(recalls: dict[int, float]) -> float:
    """The mean of the best ranks with which these recalls can be had."""
    total, below, first = 0.0, 0.0, 1
    for k, share in sorted(recalls.items()):
        total, below, first = total + (share - below) * first, share, k + 1
    return (total + (100 - below) * first) / 100


def test_a_data_set_has_one_test_split_and_one_protocol() -> None:
    for dataset in {row.dataset for row in published()}:
        rows = [row for row in published() if row.dataset == dataset]
        assert len({(row.split, row.protocol, row.videos) for row in rows}) == 1
        assert rows[0].protocol in get_args(Protocol)


@cache
def evaluated() -> Evaluation:
    """Zero-shot on generated features."""
    features = generated_features("test", videos=6)
    return evaluate(zero_shot(features), features)


def scored_as(dataset: str, videos: int, **changes: Any) -> Scored:
    """As if a whole test split of that size had been evaluated."""
    facts = {
        "dataset": dataset,
        "store": f"features/{dataset}/m",
        "model": "m",
        "random_weights": False,
        "limit": None,
        "split_source": "list.txt",
    }
    facts |= {name: changes.pop(name) for name in list(changes) if name in facts}
    of_split = {"protocol": "single", "videos": videos, "expected_videos": videos} | changes
    return Scored("mean_pool", None, replace(evaluated(), **of_split), facts)


def test_like_stands_beside_like() -> None:
    found = published_for(scored_as("msrvtt", 1000))
    assert {row.split for row in found.rows} == {"1k-A"}
    assert found.remark == ""
    rows = [published_for(scored_as("didemo", count, protocol="paragraph")).rows for count in (1003, 1004)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 18
    assert published_for(scored_as("activitynet", 4917, protocol="paragraph")).rows


@pytest.mark.parametrize(
    ("scored", "why"),
    [
        (scored_as("didemo", 1003, protocol="multi"), "protocol paragraph: these follow multi"),
        (scored_as("msrvtt", 2990, protocol="multi"), "protocol single: these follow multi"),
        (scored_as("msrvtt", 2990), "1k-A, 1,000 videos: this split has 2,990"),
        (scored_as("msrvtt", 1000, split="val"), "the test split: these are of val"),
        (scored_as("lsmdc", 1000, limit=3000), "limited to 3,000 (--limit)"),
        (
            scored_as("msvd", 670, protocol="multi", split_source=f"mine.txt {OWN_LIST}"),
            "these are of mine.txt",
        ),
        (scored_as("folder-mine", 1000), "no published figures of folder-mine are known"),
    ],
)
def test_published_for_fails_with_the_reason(scored: Scored, why: str) -> None:
    assert published_for(scored).rows == ()
    assert why in published_for(scored).remark
    assert all(row.is_own for row in table_rows([scored], compare=True))
    assert why in comparison_remarks([scored])[0]


def test_missing_videos_are_told_beside_the_rows() -> None:
    found = published_for(scored_as("msrvtt", 988, expected_videos=1000))
    assert found.rows
    assert "without 12 of 1,000 the task is easier" in found.remark


def test_figures_of_two_data_sets_share_no_section() -> None:
    both = [scored_as("msrvtt", 1000), scored_as("didemo", 1003, protocol="paragraph")]
    sections = {row.heading.section for row in table_rows(both, compare=True)}
    assert all(
        section.startswith(("msrvtt test (single; ", "didemo test (paragraph; ")) for section in sections
    )
    own = [row.heading.section for row in table_rows(both) if row.direction == "t2v"]
    assert len(own) == len(set(own)) == 2
    rows = [row for row in table_rows(both, compare=True) if row.heading.section.startswith("msrvtt")]
    assert {row.name for row in rows if not row.is_own} <= {
        row.model for row in published() if row.dataset == "msrvtt"
    }


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
