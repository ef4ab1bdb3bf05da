"""The rule of coded slices that FFmpeg does not check: it must catch a hole, and leave every real clip alone."""

from pathlib import Path

import av
import pytest
from tvr.pipeline.video.nal_units import NalFormat, nal_format
from tvr.pipeline.video.packets import index_packets

from ...fixtures.mp4 import Movie, write_movie

H264 = NalFormat(length_bytes=4, is_hevc=False)
SLICE = b"\x65\x88\x84\x00\x10\xff\xfe\xf6\xf0"


def packet(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


@pytest.mark.parametrize(
    "data",
    [
        packet(SLICE),
        packet(SLICE, SLICE),
        packet(SLICE + b"\0\0\0\0"),
        packet(SLICE + b"\0\0\3\0\0\3"),
        packet(b"\x06" + b"\0" * 9),
        packet(b"", SLICE),
        packet(SLICE) + b"\0\0\0",  # padding
        b"\0\0\0\1" + SLICE + b"\0\0\1" + SLICE,  # start codes in spite of the header
        b"",
    ],
)
def test_whole_packets_break_no_rule(data: bytes) -> None:
    assert H264.broken_rule(data) == ""


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (packet(SLICE + b"\0\0\0" + SLICE), "no encoder writes"),
        (packet(SLICE + b"\0\0\1" + SLICE), "no encoder writes"),
        (packet(SLICE, SLICE + b"\0\0\2" + SLICE), "no encoder writes"),
        (packet(SLICE)[:-1], "longer than its packet"),
        (packet(SLICE) + b"\0\0\0\x09\1", "longer than its packet"),
    ],
)
def test_whole_packets_break_no_rule_fails(data: bytes, rule: str) -> None:
    assert rule in H264.broken_rule(data)


@pytest.mark.parametrize(("codec", "is_hevc"), [("libx264", False), ("libx265", True)])
def test_the_format_is_read_from_the_header(tmp_path: Path, codec: str, is_hevc: bool) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=30, codec=codec))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert nal_format(context.name, context.extradata) == NalFormat(4, is_hevc)
    assert not any(each.damage for each in index_packets(path).packets)
    with av.open(str(path)) as container:
        first = next(container.demux(video=0))
    assert first.pos is not None
    data = bytearray(path.read_bytes())
    data[first.pos + first.size - 20 : first.pos + first.size - 5] = bytes(15)
    path.write_bytes(bytes(data))
    assert [bool(each.damage) for each in index_packets(path).packets] == [True] + [False] * 29


def test_other_streams_have_no_such_format() -> None:
    assert nal_format("vp9", b"\1" * 40) is None


@pytest.mark.parametrize("extradata", [None, b"\0\0\0\1\x67\x42"])
def test_without_a_header_of_lengths_units_lie_behind_start_codes(extradata: bytes | None) -> None:
    found = NalFormat(0, is_hevc=False)
    assert nal_format("h264", extradata) == found
    stream = b"\0\0\0\1\x06\1" + b"\0\0\1" + SLICE + b"\0\0\0\1" + SLICE
    assert [unit.rstrip(b"\0") for unit in found.units(stream)] == [b"\x06\1", SLICE, SLICE]
    assert found.broken_rule(stream) == ""
    assert "no encoder writes" in found.broken_rule(b"\0\0\1" + SLICE + b"\0\0\0" + SLICE)


def test_no_real_clip_breaks_the_rule(shared: Path) -> None:
    videos = shared / "data"
    clips = [*videos.glob("panda70m_samples/videos/*.mp4"), *videos.glob("captioned_misc/videos/*.m??")]
    damaged = [clip.name for clip in clips if any(each.damage for each in index_packets(clip).packets)]
    assert len(clips) > 100
    assert damaged == []
