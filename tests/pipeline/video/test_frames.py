"""Frames of clean and damaged files: by jumps, by decoding everything, and by counting."""

from collections.abc import Container
from pathlib import Path

import av
import numpy as np
import pytest
from tvr.data.contracts.errors import DecodeError
from tvr.pipeline.decoders.pyav import Decoder
from tvr.pipeline.video import frames as video_frames
from tvr.pipeline.video.damage import DamageLog
from tvr.pipeline.video.decoder_output import ComplaintError
from tvr.pipeline.video.frames import lenient_frames, strict_frames, survey
from tvr.pipeline.video.packets import index_packets
from tvr.pipeline.video.seeking_decoder import why_declined

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


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
@pytest.mark.parametrize("spoilt", [0, 4, 17, 24])
def test_one_spoilt_packet_costs_its_group_at_most(tmp_path: Path, codec: str, spoilt: int) -> None:
    ending = "mkv" if codec == "libvpx-vp9" else "mp4"
    path = write_movie(tmp_path / f"movie.{ending}", Movie(num_frames=60, codec=codec))
    overwritten(path, spoilt)
    decoder, log = Decoder(), DamageLog()
    found = {
        position: number_of(picture) for position, picture in decoder.intact_frames(path, range(60), log)
    }
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
    jumped = dict(strict_frames(path, index, wanted))
    walked = dict(strict_frames(path, index, range(120)))
    assert list(jumped) == wanted
    assert all((jumped[position] == walked[position]).all() for position in wanted)


def test_pictures_that_nobody_needs_change_no_other(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=60, group_size=30))
    clean = index_packets(path)
    unreferenced = [clean.position_of_pts[clean.packets[number].pts] for number in clean.unreferenced]
    needed = sorted(set(range(60)).difference(unreferenced))
    expected = dict(strict_frames(path, clean, range(60)))
    assert len(unreferenced) > 10
    for number in clean.unreferenced:
        overwritten(path, number)
    # Not even looked at: what refers to nothing of them is whole.
    index = index_packets(path)
    given = dict(strict_frames(path, index, needed))
    assert list(given) == needed
    assert all((given[position] == expected[position]).all() for position in needed)


def test_pictures_that_nobody_needs_change_no_other_fails(tmp_path: Path) -> None:
    """One that is wanted is decoded, and told to be damaged."""
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=60, group_size=30))
    index = index_packets(path)
    number = min(index.unreferenced)
    position = index.position_of_pts[index.packets[number].pts]
    overwritten(path, number)
    with pytest.raises(ComplaintError):
        list(strict_frames(path, index_packets(path), [position, 40]))


def test_a_picture_that_others_refer_to_is_never_left_out(tmp_path: Path) -> None:
    """Also where one spot of damage makes its header say that none does."""
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=60, group_size=30))
    clean, data = index_packets(path), path.read_bytes()
    referenced = [
        (number, packet.pos)
        for number, packet in enumerate(clean.packets)
        if number not in clean.unreferenced and not packet.is_key and packet.pos is not None
    ]
    is_last = {number for number in range(59) if clean.packets[number + 1].is_key}
    assert len(referenced) > 20
    for number, pos in referenced:
        changed = bytearray(data)
        changed[pos + 4] &= 0x9F  # behind the length of the unit
        path.write_bytes(changed)
        index = index_packets(path)
        assert index.packets[number].pictures.is_unreferenced
        assert number not in index.unreferenced or number in is_last


def test_a_file_without_any_sound_frame_fails(tmp_path: Path, shared: Path) -> None:
    path = shared / "data/codec_zoo/androidx/subsample_encrypted_noaltref.webm"
    with pytest.raises(DecodeError, match="encrypted"):
        survey(path, index_packets(path))


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("group_size", [6, 12, 50])
@pytest.mark.parametrize("step", [1, 3, 7, 12, 25])
def test_jumping_and_going_on_give_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_size: int, step: int, damaged: bool
) -> None:
    path = write_movie(tmp_path / "movie.mp4", Movie(num_frames=100, group_size=group_size))
    if damaged:
        # With this seed: random bytes at the end of a slice may read as another valid picture.
        damage(path, position=0.5, length=100, seed=1)
    index = index_packets(path)
    wanted = list(range(2, 100, step))
    given: list[list[tuple[int, int]]] = []
    for packets in (-1000, video_frames._PACKETS_OF_A_JUMP, 1000):
        monkeypatch.setattr(video_frames, "_PACKETS_OF_A_JUMP", packets)
        frames = (
            lenient_frames(path, index, wanted, DamageLog())
            if damaged
            else strict_frames(path, index, wanted)
        )
        given.append([(position, number_of(frame)) for position, frame in frames])
    assert given[0] == given[1] == given[2]
    assert all(position == number for position, number in given[0])
    assert damaged or [position for position, _ in given[0]] == wanted


def test_dense_frames_are_decoded_in_one_go_and_sparse_ones_by_jumps(tmp_path: Path) -> None:
    index = index_packets(write_movie(tmp_path / "movie.mp4", Movie(num_frames=100, group_size=10)))
    assert [len(video_frames._runs(index, range(0, 100, step))) for step in (1, 10, 50)] == [1, 10, 2]


def without_packets(path: Path, numbers: Container[int]) -> Path:
    """A copy that lacks some packets, given by their places in decoding order."""
    copy = path.with_name(f"without_{path.name}")
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for place, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and place not in numbers:
                packet.stream = stream
                target.mux(packet)
    return copy


@pytest.mark.parametrize(("number", "lost"), [(None, ""), (1, " of 59 frames came: ")])
def test_frames_that_damage_has_swallowed_are_told(tmp_path: Path, number: int | None, lost: str) -> None:
    path = write_movie(tmp_path / "movie.ts", Movie(num_frames=60, codec="libx265", group_size=60))
    path = path if number is None else without_packets(path, [number])
    surveyed = survey(path, index_packets(path))
    assert lost in surveyed.lost
    assert bool(surveyed.lost) == bool(lost)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("wanted", [[0], [2, 20], list(range(40))])
def test_a_copy_that_begins_within_a_group_begins_with_its_first_frame_that_can_be_shown(
    tmp_path: Path, ending: str, wanted: list[int]
) -> None:
    path = write_movie(tmp_path / f"movie.{ending}", Movie(num_frames=60, group_size=12))
    path = without_packets(path, range(5))
    index, decoder = index_packets(path), Decoder()
    assert why_declined(index)
    times = decoder.probe(path).frame_seconds
    assert np.allclose(times, np.arange(48) / 25, atol=2e-3)
    assert [number_of(picture) for picture in decoder.read(path, wanted)] == [12 + each for each in wanted]
