"""PyAV: the decoder of everything that is unusual."""

from pathlib import Path

import numpy as np
import pytest
from tvr.data.contracts.errors import DecodeError
from tvr.pipeline.decoders.pyav import Decoder

from ...fixtures.mp4 import Movie, damage, number_of, numbered_frame, write_movie


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_every_orientation_comes_out_upright(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=3, rotation=rotation, mirrored=mirrored))
    expected = np.rot90(numbered_frame(2), rotation // 90)
    expected = expected[:, ::-1] if mirrored else expected
    frame = next(iter(Decoder().read(path, [2])))
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 12
    assert Decoder().probe(path).mirrored == mirrored


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("movie.avi", "mpeg4"),
        ("movie.avi", "libx264"),
        ("movie.ts", "libx264"),
        ("movie.ts", "libx265"),
        ("movie.flv", "libx264"),
        ("movie.webm", "libvpx"),
        ("movie.webm", "libvpx-vp9"),
        ("movie.mkv", "libx265"),
        ("movie.mp4", "libsvtav1"),
    ],
)
def test_reads_many_formats(tmp_path: Path, name: str, codec: str) -> None:
    path = write_movie(tmp_path / name, Movie(num_frames=40, codec=codec))
    decoder = Decoder()
    times = decoder.probe(path)
    assert np.allclose(times.frame_seconds, np.arange(40) / 25, atol=2e-3)
    wanted = [0, 11, 12, 13, 25, 39]
    assert [number_of(frame) for frame in decoder.read(path, wanted)] == wanted


def test_a_damaged_frame_fails(tmp_path: Path) -> None:
    path = damage(write_movie(tmp_path / "movie.mp4"), position=0.4, length=300)
    decoder = Decoder()
    wanted = list(range(len(decoder.probe(path).frame_seconds)))
    with pytest.raises(DecodeError):
        list(decoder.read(path, wanted))
