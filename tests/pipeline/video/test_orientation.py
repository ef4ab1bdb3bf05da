"""What a file says of the shape of its pixels, and what cannot be meant."""

from pathlib import Path

import pytest
from tvr.pipeline.video.container import opened
from tvr.pipeline.video.orientation import pixel_aspect_of
from tvr.pipeline.video.packets import index_packets
from tvr.pipeline.video.times import video_times

from ...fixtures.circles import SIDE, Circle, say_display_size, say_pixel_aspect, write_circle
from ...fixtures.mp4 import write_movie


def pixel_aspect(path: Path) -> float:
    return index_packets(path).pixel_aspect


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("circle.mp4", "libx264"),
        ("circle.mov", "mpeg4"),
        ("circle.mkv", "libx264"),
        ("circle.ts", "mpeg2video"),
        ("circle.avi", "mpeg4"),
        ("circle.h264", "libx264"),
    ],
)
def test_pixel_aspect(tmp_path: Path, name: str, codec: str) -> None:
    assert pixel_aspect(write_circle(tmp_path / name, Circle(codec))) == pytest.approx(4 / 3)


def test_what_matroska_says_of_its_display(tmp_path: Path) -> None:
    path = write_circle(tmp_path / "circle.webm", Circle("libvpx-vp9"))
    assert pixel_aspect(path) == 1.0
    assert pixel_aspect(say_display_size(path, SIDE * 4 // 3, SIDE)) == pytest.approx(4 / 3)


def test_the_container_goes_before_the_stream(tmp_path: Path) -> None:
    path = write_circle(tmp_path / "circle.mp4")
    assert pixel_aspect(say_pixel_aspect(path, 3, 2)) == 1.5


def test_a_turned_picture_has_turned_pixels(tmp_path: Path) -> None:
    index = index_packets(write_circle(tmp_path / "circle.mp4", Circle(rotation=90)))
    assert index.pixel_aspect == pytest.approx(4 / 3)
    assert video_times(index, index.frame_seconds).pixel_aspect == pytest.approx(3 / 4)


def test_nothing_said_is_square(tmp_path: Path) -> None:
    assert pixel_aspect(write_movie(tmp_path / "movie.mp4")) == 1.0


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 1), (1, 0), (2**32 - 1, 1)])
def test_a_container_that_says_nothing_leaves_it_to_the_stream(
    tmp_path: Path, width: int, height: int
) -> None:
    path = say_pixel_aspect(write_circle(tmp_path / "circle.mp4"), width, height)
    assert pixel_aspect(path) == pytest.approx(4 / 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1000), (30_000, 1), (1, 11), (11, 1), (1, 2**31 - 1)])
def test_pixel_aspect_fails_with_what_no_screen_has(tmp_path: Path, width: int, height: int) -> None:
    """Then pixels are taken for square."""
    path = say_pixel_aspect(write_circle(tmp_path / "circle.mp4"), width, height)
    assert pixel_aspect(path) == 1.0


def test_real_clips(shared: Path) -> None:
    """What the reliability page says of them."""
    aspects: list[float] = []
    matrices_of_large: list[int] = []
    for path in sorted((shared / "data/captioned_misc/videos").iterdir()):
        with opened(path) as (_, stream):
            aspects.append(pixel_aspect_of(stream))
            context = stream.codec_context
            if context.height >= 720 or context.width >= 1280:
                matrices_of_large.append(int(context.colorspace))
    wide = [aspect for aspect in aspects if aspect > 1.2]
    assert (len(aspects), len(wide), min(wide) > 1.25, max(wide) < 1.34) == (47, 5, True, True)
    assert (len(matrices_of_large), matrices_of_large.count(2)) == (5, 3)
