"""A picture that says its number, or nothing; never another number."""

from pathlib import Path

import numpy as np
import pytest
from tvr.pipeline.preprocessing import Preprocessing, resize

from benchmarks.decoding_truth.encodes import CONTAINERS, Encode
from benchmarks.decoding_truth.pictures import (
    NUMBERS,
    UNREADABLE,
    is_turned,
    number_of,
    numbered_picture,
    numbers_of,
)
from benchmarks.decoding_truth.truth import true_frames
from benchmarks.decoding_truth.writing import write_encode

SIZES = [(64, 96), (66, 98), (65, 97), (144, 176), (96, 64)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_number_reads_back_at_every_size(height: int, width: int) -> None:
    preprocessing = Preprocessing(64, 64, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for number in range(0, NUMBERS, 37):
        picture = numbered_picture(number, height, width)
        squashed = resize(picture, preprocessing)
        assert number_of(picture) == number_of(squashed) == number


@pytest.mark.parametrize("codec", [codec for codec in CONTAINERS if codec != "gif"])
def test_numbers_read_back_after_heavy_compression(tmp_path: Path, codec: str) -> None:
    formats = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}
    encode = Encode(
        codec, CONTAINERS[codec][0], frames=15, quality=33, pixel_format=formats.get(codec, "yuv420p")
    )
    truth = true_frames(write_encode(encode, tmp_path / f"encode.{encode.container}"), encode)
    assert truth.numbers.tolist() == list(range(15))


def test_what_is_damaged_reads_as_nothing_fails() -> None:
    random = np.random.default_rng(0)
    pictures = np.stack([numbered_picture(number, 64, 64) for number in range(300)])
    for start in (0, 16, 32):
        spoilt = pictures.copy()
        spoilt[:, start : start + 16, 8:40] = (
            random.choice([20, 235], (300, 2, 4, 1)).repeat(8, 1).repeat(8, 2)
        )
        numbers = numbers_of(spoilt)
        # Eight check bits: one wrong word in 256 passes, and random cells may be the right ones.
        assert ((numbers == UNREADABLE) | (numbers == np.arange(300))).mean() > 0.98
    grey = np.full((1, 64, 64, 3), 128, np.uint8)
    for picture in (grey, grey * 0, grey * 0 + 255, (pictures[3:4] // 2 + pictures[4:5] // 2)):
        assert numbers_of(picture).tolist() == [UNREADABLE]


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_turned_or_mirrored_is_noticed(turns: int, mirrored: bool) -> None:
    for number in range(0, NUMBERS, 101):
        upright = numbered_picture(number, 64, 64)
        turned = np.rot90(upright[:, ::-1] if mirrored else upright, turns)
        assert number_of(turned) == UNREADABLE
        assert is_turned(turned)
        assert not is_turned(upright)
