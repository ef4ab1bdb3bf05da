"""What the packets of a file say of its frames."""

import dataclasses
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import av
import numpy as np
import pytest
from tvr.pipeline.decoders.pyav import Decoder
from tvr.pipeline.decoding.pool import DecoderPool, DecodeTask
from tvr.pipeline.preprocessing import Preprocessing
from tvr.pipeline.sampling import Sampling
from tvr.pipeline.video.packets import index_packets
from tvr.pipeline.video.seeking_decoder import why_declined

from ...fixtures.mp4 import Movie, number_of, write_movie

SAMPLINGS = {"all": Sampling("all"), "few": Sampling("uniform", 3)}


def remuxed(path: Path, retimed: Callable[[av.Packet], None]) -> Path:
    """A copy whose packets have other times."""
    copy = path.with_name(f"remuxed_{path.name}")
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                retimed(packet)
                packet.stream = stream
                target.mux(packet)
    return copy


def test_recordings_are_told_apart_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a loop in Python over every packet of the file."""
    counted: list[str] = []
    for name in ("packets", "packet_times"):
        module = import_module(f"tvr.pipeline.video.{name}")
        if hasattr(module, "recordings_of"):
            original = module.recordings_of
            monkeypatch.setattr(
                module, "recordings_of", lambda *a, f=original: counted.append("once") or f(*a)
            )
    index = index_packets(write_movie(tmp_path / "clip.mp4", Movie(num_frames=10)))
    assert index.trustworthy
    assert index.can_jump
    assert counted == ["once"]


def copy_decoding_time(packet: av.Packet) -> None:
    # Later by more than the first comes before zero: a muxer would cut that away.
    packet.dts = (packet.dts or 0) + 10 * (packet.duration or 0)
    packet.pts = packet.dts


@pytest.mark.parametrize(("codec", "is_told"), [("libx264", False), ("libx265", True)])
@pytest.mark.parametrize("wanted", [[3, 20, 41], list(range(60))])
def test_frames_whose_time_is_that_of_decoding_come_in_the_order_of_the_decoder(
    tmp_path: Path, codec: str, is_told: bool, wanted: list[int]
) -> None:
    """Of H.264 the packets show that frames are reordered; of HEVC only the frames do, when they come."""
    path = remuxed(write_movie(tmp_path / "movie.mp4", Movie(num_frames=60, codec=codec)), copy_decoding_time)
    assert index_packets(path).trustworthy == is_told
    assert why_declined(index_packets(path))
    size = Preprocessing(64, 96, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    task = DecodeTask("a", path, Sampling("all"), size)
    with DecoderPool(1, "pyav") as pool:
        (video,) = pool.decode([task])
    assert (video.status, video.reason) == ("ok", "")
    assert [number_of(video.frames[place]) for place in wanted] == wanted


def test_a_clip_without_b_frames_may_have_one_time_for_both(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=30, codec="libvpx-vp9"))
    assert index_packets(path).trustworthy


@pytest.mark.parametrize("ending", ["mkv", "ts"])
def test_files_one_behind_the_other_are_two_recordings(tmp_path: Path, ending: str) -> None:
    path = write_movie(tmp_path / f"movie.{ending}", Movie(num_frames=60))
    path.write_bytes(path.read_bytes() * 2)
    index = index_packets(path)
    assert index.recordings.tolist() == [0] * 60 + [1] * 60
    assert np.allclose(Decoder().probe(path).frame_seconds, np.arange(120) / 25, atol=3e-3)
    wanted = [5, 59, 60, 65, 119]
    assert [number_of(picture) for picture in Decoder().read(path, wanted)] == [5, 59, 0, 5, 59]


def test_a_header_that_claims_too_little_is_not_believed(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mkv", Movie(num_frames=100))
    index = index_packets(path)
    assert index.claimed_seconds == pytest.approx(4.0, abs=0.1)
    last = float(index.frame_seconds[-1])
    data = path.read_bytes()
    duration = data.index(bytes.fromhex("4489 88")) + 3  # the element Duration, a float of eight bytes
    path.write_bytes(data[:duration] + np.array(40.0, ">f8").tobytes() + data[duration + 8 :])
    assert index_packets(path).claimed_seconds == pytest.approx(last)


def test_times_that_an_older_library_loses_are_left_to_pyav(tmp_path: Path) -> None:
    index = index_packets(write_movie(tmp_path / "movie.mp4", Movie(num_frames=30)))
    assert why_declined(index) == ""
    far = dataclasses.replace(index.packets[5], pts=(index.packets[5].dts or 0) + (1 << 28))
    index = dataclasses.replace(index, packets=[*index.packets[:5], far, *index.packets[6:]])
    assert why_declined(index) == "loses times that are too far apart"


@pytest.mark.parametrize("codec", ["mpeg4", "libx265", "libx264"])
@pytest.mark.parametrize("wanted", [[20, 41], list(range(60))])
def test_a_file_without_a_table_of_key_frames_gives_its_frames(
    tmp_path: Path, codec: str, wanted: list[int]
) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=60, codec=codec))
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))
    size = Preprocessing(64, 96, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    with DecoderPool(1, "decord") as pool:
        everything, few = pool.decode(
            [DecodeTask(name, path, sampling, size) for name, sampling in SAMPLINGS.items()]
        )
    assert (everything.status, few.status) == ("ok", "ok")
    assert [number_of(everything.frames[place]) for place in wanted] == wanted
    assert [number_of(frame) for frame in few.frames] == few.frame_index.tolist() == [10, 30, 50]
