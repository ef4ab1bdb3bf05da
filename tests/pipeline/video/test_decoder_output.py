"""From FFmpeg's frames to RGB, in a process that holds many of them at once."""

import sys
from pathlib import Path

import pytest
from tvr.pipeline.video.decoder_output import ShownFrame, decoding

from ...fixtures.mp4 import Movie, number_of, write_movie


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted by /proc")
def test_frames_that_are_held_hold_no_threads(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=30))
    with decoding(path, is_strict=False) as (container, stream):
        frames = [ShownFrame(frame, number, True) for number, frame in enumerate(container.decode(stream))]
    before = len(list(Path("/proc/self/task").iterdir()))
    assert [number_of(frame.rgb()) for frame in frames] == list(range(30))
    assert len(list(Path("/proc/self/task").iterdir())) <= before + 1
