"""The load benchmark at a small size: a real server, real sockets, and answers that are seen to be right or wrong."""

import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.serve.answers import wrong_answers
from benchmarks.serve.clients import Visit

SMALL = {
    "videos": 40,
    "films": 10,
    "pixels": 64,
    "people": 3,
    "visits": 6,
    "haste": 100,
    "heads": "mean_pool",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the benchmark kept, how it ended, and what it says of answers that are wrong."""
    folder, benchmark = tmp_path_factory.mktemp("serve"), import_module("benchmarks.serve.__main__")
    found: dict[str, Any] = {}

    def judged(visits: Sequence[Visit], store: Path, run: Path | None) -> list[str]:
        found["wrong"] = wrong_answers(spoilt(visits[0]), store, run)
        return wrong_answers(visits, store, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "keep", lambda name, figures: found.update(figures=figures))
        patch.setattr(benchmark, "wrong_answers", judged)
        patch.setenv("XDG_STATE_HOME", str(folder))
        options = [f"--{name}={value}" for name, value in SMALL.items()]
        patch.setattr(sys, "argv", ["serve", *options, f"--scratch={folder}"])
        found["code"] = benchmark.main()
        found["goal_ms"] = benchmark.GOAL_MS
    yield found


def spoilt(visit: Visit) -> list[Visit]:
    """The visit with one answer after another that is not what it should be."""
    search, alignment, black = deepcopy(visit.search), deepcopy(visit.alignment), BytesIO()
    search["hits"][3]["score"] += 0.01
    alignment["curve"][0] += 0.01
    Image.new("RGB", (180, 180)).save(black, "JPEG")
    place = next(iter(visit.thumbnails))
    return [
        replace(visit, search=search),
        replace(visit, alignment=alignment),
        replace(visit, thumbnails={place: black.getvalue()}),
        replace(visit, span=b"x" + visit.span[1:]),
    ]


def test_people_are_answered_and_nothing_is_lost_or_wrong(ran: dict[str, Any]) -> None:
    head = ran["figures"]["heads"]["mean_pool"]
    assert (head["wrong"], head["wrong_ones"]) == (0, [])
    for way in ("people_who_think", "nobody_thinks"):
        assert (head[way]["lost"], head[way]["lost_ones"]) == (0, [])
        assert head[way]["requests"] == 6 * (1 + 12 + 3), (
            "a search, twelve pictures, and what a hit is played by"
        )
        assert set(head[way]["ms"]) == {
            "search", "thumbnail", "alignment", "playable", "media", "first bytes of a span",
        }  # fmt: skip
    assert head["peak_memory_mb"]["server"] > 100 and head["peak_memory_mb"]["num_children"]


def test_a_goal_that_is_missed_fails(ran: dict[str, Any]) -> None:
    """Whether this machine is fast enough now is no matter of tests; that the end says so is."""
    is_fast = ran["figures"]["heads"]["mean_pool"]["people_who_think"]["ms"]["search"]["p50"] < ran["goal_ms"]
    assert (ran["code"], ran["figures"]["met"]) == ((0, True) if is_fast else (1, False))


def test_wrong_answers_fails(ran: dict[str, Any]) -> None:
    assert [line.partition(":")[0] for line in ran["wrong"]] == ["search", "alignment", "thumbnail", "span"]
