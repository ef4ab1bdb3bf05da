"""When frames are shown whose packets do not tell it."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tvr.pipeline.decoders.pyav import Decoder
from tvr.pipeline.video.packet import Packet
from tvr.pipeline.video.packets import PacketIndex, index_packets
from tvr.pipeline.video.times import FrameTime, display_seconds

from ...fixtures.mp4 import Movie, write_movie


@pytest.fixture(scope="module")
def an_index(tmp_path_factory: pytest.TempPathFactory) -> PacketIndex:
    path = write_movie(tmp_path_factory.mktemp("times") / "movie.ts", Movie(num_frames=20))
    return dataclasses.replace(index_packets(path), frame_ticks=50.0)


def seconds_of(
    index: PacketIndex,
    pts: Sequence[int | None],
    durations: Sequence[int] | int = 0,
    dts: Sequence[int | None] | None = None,
    keys: Sequence[int] = (0,),
) -> np.ndarray:
    """Of frames in display order, a packet each, on a clock of milliseconds."""
    packets = [
        Packet(p, d, number in keys, True) for number, (p, d) in enumerate(zip(pts, dts or pts, strict=True))
    ]
    index = dataclasses.replace(index, packets=packets, time_base=0.001)
    all_durations = [durations] * len(pts) if isinstance(durations, int) else durations
    frames = [FrameTime(p, d, number) for number, (p, d) in enumerate(zip(pts, all_durations, strict=True))]
    return display_seconds(index, frames)


@pytest.mark.parametrize(
    ("pts", "durations", "expected"),
    [
        ([80, 120, 160], 40, [0, 40, 80]),
        ([None, None, 0, 40], 40, [0, 40, 80, 120]),
        ([0, 40, None, None], 40, [0, 40, 80, 120]),
        ([0, None, None, 120], 40, [0, 40, 80, 120]),
        ([0, None, None, 120], [10, 20, 30, 40], [0, 10, 30, 120]),  # a pause is before the next known time
        ([0, None, None, 30], [10, 20, 30, 40], [0, 5, 15, 30]),  # no room: closer together in proportion
        ([None, None, None], 40, [0, 40, 80]),
        ([None, None, None], [40, 100, 40], [0, 40, 140]),
        ([None, None, None], 0, [0, 50, 100]),  # the stream's rate
        ([0, 40, None], 0, [0, 40, 80]),  # the usual step, where it is shorter
        ([0, 100, None], 0, [0, 100, 150]),
        ([None], 0, [0]),
    ],
)
def test_frames_without_a_time_take_it_from_durations_and_order(
    an_index: PacketIndex, pts: list[int | None], durations: list[int] | int, expected: list[int]
) -> None:
    assert np.allclose(seconds_of(an_index, pts, durations), np.array(expected) / 1000, atol=1e-4)


def test_times_out_of_order_belong_to_the_frames_in_their_order(an_index: PacketIndex) -> None:
    found = seconds_of(an_index, [0, 80, 40, 120], 40, dts=[0, 40, 80, 120])
    assert np.allclose(found, [0, 0.04, 0.08, 0.12], atol=1e-4)


def test_the_times_that_are_made_up_for_raw_streams_are_not_believed(an_index: PacketIndex) -> None:
    raw = dataclasses.replace(an_index, has_clock=False)
    assert np.allclose(seconds_of(raw, [0, 80, 40, 160], 40), [0, 0.04, 0.08, 0.12], atol=1e-4)
    assert np.allclose(seconds_of(raw, [0, 40, 0, 40], 40, keys=[0, 2]), [0, 0.04, 0.08, 0.12], atol=1e-4)


@pytest.mark.parametrize("wrong", [80, 120, 160, 0])
def test_a_time_that_its_neighbours_contradict_is_passed_over(an_index: PacketIndex, wrong: int) -> None:
    index = dataclasses.replace(an_index, frame_ticks=40.0)
    pts = [0, None, wrong, 120, None, 200]
    found = seconds_of(index, pts, 40, dts=[0, 40, 80, 120, 160, 200])
    assert np.allclose(found, [0, 0.04, 0.08, 0.12, 0.16, 0.2], atol=1e-4)


def test_durations_that_are_rounded_do_not_add_up(an_index: PacketIndex) -> None:
    index = dataclasses.replace(an_index, frame_ticks=41.7)
    found = seconds_of(index, [*[None] * 10, 417], 41)
    assert np.allclose(found, np.arange(11) * 0.0417, atol=1e-4)


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video", "libx264"])
def test_times_of_a_program_stream_are_the_stored_ones(tmp_path: Path, codec: str) -> None:
    path = write_movie(tmp_path / "movie.mpg", Movie(num_frames=50, codec=codec))
    assert np.allclose(Decoder().probe(path).frame_seconds, np.arange(50) / 25, atol=1e-4)


@pytest.mark.parametrize("hours", [0, 1, 5])
def test_no_two_frames_share_a_time(an_index: PacketIndex, hours: int) -> None:
    last = 3_600_000 * hours + 80
    found = seconds_of(an_index, [0, last - 40, last - 40, last - 40, last], 40)
    assert (np.diff(found.astype(np.float32)) > 0).all()
    assert np.allclose(found, np.array([0, *[last - 40] * 3, last]) / 1000, atol=5e-3 * hours + 1e-4)


@pytest.mark.parametrize("second_start", [0, 20, 1000, 20_000])
def test_joined_recordings_make_one_time_line(an_index: PacketIndex, second_start: int) -> None:
    pts = [1000, 1040, 1080, *(second_start + k * 40 for k in range(3))]
    found = seconds_of(an_index, pts, 40, keys=[0, 3])
    assert np.allclose(found, np.arange(6) * 0.04, atol=1e-4)


def test_parts_that_overlap_by_a_rounding_stay_where_they_are(an_index: PacketIndex) -> None:
    found = seconds_of(an_index, [0, 40, 80, 78, 118, 500], 40)
    assert np.allclose(found, [0, 0.04, 0.08, 0.08, 0.118, 0.5], atol=1e-4)
    assert (np.diff(found) > 0).all()


def test_a_pause_in_a_recording_stays(an_index: PacketIndex) -> None:
    assert np.allclose(seconds_of(an_index, [0, 40, 5000], 40, keys=[0, 2]), [0, 0.04, 5.0], atol=1e-4)
    assert np.allclose(seconds_of(an_index, [0, 40, 50_000], 40), [0, 0.04, 50.0], atol=1e-4)


def test_times_of_many_frames_take_no_longer_each(an_index: PacketIndex) -> None:
    def took(count: int) -> float:
        started = time.process_time()
        seconds_of(an_index, [None] * count, 40)
        return time.process_time() - started

    took(200)
    # Quadratic, twenty times the frames would take four hundred times as long.
    assert took(4000) < 100 * max(took(200), 1e-3)
