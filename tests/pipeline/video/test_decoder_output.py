"""From FFmpeg's frames to RGB, in a process that holds many of them at once."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tvr.pipeline.video.damage import DamageLog
from tvr.pipeline.video.decoder_output import ShownFrame, decoding, packets_from, shown_frames
from tvr.pipeline.video.packets import index_packets

from ...fixtures.mp4 import Movie, number_of, write_movie


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted by /proc")
def test_frames_that_are_held_hold_no_threads(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=30))
    with decoding(path, is_strict=False) as (container, stream):
        frames = [ShownFrame(frame, number, True) for number, frame in enumerate(container.decode(stream))]
    before = len(list(Path("/proc/self/task").iterdir()))
    assert [number_of(frame.rgb()) for frame in frames] == list(range(30))
    assert len(list(Path("/proc/self/task").iterdir())) <= before + 1


@pytest.mark.parametrize("ending", ["avi", "mkv"])
def test_a_frame_knows_its_packet_whatever_is_decoded_beside_it(tmp_path: Path, ending: str) -> None:
    path = write_movie(tmp_path / f"movie.{ending}", Movie(num_frames=40))
    index = index_packets(path)

    def origins() -> Iterator[int | None]:
        with decoding(path, is_strict=False) as (container, stream):
            packets = packets_from(container, stream, index, 0)
            yield from (frame.packet for frame in shown_frames(packets, index, DamageLog()))

    alone = list(origins())
    assert sorted(number for number in alone if number is not None) == list(range(40))
    first, second = origins(), origins()
    in_turn = [next(reader) for _ in range(20) for reader in (first, second)]
    del first  # what it holds is let go
    assert in_turn[1::2] + list(second) == alone
