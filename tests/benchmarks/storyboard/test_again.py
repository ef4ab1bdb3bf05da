"""Rows that are measured again take the place of their own alone."""

import json
from pathlib import Path

import pytest

from benchmarks.storyboard.again import keep_again


def row(label: str, recall: float) -> dict[str, object]:
    return {"label": label, "mean": {"test/t2v/R@1": recall}}


def test_other_rows_stay_and_the_order_is_by_recall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "storyboard.json"
    heads = [row("mean_pool (zero-shot)", 5), row("hcmi", 90), row("uatvr", 80)]
    tuning = [{"label": "uatvr", "tried": [1]}, {"label": "hcmi", "tried": [2]}]
    before = {"command": "c", "date": "d", "figures": {"heads": heads, "tuning": tuning, "ablation": [3]}}
    record.write_text(json.dumps(before))
    monkeypatch.setattr("benchmarks.storyboard.again.RECORD", record)
    for recall in (94, 95):
        figures = keep_again([row("uatvr", recall)], [{"label": "uatvr", "tried": [4]}])
    assert figures["heads"] == [heads[0], row("uatvr", 95), heads[1]]
    assert figures["tuning"] == [{"label": "uatvr", "tried": [4]}, tuning[1]]
    kept = json.loads(record.read_text())
    assert (kept["command"], kept["date"], kept["figures"]["ablation"]) == ("c", "d", [3])
    assert [one["heads"] for one in kept["again"]] == [["uatvr"]]
    assert kept["again"][0]["versions"]["torch"]
