"""The pictures of a page of hits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvr.data.base import Video
from tvr.heads.report.hits_page import HitsSection, best_frames, searches_page
from tvr.heads.search.answers import FoundVideo
from tvr.heads.search.moments import Moment

from ...fixtures.mp4 import Movie, number_of, write_movie

FPS, FRAMES = 25, 60


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_movie(tmp_path_factory.mktemp("hits") / "movie.mp4", Movie(fps=FPS, num_frames=FRAMES))


def hit(file: Path, number: int) -> FoundVideo:
    seconds = float(np.float32(number / FPS))
    return FoundVideo(str(number), 1.0, Moment(seconds, 0.0, 9.0), (), Video(str(number), file))


def test_each_picture_is_the_best_frame_also_near_both_ends(movie: Path) -> None:
    numbers = (0, 1, 7, 12, 30, FRAMES - 9, FRAMES - 1)
    shown = best_frames([hit(movie, number) for number in numbers])
    times = [float(np.float32(number / FPS)) for number in numbers]
    assert [number_of(shown[str(number), at]) for number, at in zip(numbers, times, strict=True)] == list(
        numbers
    )


def test_a_picture_fails_where_the_video_is_shorter(movie: Path) -> None:
    assert best_frames([hit(movie, FRAMES + 9)]) == {}


def test_a_page_of_several_searches_has_a_section_each(movie: Path) -> None:
    """What two of them found at one time is decoded once, and shown in both."""
    first, second = hit(movie, 7), replace(hit(movie, 7), video_id="other")
    assert list(best_frames([first, second, first])) == [
        ("7", first.moment.frame_seconds),
        ("other", first.moment.frame_seconds),
    ]
    page = searches_page(
        "mine <b>",
        ["3 videos", "weak"],
        [
            HitsSection("a <dog>", "is first", [first, second]),
            HitsSection("a cat", "", [first, hit(movie, FRAMES + 9)]),
        ],
    )
    assert "<h1>mine &lt;b&gt;</h1>\n<p>3 videos</p><p>weak</p>" in page
    sections = page.split("<section>")[1:]
    assert "<h2>a &lt;dog&gt;</h2><p>is first</p>" in sections[0]
    assert "<h2>a cat</h2><div" in sections[1]
    assert [section.count('<img src="data:image/png;base64,') for section in sections] == [2, 1]
    assert sections[0].count(' alt="7 at 0.3 s"') == sections[1].count(' alt="7 at 0.3 s"') == 1
    assert "no picture: the file is not there" in sections[1]
    assert "<h3>2. 69</h3>" in sections[1]
