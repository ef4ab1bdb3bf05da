"""decord serves only what it gets right; the rest it must decline, not answer wrongly."""

from pathlib import Path

import pytest
from tvr.data.contracts.errors import DecodeError
from tvr.pipeline.decoders import decord
from tvr.pipeline.decoders.pyav import Decoder as PyAV

from ...fixtures.mp4 import Movie, number_of, write_movie

if decord.available():
    pytest.skip(decord.available(), allow_module_level=True)


def test_declines_a_transport_stream(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.ts")
    with pytest.raises(DecodeError, match="mpegts"):
        decord.Decoder().probe(path)
    assert [number_of(frame) for frame in PyAV().read(path, [7, 40])] == [7, 40]


def test_declines_a_mirrored_video(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=5, rotation=90, mirrored=True))
    with pytest.raises(DecodeError, match="mirror"):
        decord.Decoder().probe(path)


def test_declines_ten_bits(tmp_path: Path, shared: Path) -> None:
    with pytest.raises(DecodeError, match="yuv420p10le"):
        decord.Decoder().probe(shared / "data/codec_zoo/torchcodec/h264_10bits.mp4")


def test_declines_what_an_edit_list_cuts(shared: Path) -> None:
    with pytest.raises(DecodeError, match="not shown"):
        decord.Decoder().probe(shared / "data/captioned_misc/videos/cve_vid1.mp4")


def test_a_file_without_a_table_of_key_frames_is_declined(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4")
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))
    with pytest.raises(DecodeError, match="seeks to frames that are no key frames"):
        decord.Decoder().probe(path)
