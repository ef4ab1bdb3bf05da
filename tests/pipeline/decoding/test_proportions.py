"""A circle in a video of other than square pixels, through decoding children, by each decoder, of each container."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tvr.data.contracts.plug_ins import load_plug_in, plug_in_names
from tvr.pipeline.decoding.pool import DecodedVideo, DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Pixels, Preprocessing
from tvr.pipeline.sampling import Sampling

from ...fixtures.circles import (
    DIAMETER,
    SIDE,
    Circle,
    say_display_size,
    say_pixel_aspect,
    sides,
    write_circle,
)

PACKAGE = "tvr.pipeline.decoders"
SIZE = Preprocessing(SIDE, SIDE, "shortest", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

FILES: dict[str, Callable[[Path], Path]] = {
    "mp4": lambda folder: write_circle(folder / "circle.mp4"),
    "turned right": lambda folder: write_circle(folder / "circle.mp4", Circle(rotation=-90)),
    "turned left": lambda folder: write_circle(folder / "circle.mp4", Circle(rotation=90)),
    "turned over": lambda folder: write_circle(folder / "circle.mp4", Circle(rotation=180)),
    "mkv": lambda folder: write_circle(folder / "circle.mkv"),
    "webm": lambda folder: say_display_size(
        write_circle(folder / "circle.webm", Circle("libvpx-vp9")), SIDE * 4 // 3, SIDE
    ),
    "ts": lambda folder: write_circle(folder / "circle.ts", Circle("mpeg2video")),
}


@pytest.fixture(params=plug_in_names(PACKAGE), scope="module")
def pool(request: pytest.FixtureRequest) -> Iterator[DecoderPool]:
    if missing := load_plug_in(PACKAGE, request.param).available():
        pytest.skip(missing)
    with DecoderPool(1, request.param) as pool:
        yield pool


def decoded(pool: DecoderPool, path: Path, pixels: Pixels) -> DecodedVideo:
    task = DecodeTask("circle", path, Sampling("uniform", 2), SIZE, pixels=pixels)
    (video,) = pool.decode([task])
    assert video.status == "ok", video.reason
    return video


@pytest.mark.parametrize("kind", FILES)
def test_square_pixels_show_a_circle_and_stored_ones_an_ellipse(
    pool: DecoderPool, kind: str, tmp_path: Path
) -> None:
    path = FILES[kind](tmp_path)
    for frame in decoded(pool, path, "square").frames:
        assert sides(frame) == pytest.approx((DIAMETER, DIAMETER), abs=1)
    flat = (
        (DIAMETER * 3 // 4, DIAMETER)
        if kind in ("turned right", "turned left")
        else (DIAMETER, DIAMETER * 3 // 4)
    )
    for frame in decoded(pool, path, "stored").frames:
        assert sides(frame) == pytest.approx(flat, abs=1)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (1, 1000), (30_000, 1)])
def test_square_pixels_fails_to_believe_what_no_screen_has(
    pool: DecoderPool, tmp_path: Path, width: int, height: int
) -> None:
    path = say_pixel_aspect(write_circle(tmp_path / "circle.mp4"), width, height)
    square, stored = (decoded(pool, path, pixels).frames for pixels in ("square", "stored"))
    if width:
        assert (square == stored).all()
    else:  # the stream says it, too
        assert sides(square[0]) == pytest.approx((DIAMETER, DIAMETER), abs=1)


def test_square_pixels_of_real_clips(pool: DecoderPool, shared: Path) -> None:
    """MSR-VTT's clips were all stored as 4:3; this one is 16:9 and says so."""
    path = shared / "data/captioned_misc/videos/stllm_driving.mp4"
    size = Preprocessing(90, 160, "longest", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    squares = DecodeTask("clip", path, Sampling("uniform", 1), size)
    (square,) = pool.decode([squares])
    assert square.frames.any(axis=(0, 1, 3)).mean() > 0.95, "no black bars"
