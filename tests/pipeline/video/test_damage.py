"""Which frames of a damaged video are sound."""

from pathlib import Path

import av
import numpy as np
import pytest
from tvr.data.contracts.errors import DecodeError
from tvr.pipeline.video import damage as video_damage
from tvr.pipeline.video.damage import DamageLog, intact_frames, shown_pts
from tvr.pipeline.video.packets import index_packets, is_hidden

from ...fixtures.mp4 import Movie, damage, number_of, write_movie


def overwritten(path: Path, packet_number: int) -> Path:
    """Spoil the data of one packet, given by its place in decoding order."""
    with av.open(str(path)) as container:
        packet = [each for each in container.demux(video=0) if each.size][packet_number]
        start, size = packet.pos, packet.size
    assert start is not None
    data = bytearray(path.read_bytes())
    data[start + 8 : start + size] = np.random.default_rng(packet_number).bytes(size - 8)
    path.write_bytes(bytes(data))
    return path


def test_frames_are_sound_until_damage_and_after_the_next_key_frame() -> None:
    log = DamageLog()
    # Shown: packets 0 2 1 (decoded before), then 3 is damaged, 4 refers to it, 6 is a key frame with 5 before it.
    assert [log.is_intact(packet, is_key=packet == 0) for packet in (0, 2, 1)] == [True] * 3
    log.add(3, "a hole")
    assert log.is_intact(2, is_key=False)
    assert not log.is_intact(3, is_key=False)
    assert not log.is_intact(4, is_key=False)
    assert not log.is_intact(None, is_key=False)
    assert not log.is_intact(
        7, is_key=False
    )  # decoded after the key frame but shown before it: may refer to packet 5
    assert log.is_intact(6, is_key=True)
    assert log.is_intact(8, is_key=False)
    assert log.is_intact(None, is_key=False)
    assert log.first == "a hole"


def test_a_damaged_key_frame_repairs_nothing() -> None:
    log = DamageLog()
    log.add(4, "a hole")
    log.add(6, "another")
    assert not log.is_intact(6, is_key=True)
    assert not log.is_intact(7, is_key=False)
    log.restart()
    assert log.is_intact(12, is_key=True)


def test_damage_after_a_key_frame_was_decoded_stays_open_when_it_is_shown() -> None:
    log = DamageLog()
    log.add(7, "a hole")
    assert log.is_intact(6, is_key=True)
    assert not log.is_intact(8, is_key=False)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
@pytest.mark.parametrize("spoilt", [0, 4, 17, 24])
def test_one_spoilt_packet_costs_its_group_at_most(tmp_path: Path, codec: str, spoilt: int) -> None:
    ending = "mkv" if codec == "libvpx-vp9" else "mp4"
    path = write_movie(tmp_path / f"movie.{ending}", Movie(num_frames=60, codec=codec))
    overwritten(path, spoilt)
    index, log = index_packets(path), DamageLog()
    found = {position: number_of(picture) for position, picture in intact_frames(path, index, range(60), log)}
    assert all(position == number for position, number in found.items())
    assert log.first
    group = spoilt // 12
    lost = set(range(60)) - set(found)
    assert lost <= set(range(12 * group - 3, 12 * (group + 1)))
    assert lost


def test_jumping_gives_the_same_frames_as_decoding_all(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=120))
    index = index_packets(path)
    wanted = [0, 5, 11, 12, 30, 31, 47, 48, 100, 119]
    jumped = dict(intact_frames(path, index, wanted, DamageLog()))
    walked = dict(intact_frames(path, index, range(120), DamageLog()))
    assert list(jumped) == wanted
    assert all((jumped[position] == walked[position]).all() for position in wanted)


def test_a_file_without_any_sound_frame_fails(tmp_path: Path, shared: Path) -> None:
    path = shared / "data/codec_zoo/androidx/subsample_encrypted_noaltref.webm"
    with pytest.raises(DecodeError, match="encrypted"):
        shown_pts(path, index_packets(path))


@pytest.mark.parametrize(
    ("codec", "data", "hidden"),
    [
        ("vp8", b"\x10\0\0", False),
        ("vp8", b"\x00\0\0", True),
        ("vp9", b"\x82\x49\x83", False),  # profile 0, key frame, shown
        ("vp9", b"\x84\x00\x00", True),  # profile 0, inter frame, not shown
        ("vp9", b"\x88\x00\x00", False),  # shows an existing frame
        ("vp9", b"\x94\x00\x00", True),  # profile 2, inter frame, not shown
        ("vp9", b"\xb1\x00\x00", False),  # profile 3, key frame, shown
        ("vp9", b"\x84\x00\xc1\x01\x01\xc1", False),  # two frames in one packet
        ("h264", b"\x00\x00\x00", False),
    ],
)
def test_hidden_frames_of_vp8_and_vp9_are_known(codec: str, data: bytes, hidden: bool) -> None:
    assert is_hidden(data, codec) == hidden


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("group_size", [6, 12, 50])
@pytest.mark.parametrize("step", [1, 3, 7, 12, 25])
def test_jumping_and_going_on_give_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_size: int, step: int, damaged: bool
) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=100, group_size=group_size))
    if damaged:
        damage(path, position=0.5, length=100)
    index = index_packets(path)
    wanted = list(range(2, 100, step))
    given: list[list[tuple[int, int]]] = []
    for packets in (-1000, video_damage._PACKETS_OF_A_JUMP, 1000):
        monkeypatch.setattr(video_damage, "_PACKETS_OF_A_JUMP", packets)
        frames = intact_frames(path, index, wanted, DamageLog())
        given.append([(position, number_of(frame)) for position, frame in frames])
    assert given[0] == given[1] == given[2]
    assert all(position == number for position, number in given[0])
    assert damaged or [position for position, _ in given[0]] == wanted


def test_dense_frames_are_decoded_in_one_go_and_sparse_ones_by_jumps(tmp_path: Path) -> None:
    index = index_packets(write_movie(tmp_path / "movie.mp4", Movie(num_frames=100, group_size=10)))
    assert [len(video_damage._runs(index, range(0, 100, step))) for step in (1, 10, 50)] == [1, 10, 2]
