"""The pictures of a page of hits."""

from pathlib import Path

import numpy as np
import pytest
from tvr.data.base import Video
from tvr.heads.report.hits_page import best_frames
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
    assert [number_of(shown[str(number)]) for number in numbers] == list(numbers)


def test_a_picture_fails_where_the_video_is_shorter(movie: Path) -> None:
    assert best_frames([hit(movie, FRAMES + 9)]) == {}
