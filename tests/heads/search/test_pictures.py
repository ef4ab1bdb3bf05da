"""Pictures as people have them, and files that are none."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tvr.data.contracts.errors import DecodeError
from tvr.heads.search import pictures
from tvr.heads.search.pictures import read_picture

RED = (200, 30, 30)


def plain(mode: str = "RGB", size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new("RGB", size, RED).convert(mode)


def test_a_16_bit_picture_keeps_its_greys(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255, 256, 32768, 65535]], np.uint16)).save(tmp_path / "grey.png")
    assert read_picture(tmp_path / "grey.png")[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str) -> None:
    seen = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    seen.putpixel((1, 0), (0, 0, 0, 0))
    options: dict[str, Any] = {}
    if mode == "P":
        seen, options = Image.new("P", (2, 1)), {"transparency": 1}
        seen.putpalette([0, 0, 0, 9, 9, 9])
        seen.putpixel((1, 0), 1)
    seen.convert(mode).save(tmp_path / "logo.png", **options)
    assert read_picture(tmp_path / "logo.png")[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_a_print_is_seen_in_its_colours(tmp_path: Path) -> None:
    plain("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_picture(tmp_path / "print.jpg").astype(int) - RED).max() <= 3


def test_of_a_moving_picture_the_first_frame_counts(tmp_path: Path) -> None:
    plain().save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (8, 6), (0, 255, 0))])
    assert np.abs(read_picture(tmp_path / "a.gif").astype(int) - RED).max() <= 3


def test_one_that_is_stored_on_its_side_is_turned(tmp_path: Path) -> None:
    how = Image.Exif()
    how[0x0112] = 6
    plain().save(tmp_path / "turned.jpg", exif=how)
    assert read_picture(tmp_path / "turned.jpg").shape == (8, 6, 3)


@pytest.mark.parametrize("limit", [20, 40])
def test_a_photo_of_a_big_camera_is_read_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Of 48 pixels, where Pillow would refuse those or warn of them."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    plain().save(tmp_path / "photo.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(tmp_path / "photo.png").shape == (6, 8, 3)
    assert limit == Image.MAX_IMAGE_PIXELS, "what others read is limited as before"


@pytest.mark.parametrize("limit", [20, 40])
def test_a_picture_fails_that_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", limit)
    plain().save(tmp_path / "bomb.png")
    with pytest.raises(DecodeError, match=f"more than {limit} pixels"):
        read_picture(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: file.write_bytes(b""), "it is empty"),
        (lambda file: file.write_text("hello"), "no picture format.*--video .*a file.png'$"),
        (lambda file: Image.new("F", (3, 3)).save(file, "TIFF"), "have 32 bits"),
    ],
)
def test_a_picture_fails_in_words(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    file = tmp_path / "a file.png"
    make(file)
    with pytest.raises(DecodeError, match=said):
        read_picture(file)


def test_half_a_picture_fails(tmp_path: Path) -> None:
    plain(size=(64, 64)).save(tmp_path / "half.png")
    whole = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecodeError, match="not a readable picture"):
        read_picture(tmp_path / "half.png")
