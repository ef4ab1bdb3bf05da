"""Rows of a few heads measured again, among those of an earlier study: what else it found stays as it was."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.record import RESULTS, machine, versions

RECORD = RESULTS / "storyboard.json"


def keep_again(heads: Sequence[Mapping[str, Any]], tuning: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the rows in place of those with their labels, and say when and how they were measured.

    Returns:
        The figures of the whole study.
    """
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    figures = record["figures"]
    figures["heads"] = _ordered(_replaced(figures["heads"], heads))
    figures["tuning"] = _replaced(figures["tuning"], tuning)
    measured = {
        "heads": [row["label"] for row in heads],
        "command": shlex.join(["python", "-m", "benchmarks.storyboard", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
    }
    record["again"] = [
        *(one for one in record.get("again", []) if one["heads"] != measured["heads"]),
        measured,
    ]
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return figures


def _replaced(rows: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    by_label = {row["label"]: row for row in new}
    kept = [by_label.pop(row["label"], row) for row in rows]
    return [*kept, *by_label.values()]


def _ordered(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Zero-shot, then the best first."""
    return sorted(rows, key=lambda row: ("zero-shot" not in row["label"], -row["mean"]["test/t2v/R@1"]))
