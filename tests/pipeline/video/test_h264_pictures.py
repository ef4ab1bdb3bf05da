"""What packets of H.264 say of their pictures, against bits written by hand and files of an encoder."""

from pathlib import Path

import av
import pytest
from tvr.pipeline.video.h264_pictures import H264Pictures, PacketPictures
from tvr.pipeline.video.nal_units import NalFormat, nal_format
from tvr.pipeline.video.packets import index_packets

from ...fixtures.mp4 import Movie, write_movie

ANNEX_B = NalFormat(length_bytes=0, is_hevc=False)
BASELINE, HIGH, HIGH_444 = 66, 100, 244


def golomb(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def unit(kind: int, bits: str) -> bytes:
    """A unit of annex B with these bits, closed and padded, and protected from looking like a start code."""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big")
    for last in (0, 1, 2, 3):
        body = body.replace(bytes([0, 0, last]), bytes([0, 0, 3, last]))
    return b"\0\0\0\1" + bytes([0x60 | kind]) + body


def sequence(
    profile: int = BASELINE,
    *,
    has_fields: bool = True,
    may_have_gaps: bool = False,
    chroma: str = "",
    order: str = "",
) -> bytes:
    """A sequence parameter set with frame numbers of eight bits."""
    bits = f"{profile:08b}" + "0" * 8 + f"{30:08b}" + golomb(0) + chroma
    bits += golomb(4) + (order or golomb(0) + golomb(4))  # frame number 8 bits, picture order count 8 bits
    bits += golomb(2) + str(int(may_have_gaps)) + golomb(5) + golomb(3) + ("0" if has_fields else "1")
    return unit(7, bits)


PICTURE = unit(8, golomb(0) + golomb(0) + "0")


def slice_(*, kind: int = 1, is_field: bool | None = None, first: int = 0, planes: str = "") -> bytes:
    """The beginning of a slice; ``is_field`` None where its sequence has frames only."""
    bits = golomb(first) + golomb(7) + golomb(0) + planes + f"{255:08b}"
    bits += "" if is_field is None else str(int(is_field))
    return unit(kind, bits + "0" * 40 + "1")


@pytest.mark.parametrize(
    ("packet", "is_field"),
    [
        (slice_(is_field=True), True),
        (slice_(is_field=False), False),
        (slice_(is_field=True) + slice_(is_field=True), False),  # both fields in one packet
        (slice_(is_field=True) + slice_(is_field=True, first=9), True),  # two slices of one field
    ],
)
def test_a_packet_with_one_field_is_known(packet: bytes, is_field: bool) -> None:
    assert H264Pictures(ANNEX_B, sequence() + PICTURE).of(packet).is_field == is_field


@pytest.mark.parametrize(
    "parameters",
    [
        sequence(has_fields=False),
        sequence(HIGH, has_fields=False, chroma=golomb(1) + golomb(0) * 2 + "0" + "0"),
        # Scaling lists: the first repeats its last scale after two values, the others are the usual ones.
        sequence(
            HIGH,
            has_fields=False,
            chroma=golomb(1) + golomb(0) * 2 + "0" + "1" + "1" + golomb(1) + golomb(18) + "0" * 7,
        ),
        sequence(has_fields=False, order=golomb(2)),
        sequence(has_fields=False, order=golomb(1) + "0" + golomb(0) * 2 + golomb(2) + golomb(3) * 2),
    ],
)
def test_a_stream_of_frames_has_no_fields(parameters: bytes) -> None:
    # The bit behind the frame number is 1: taken for the mark of a field it would be one.
    packet = unit(5, golomb(0) + golomb(7) + golomb(0) + f"{255:08b}" + "1" * 40)
    found = H264Pictures(ANNEX_B, parameters + PICTURE).of(packet)
    assert found == PacketPictures(is_field=False, is_idr=True, frame_number=255)


def test_colour_planes_that_are_coded_apart_move_the_mark_of_a_field() -> None:
    parameters = sequence(HIGH_444, chroma=golomb(3) + "1" + golomb(0) * 2 + "0" + "0")
    pictures = H264Pictures(ANNEX_B, parameters + PICTURE)
    assert [pictures.of(slice_(is_field=is_field, planes="00")).is_field for is_field in (True, False)] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("messages", "is_turned"),
    [
        (b"\x05\x02ab\x80", False),
        (b"\x2f\x03\x00\x10\x00\x80", True),
        (b"\x05\xff\x01" + b"a" * 256 + b"\x2f\x03\x00\x10\x00\x80", True),
        (b"\x05\xff\x01" + b"\x2f" * 256 + b"\x80", False),
    ],
)
def test_a_message_that_turns_pictures_is_known(messages: bytes, is_turned: bool) -> None:
    packet = b"\0\0\0\1\x06" + messages
    assert H264Pictures(ANNEX_B, sequence() + PICTURE).of(packet).is_turned == is_turned


def test_parameters_may_come_in_a_packet() -> None:
    pictures = H264Pictures(ANNEX_B, None)
    assert pictures.of(sequence() + PICTURE + slice_(is_field=False)) == PacketPictures(frame_number=255)
    assert pictures.of(slice_(is_field=False, kind=5)).is_idr


