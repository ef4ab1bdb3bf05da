"""Random files: the same for the same seed, told as JSON, and readable by a plain decode."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.decoding_truth.encodes import CONTAINERS, Encode, drawn
from benchmarks.decoding_truth.truth import true_frames
from benchmarks.decoding_truth.writing import write_clean, write_encode


def test_a_seed_draws_the_same_encodes_and_another_draws_others() -> None:
    encodes = [drawn(3, number) for number in range(50)]
    assert encodes == [drawn(3, number) for number in range(50)]
    assert encodes != [drawn(4, number) for number in range(50)]


def test_an_encode_is_restored_from_its_json() -> None:
    for number in range(200):
        encode = drawn(0, number)
        assert Encode.from_json(encode.as_json()) == encode


def test_an_unknown_property_fails() -> None:
    with pytest.raises(TypeError, match="colour"):
        Encode.from_json('{"colour": "red"}')


def test_every_dimension_is_drawn() -> None:
    encodes = [drawn(0, number) for number in range(2000)]
    assert {(encode.codec, encode.container) for encode in encodes} == {
        (codec, container) for codec, containers in CONTAINERS.items() for container in containers
    }
    shares = Counter(encode.damage for encode in encodes)
    assert 0.3 < 1 - shares["none"] / len(encodes) < 0.4
    assert set(shares) == {"none", "cut", "zeroed", "flipped", "lost", "joined"}
    assert {encode.times for encode in encodes} == {"constant", "variable", "repeated", "missing"}
    assert {encode.edit for encode in encodes} == {"none", "default", "two", "four"}
    assert {encode.rotation for encode in encodes} == {0, 90, 180, 270}


def test_the_plain_decode_shows_what_was_encoded(tmp_path: Path) -> None:
    encode = Encode(container="mkv", frames=40, b_frames=3, times="variable", rotation=90, mirrored=True)
    truth = true_frames(write_encode(encode, tmp_path / "encode.mkv"), encode)
    assert truth.numbers.tolist() == list(range(40))
    assert truth.is_stamped
    assert not truth.is_steady
    assert (np.diff(truth.seconds) > 0.03).all()


def test_pieces_of_an_edit_list_are_shown_one_after_another(tmp_path: Path) -> None:
    encode = Encode(frames=40, b_frames=2, edit="four")
    truth = true_frames(write_encode(encode, tmp_path / "encode.mp4"), encode)
    numbers = truth.numbers.tolist()
    assert numbers == sorted(numbers)
    assert 20 <= len(numbers) < 40
    # FFmpeg rounds where a piece ends; what is left out takes up no time.
    assert np.diff(truth.seconds).max() <= 0.0801
    assert np.diff(numbers).max() > 2


def test_joined_recordings_are_one_time_line(tmp_path: Path) -> None:
    encode = Encode(container="ts", frames=20, damage="joined", start_seconds=36000.0)
    truth = true_frames(write_encode(encode, tmp_path / "encode.ts"), encode)
    assert truth.numbers.tolist() == list(range(40))
    assert np.allclose(np.diff(truth.seconds), 0.04)


@pytest.mark.parametrize("damage", ["cut", "zeroed", "flipped", "lost"])
def test_damage_changes_the_file(tmp_path: Path, damage: str) -> None:
    encode = Encode.from_json(f'{{"container": "ts", "damage": "{damage}"}}')
    clean = write_clean(encode, tmp_path / "clean.ts").read_bytes()
    spoilt = write_encode(encode, tmp_path / "spoilt.ts").read_bytes()
    assert len(spoilt) == len(clean) if damage in ("zeroed", "flipped") else len(spoilt) < len(clean)
    assert spoilt != clean
