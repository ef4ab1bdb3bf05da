"""Where one recording ends in a file and the next begins."""

import pytest
from tvr.pipeline.video.recordings import recordings_of


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ([(0, 0), (40, None), (80, 80), (120, None)], [0, 0, 0, 0]),
        ([(0, 0), (40, None), (0, 0), (40, None)], [0, 0, 1, 1]),
        ([(None, 1000), (None, None), (None, 0), (None, None), (None, 500)], [0, 0, 1, 1, 1]),
        ([(0, 0), (None, None), (40, 40), (None, None), (20, None)], [0, 0, 0, 0, 1]),
        ([(0, 0), (9_000, 9_000)], [0, 0]),
        ([(0, 0), (11_000, 11_000), (11_040, None)], [0, 1, 1]),
        ([(0, 0), (11_000, None), (11_040, None)], [0, 0, 0]),
        ([(0, 0), (4000, None), (8000, 0), (40, None), (80, 80)], [0, 0, 1, 1, 1]),
        ([(0, 80), (40, 80), (80, None), (80, 120)], [0, 0, 0, 0]),  # times that are repeated prove nothing
        ([], []),
    ],
)
def test_a_clock_that_goes_back_begins_another_recording(
    clock: list[tuple[int | None, int | None]], expected: list[int]
) -> None:
    assert recordings_of(clock, "mpegts", 0.001).tolist() == expected


def test_a_long_pause_is_a_joint_only_in_a_broadcast_stream() -> None:
    clock = [(0, 0), (60_000, 60_000)]
    assert recordings_of(clock, "mpegts", 0.001).tolist() == [0, 1]
    assert recordings_of(clock, "matroska,webm", 0.001).tolist() == [0, 0]


def test_a_stream_of_still_pictures_has_no_joints() -> None:
    clock = [(12_000 * number, 12_000 * number) for number in range(5)]
    assert recordings_of(clock, "mpegts", 0.001).tolist() == [0] * 5


def test_flags_of_key_frames_decide_only_where_nothing_else_does() -> None:
    times = [0, 120, 40, 80]  # of frames that are all called key frames
    assert recordings_of([(40 * n, pts) for n, pts in enumerate(times)], "mpegts", 0.001).tolist() == [0] * 4
