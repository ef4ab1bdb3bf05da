"""The benchmark of decoding measures what the decoders do, in both versions that it compares."""

import sys
from pathlib import Path

import pytest

from benchmarks.decoding_cost.measuring import PLAIN, costs_of, processes

from ..fixtures.mp4 import Movie, write_movie


def test_every_version_and_plain_decoding_are_measured(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "movie.mp4", Movie())
    with processes({"now": sys.executable, "before": sys.executable}) as versions:
        costs = costs_of(movie, versions, [("pyav", 3), ("pyav", 12)], repeats=2)
    assert list(costs) == [("pyav", 3), ("pyav", 12)]
    for cost in costs.values():
        assert cost.outcome == {"now": "pyav", "before": "pyav"}
        assert {version: len(seconds) for version, seconds in cost.seconds.items()} == {
            "now": 2,
            "before": 2,
            PLAIN: 2,
        }
        assert all(cost.typical(version) > 0 for version in cost.seconds)


def test_measuring_fails_where_an_interpreter_has_no_tvr(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with (
        processes({"now": str(bare)}) as versions,
        pytest.raises(RuntimeError, match="ModuleNotFoundError"),
    ):
        costs_of(write_movie(tmp_path / "movie.mp4", Movie()), versions, [("pyav", 3)], repeats=1)