@pytest.mark.parametrize("extradata", [None, b"", PICTURE, sequence()[:7] + PICTURE])
def test_a_packet_with_one_field_is_known_fails(extradata: bytes | None) -> None:
    """Without parameters a packet counts as a field: its frames are counted then, which is never wrong."""
    assert H264Pictures(ANNEX_B, extradata).of(slice_(is_field=False)).is_field


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_what_an_encoder_writes_is_frames(tmp_path: Path, ending: str) -> None:
    path = write_movie(tmp_path / f"movie.{ending}", Movie(num_frames=30, group_size=10))
    packets = index_packets(path).packets
    assert not any(packet.pictures.is_field for packet in packets)
    assert [n for n, packet in enumerate(packets) if packet.pictures.is_idr] == [0, 10, 20]


def test_fields_in_packets_of_their_own_are_found(shared: Path) -> None:
    path = shared / "data/failing/paff_two_packets_a_frame.mp4"
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        units = nal_format(context.name, context.extradata)
        assert units is not None
        pictures = H264Pictures(units, context.extradata)
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 48
    assert all(pictures.of(packet).is_field for packet in packets)
    assert not index_packets(path).trustworthy


def numbered_slice(number: int, *, is_reference: bool = True, kind: int = 1) -> bytes:
    """The beginning of a slice of a frame with this frame number, of eight bits."""
    begun = bytearray(unit(kind, golomb(0) + golomb(7) + golomb(0) + f"{number:08b}" + "0" * 40 + "1"))
    if not is_reference:
        begun[4] &= 0x1F
    return bytes(begun)


def losses(parameters: bytes, slices: list[bytes]) -> list[int]:
    """The places of the slices that follow a loss."""
    pictures = H264Pictures(ANNEX_B, parameters)
    return [place for place, each in enumerate(slices) if pictures.of(each).follows_loss]


def test_a_lost_picture_is_seen_by_the_numbers_of_the_others() -> None:
    frames = sequence(has_fields=False) + PICTURE
    counted = [numbered_slice(0, kind=5), *(numbered_slice(number) for number in range(1, 12))]
    assert losses(frames, counted) == []
    assert losses(frames, counted[:6] + counted[7:]) == [6]
    assert losses(frames, counted[4:]) == [], "a recording may begin anywhere"
    assert losses(frames, [*counted[:6], counted[0]]) == [], "a new beginning"
    around = [numbered_slice(number % 256) for number in range(250, 262)]
    assert losses(frames, around) == []
    assert losses(frames, around[:3] + around[6:]) == [], "0 and 1 may be a new beginning"
    assert losses(frames, around[:3] + around[8:]) == [3]


def test_a_picture_to_which_none_refers_may_be_missing() -> None:
    frames = sequence(has_fields=False) + PICTURE
    between = [numbered_slice(number, is_reference=False) for number in (6, 6)]
    assert losses(frames, [numbered_slice(5), *between, numbered_slice(6)]) == []
    assert losses(frames, [numbered_slice(5), numbered_slice(6)]) == []
    assert losses(frames, [numbered_slice(5), *between, numbered_slice(7)]) == [3]


def test_a_stream_may_leave_pictures_out_where_it_says_so() -> None:
    slices = [numbered_slice(5), numbered_slice(9)]
    assert losses(sequence(has_fields=False) + PICTURE, slices) == [1]
    assert losses(sequence(has_fields=False, may_have_gaps=True) + PICTURE, slices) == []


@pytest.mark.parametrize(
    ("packet", "is_unreferenced"),
    [
        (numbered_slice(6, is_reference=False), True),
        (b"\0\0\0\1\x09\xf0" + numbered_slice(6, is_reference=False), True),
        (numbered_slice(6), False),
        (sequence(has_fields=False) + numbered_slice(6, is_reference=False), False),
        (PICTURE + numbered_slice(6, is_reference=False), False),
        (b"\0\0\0\1\x06\x2f\x03\x00\x10\x00\x80" + numbered_slice(6, is_reference=False), False),
        (numbered_slice(6, is_reference=False) + slice_(first=9), False),
        (numbered_slice(6, is_reference=False) * 2, False),
        (b"\0\0\0\1\x09\xf0", False),
    ],
)
def test_a_picture_is_unreferenced_where_nothing_in_its_packet_can_be_needed(
    packet: bytes, is_unreferenced: bool
) -> None:
    pictures = H264Pictures(ANNEX_B, sequence(has_fields=False) + PICTURE)
    assert pictures.of(packet).is_unreferenced == is_unreferenced


@pytest.mark.parametrize(
    ("following", "is_confirmed"),
    [(numbered_slice(6), True), (numbered_slice(0, kind=5), True), (numbered_slice(7), False)],
)
def test_the_next_frame_number_confirms_that_nothing_refers_to_a_picture(
    following: bytes, is_confirmed: bool
) -> None:
    pictures = H264Pictures(ANNEX_B, sequence(has_fields=False) + PICTURE)
    found = pictures.of(numbered_slice(6, is_reference=False))
    assert found.is_confirmed_by(pictures.of(following)) == is_confirmed


def test_the_next_frame_number_confirms_that_nothing_refers_to_a_picture_fails() -> None:
    """Where the stream may leave numbers out, they prove nothing."""
    pictures = H264Pictures(ANNEX_B, sequence(has_fields=False, may_have_gaps=True) + PICTURE)
    found = [pictures.of(numbered_slice(6, is_reference=each)) for each in (False, True)]
    assert not found[0].is_confirmed_by(found[1])
