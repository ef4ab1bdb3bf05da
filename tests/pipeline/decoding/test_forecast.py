"""What the packets of a file say of a video is what decoding it gives."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tvr.pipeline.decoding.pool import DecodedVideo, DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling

from ...fixtures.mp4 import Movie, write_movie

PREPROCESSING = Preprocessing(8, 8, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames at uneven times."""
    times = [0, 40, 80, 120, 500, 540, 580, 900, 940, 1000]
    return write_movie(tmp_path_factory.mktemp("movie") / "a.mp4", Movie(num_frames=10, times=times))


Ask = Callable[..., DecodedVideo]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Asks a child for the forecast of a file, or to decode it."""
    with DecoderPool(1, "pyav") as pool:

        def one(path: Path, *, packets_only: bool = True, **span: Any) -> DecodedVideo:
            question = DecodeTask(
                "v", path, Sampling(num_frames=4), PREPROCESSING, packets_only=packets_only, **span
            )
            return next(pool.decode([question]))

        yield one


def test_it_names_the_frames_that_decoding_gives(ask: Ask, movie: Path) -> None:
    for span in ({}, {"start_seconds": 0.1, "end_seconds": 0.6}):
        foretold, decoded = ask(movie, **span), ask(movie, packets_only=False, **span)
        assert foretold.frame_index.tolist() == decoded.frame_index.tolist()
        assert foretold.frame_seconds.tolist() == decoded.frame_seconds.tolist()
        assert (foretold.status, foretold.reason, len(foretold.frames)) == ("ok", "", 0)


def test_it_says_why_a_decoder_that_seeks_is_not_ask(ask: Ask, tmp_path: Path) -> None:
    mirrored = ask(write_movie(tmp_path / "a.mp4", Movie(num_frames=10, mirrored=True)))
    assert (mirrored.status, mirrored.reason, len(mirrored.frame_index)) == ("ok", "does not mirror", 4)
    untold = ask(write_movie(tmp_path / "a.avi", Movie(num_frames=10, codec="mpeg4")))
    assert untold.reason == "not trusted to seek in mpeg4 in avi"


def test_it_guesses_where_packets_do_not_tell(ask: Ask, tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.avi", Movie(num_frames=10, codec="mpeg4"))
    guess, counted = ask(path), ask(path, packets_only=False)
    assert guess.status == "suspect"
    assert guess.frame_index.tolist() == counted.frame_index.tolist()
    assert guess.frame_seconds.tolist() == pytest.approx(counted.frame_seconds.tolist(), abs=1e-4)
    raw = ask(write_movie(tmp_path / "a.h264", Movie(num_frames=10)))
    assert (raw.status, len(raw.frame_index)) == ("suspect", 0), "it has no times at all"


def test_it_sees_that_packets_are_damaged(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    whole = write_movie(tmp_path / "whole.mkv", Movie(num_frames=30)).read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert ask(path).status == "partial"


def test_it_fails_as_a_record(ask: Ask, movie: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    assert ask(tmp_path / "text.mp4").status == "failed"
    assert ask(tmp_path / "text.mp4").reason == ask(tmp_path / "text.mp4", packets_only=False).reason
    late = ask(movie, start_seconds=60.0)
    assert (late.status, late.reason) == ("failed", "shows no frame of its span")
