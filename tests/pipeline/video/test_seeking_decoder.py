"""Which files a library may serve that seeks by itself."""

import dataclasses
from pathlib import Path

import pytest
from tvr.pipeline.video.packets import index_packets
from tvr.pipeline.video.seeking_decoder import why_declined

from ...fixtures.mp4 import Movie, write_movie


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize("rotation", [0, 90])
def test_it_may_serve_closed_groups_of_h264(tmp_path: Path, ending: str, rotation: int) -> None:
    path = write_movie(tmp_path / f"movie.{ending}", Movie(num_frames=20, rotation=rotation))
    assert why_declined(index_packets(path)) == ""


@pytest.mark.parametrize(
    ("name", "movie", "reason"),
    [
        ("movie.mkv", Movie(num_frames=20), "not trusted to seek in h264 in matroska"),
        ("movie.mp4", Movie(num_frames=20, codec="libx265"), "not trusted to seek in hevc in mov"),
        ("movie.mp4", Movie(num_frames=20, codec="mpeg4"), "not trusted to seek in mpeg4 in mov"),
        ("movie.webm", Movie(num_frames=20, codec="libvpx-vp9"), "not trusted to seek in vp9 in matroska"),
        ("movie.mp4", Movie(num_frames=20, mirrored=True), "does not mirror"),
    ],
)
def test_it_may_serve_closed_groups_of_h264_fails(
    tmp_path: Path, name: str, movie: Movie, reason: str
) -> None:
    assert why_declined(index_packets(write_movie(tmp_path / name, movie))) == reason


def test_it_may_not_serve_a_damaged_file(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4")
    data, (first, second) = path.read_bytes(), index_packets(path).packets[:2]
    assert first.pos is not None
    assert second.pos is not None
    hole = second.pos - 100  # in the slice with which the first packet ends
    path.write_bytes(data[:hole] + bytes(64) + data[hole + 64 :])
    assert why_declined(index_packets(path)) == "does not say which frames are sound"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("opengop_h264.mp4", "has open groups of pictures"),
        ("paff_two_packets_a_frame.mp4", "its packets do not tell where its frames are"),
        ("four_edits.mp4", "counts frames that are not shown"),
    ],
)
def test_it_may_not_serve_what_it_got_wrong(shared: Path, name: str, reason: str) -> None:
    assert why_declined(index_packets(shared / "data/failing" / name)) == reason


def test_it_may_not_serve_key_frames_that_are_shown_long_after_they_are_decoded(tmp_path: Path) -> None:
    index = index_packets(write_movie(tmp_path / "movie.mp4", Movie(num_frames=30, group_size=5)))
    assert why_declined(index) == ""
    late = 5 * round(1 / 25 / index.time_base)
    packets = [dataclasses.replace(packet, pts=(packet.pts or 0) + late) for packet in index.packets]
    assert "shown late" in why_declined(dataclasses.replace(index, packets=packets))
    last = max(packet.pts or 0 for packet in index.packets[:5])
    swapped = [dataclasses.replace(p, pts=last + 1) if n == 1 else p for n, p in enumerate(index.packets)]
    swapped[5] = dataclasses.replace(swapped[5], pts=last)
    assert "not in their turn" in why_declined(dataclasses.replace(index, packets=swapped))
