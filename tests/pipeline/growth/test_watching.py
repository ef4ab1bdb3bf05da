"""A folder that is watched: what has come to rest is given, what is still written waits."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tvr.data.base import Dataset, load_dataset
from tvr.data.contracts.errors import DataError, UsageError
from tvr.pipeline.growth.watching import Watched

POLL = 60.0


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "a.mp4").write_bytes(b"film a")
    at(tmp_path / "a.mp4", 1)
    return tmp_path


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens between two looks, one after another; a look with nothing to come after it ends the test."""
    happenings: list[Callable[[], None]] = []

    def sleep(seconds: float) -> None:
        assert seconds == POLL
        if not happenings:
            raise KeyboardInterrupt
        happenings.pop(0)()

    monkeypatch.setattr(time, "sleep", sleep)
    return happenings


def at(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


def watched(archive: Path) -> Watched:
    return Watched(partial(load_dataset, "folder", archive, {}), POLL)


def nothing(problem: DataError) -> None:
    raise AssertionError(problem)


def test_what_is_there_is_given_once(archive: Path, between: list[Callable[[], None]]) -> None:
    looks = watched(archive)
    assert list(looks.first(nothing).videos) == ["a"]
    with pytest.raises(KeyboardInterrupt):
        looks.next({"a"}, nothing)


def test_a_file_that_is_still_written_waits(archive: Path, between: list[Callable[[], None]]) -> None:
    looks = watched(archive)
    looks.first(nothing)
    new = archive / "b.mp4"

    def grows() -> None:
        with new.open("ab") as file:
            file.write(b"more")

    between += [grows, grows, lambda: None]
    found = looks.next({"a"}, nothing)
    assert list(found.videos) == ["a", "b"]
    assert between == []


def test_a_known_file_that_is_written_anew_stays_what_it_was(
    archive: Path, between: list[Callable[[], None]]
) -> None:
    looks = watched(archive)
    looks.first(nothing)
    between += [
        lambda: (archive / "a.mp4").write_bytes(b"another") and None,
        lambda: at(archive / "c.mp4", 1),
    ]
    (archive / "c.mp4").write_bytes(b"film c")
    at(archive / "c.mp4", 1)
    found = looks.next({"a"}, nothing)
    assert {i: video.path for i, video in found.videos.items()} == {
        "a": archive / "a.mp4",
        "c": archive / "c.mp4",
    }
    found = looks.next({"a", "c"}, nothing)
    assert found.videos["a"].path is None, "what was made of it stays, and is neither gone nor changed"
    assert list(found.videos) == ["a", "c"]


def test_what_is_gone_is_another_look(archive: Path, between: list[Callable[[], None]]) -> None:
    (archive / "b.mp4").write_bytes(b"film b")
    at(archive / "b.mp4", 1)
    looks = watched(archive)
    assert list(looks.first(nothing).videos) == ["a", "b"]
    between.append((archive / "b.mp4").unlink)
    assert list(looks.next({"a", "b"}, nothing).videos) == ["a"]


def test_an_archive_that_cannot_be_read_yet_is_waited_for(
    tmp_path: Path, between: list[Callable[[], None]]
) -> None:
    problems: list[str] = []

    def comes() -> None:
        (tmp_path / "a.mp4").write_bytes(b"film a")
        at(tmp_path / "a.mp4", 1)

    between += [lambda: None, comes]
    found = watched(tmp_path).first(lambda problem: problems.append(str(problem)))
    assert list(found.videos) == ["a"]
    assert len(problems) == 1, "each reason is said once"
    assert "no video file in it or below" in problems[0]


def test_what_does_not_change_fails_to_be_watched(archive: Path) -> None:
    def load() -> Dataset:
        return replace(load_dataset("folder", archive, {}), is_archive=False)

    with pytest.raises(UsageError, match="--watch is for an archive of your own"):
        Watched(load, POLL).first(nothing)


def test_no_time_between_looks_fails(archive: Path) -> None:
    with pytest.raises(UsageError, match="--poll-seconds must be more than 0"):
        Watched(partial(load_dataset, "folder", archive, {}), 0.0)
