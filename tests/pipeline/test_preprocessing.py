"""Frames as the encoder sees them: compared with open_clip's own transform, pixel by pixel."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from open_clip.transform import image_transform
from PIL import Image
from torchvision.transforms import Compose, Normalize
from tvr.data.contracts.errors import UsageError
from tvr.pipeline import preprocessing as preprocessing_module
from tvr.pipeline.options import ExtractionOptions
from tvr.pipeline.preprocessing import Preprocessing, Resize, resize, usual_resize
from tvr.pipeline.sampling import Sampling

from ..fixtures.circles import disc, sides

MEAN = STD = (0.5, 0.5, 0.5)
WAYS: tuple[Resize, ...] = ("exact", "fast")


def by_open_clip(frame: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The picture that open_clip hands to its normalisation, in 0..255."""
    size = (preprocessing.height, preprocessing.width)
    transform: Any = image_transform(
        size[0] if size[0] == size[1] else size,
        is_train=False,
        resize_mode=preprocessing.resize_mode,
        interpolation=preprocessing.interpolation,
        fill_color=preprocessing.fill_color,
    )
    kept: Any = Compose([step for step in transform.transforms if not isinstance(step, Normalize)])
    return (kept(Image.fromarray(frame)).numpy() * 255).round().astype(np.int64).transpose(1, 2, 0)


@cache
def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Edges, a gradient and noise: what a resampling filter gets wrong first."""
    rng = np.random.default_rng([seed, height, width])
    rows, columns = np.mgrid[:height, :width]
    pattern = np.stack([rows * 255 // max(1, height), (columns // 3 % 2) * 255, (rows + columns) % 256], -1)
    noise = rng.integers(-20, 21, pattern.shape)
    return np.clip(pattern + noise, 0, 255).astype(np.uint8)


def vanishes(source: tuple[int, int], target: tuple[int, int], mode: str) -> bool:
    """Whether one side of a thin frame is scaled to nothing, which open_clip cannot do."""
    ratio = max(source[0] / target[0], source[1] / target[1])
    return mode == "longest" and round(min(source) / ratio) == 0


def difference(frame: np.ndarray, preprocessing: Preprocessing) -> int:
    ours = resize(frame, preprocessing)
    assert ours.shape == (preprocessing.height, preprocessing.width, 3)
    assert ours.dtype == np.uint8
    return int(np.abs(ours.astype(np.int64) - by_open_clip(frame, preprocessing)).max())


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("target", [(224, 224), (336, 336), (224, 320), (33, 17)])
@pytest.mark.parametrize(
    "source",
    [(360, 640), (640, 360), (121, 161), (1, 1), (2, 2), (224, 224), (225, 224), (1080, 1920), (17, 1200)],
)
def test_equals_open_clip(
    source: tuple[int, int], target: tuple[int, int], mode: str, interpolation: str
) -> None:
    if vanishes(source, target, mode):
        pytest.skip("open_clip cannot scale a side to nothing")
    preprocessing = Preprocessing(*target, mode, interpolation, MEAN, STD, fill_color=7)  # pyright: ignore
    assert difference(picture(*source), preprocessing) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 96), st.integers(1, 96)),
    st.sampled_from(["shortest", "longest", "squash"]),
    st.sampled_from(["bicubic", "bilinear"]),
)
def test_equals_open_clip_at_any_size(
    source: tuple[int, int], target: tuple[int, int], mode: str, interpolation: str
) -> None:
    assume(not vanishes(source, target, mode))
    preprocessing = Preprocessing(*target, mode, interpolation, MEAN, STD)  # pyright: ignore
    assert difference(picture(*source), preprocessing) <= 1


@pytest.mark.parametrize("way", ["exact", usual_resize()])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_a_strip_one_pixel_high_needs_no_more_memory_than_others(mode: str, way: Resize) -> None:
    preprocessing = Preprocessing(224, 224, mode, "bicubic", MEAN, STD)  # pyright: ignore
    assert resize(picture(1, 20_000), preprocessing, way=way).shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("interpolation", "aspect"), [("bicubic", 1.0), ("bicubic", 4 / 3), ("bilinear", 1.0)]
)
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("target", [(224, 224), (224, 320), (33, 17)])
@pytest.mark.parametrize("source", [(360, 640), (640, 361), (90, 120), (1, 1), (17, 1200)])
def test_fast_is_close_to_exact(
    source: tuple[int, int], target: tuple[int, int], mode: str, interpolation: str, aspect: float
) -> None:
    pytest.importorskip("cykooz_resizer", reason="it has no wheel for this machine")
    preprocessing = Preprocessing(*target, mode, interpolation, MEAN, STD, fill_color=7)  # pyright: ignore
    exact, fast = (resize(picture(*source), preprocessing, aspect, way).astype(int) for way in WAYS)
    assert exact.shape == fast.shape == (*target, 3)
    # Where one side shrinks more than the other, PIL 13 may begin with that one, and rounds and clips otherwise.
    is_alike = aspect == 1 and mode != "squash"
    assert np.abs(exact - fast).max() <= (2 if is_alike else 16)
    assert np.abs(exact - fast).mean() <= (0.05 if is_alike else 0.5)


def test_fast_is_the_same_on_every_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("cykooz_resizer", reason="it has no wheel for this machine")
    preprocessing = Preprocessing(224, 224, "shortest", "bicubic", MEAN, STD)
    frames = [picture(360, 640), picture(1080, 1920), picture(99, 77)]
    usual = [resize(frame, preprocessing, way="fast") for frame in frames]

    def without_vectors() -> Any:
        resizer = made()
        resizer.cpu_extensions = library.CpuExtensions.none
        return resizer

    made = library.Resizer
    monkeypatch.setattr(library, "Resizer", without_vectors)
    for frame, expected in zip(frames, usual, strict=True):
        assert (resize(frame, preprocessing, way="fast") == expected).all()


def test_fast_is_refused_where_its_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessing_module, "_FAST_PACKAGE", "a_package_that_is_not_here")
    assert usual_resize() == "exact"
    with pytest.raises(UsageError, match="pip install cykooz-resizer"):
        ExtractionOptions(Sampling(), resize="fast")


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("target", [(224, 224), (224, 320)])
@pytest.mark.parametrize("source", [(240, 320), (576, 720), (121, 161)])
def test_square_pixels_change_nothing(source: tuple[int, int], target: tuple[int, int], mode: str) -> None:
    preprocessing = Preprocessing(*target, mode, "bicubic", MEAN, STD)  # pyright: ignore
    frame = picture(*source)
    assert (resize(frame, preprocessing, 1.0) == resize(frame, preprocessing)).all()


@pytest.mark.parametrize("mode", ["shortest", "longest"])
@pytest.mark.parametrize("target", [(96, 96), (80, 120), (120, 80)])
@pytest.mark.parametrize("aspect", [3 / 8, 10 / 11, 4 / 3, 64 / 45, 2.0])
def test_a_circle_stays_one(aspect: float, target: tuple[int, int], mode: str) -> None:
    preprocessing = Preprocessing(*target, mode, "bicubic", MEAN, STD)  # pyright: ignore
    frame = disc(192, 192, aspect, 60 * min(1.0, aspect))
    height, width = sides(resize(frame, preprocessing, aspect))
    assert height == pytest.approx(width, abs=1)
    flat = sides(resize(frame, preprocessing))
    assert flat[0] == pytest.approx(flat[1] * aspect, rel=0.05)


def test_squash_ignores_the_aspect_of_pixels() -> None:
    preprocessing = Preprocessing(96, 96, "squash", "bicubic", MEAN, STD)
    frame = picture(240, 320)
    assert (resize(frame, preprocessing, 4 / 3) == resize(frame, preprocessing)).all()


@pytest.mark.parametrize("target", [(96, 96), (80, 120)])
@pytest.mark.parametrize("mode", ["shortest", "longest"])
def test_wide_pixels_look_like_columns_that_are_there_twice(mode: str, target: tuple[int, int]) -> None:
    preprocessing = Preprocessing(*target, mode, "bicubic", MEAN, STD)  # pyright: ignore
    rows, columns = np.mgrid[:288, :192]
    frame = np.stack([rows * 255 // 288, columns * 255 // 192, (rows + columns) % 256 // 2], -1).astype(
        np.uint8
    )
    wide = resize(frame, preprocessing, 2.0).astype(int)
    twice = resize(np.repeat(frame, 2, axis=1), preprocessing).astype(int)
    assert np.abs(wide - twice).mean() < 1


@pytest.mark.parametrize("mode", ["shortest", "longest"])
@pytest.mark.parametrize("aspect", [0.1, 10.0])
@pytest.mark.parametrize("source", [(1, 20_000), (20_000, 1)])
def test_a_strip_of_long_pixels_needs_no_more_memory_than_others(
    source: tuple[int, int], aspect: float, mode: str
) -> None:
    preprocessing = Preprocessing(224, 224, mode, "bicubic", MEAN, STD)  # pyright: ignore
    assert resize(picture(*source), preprocessing, aspect).shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("settings_", "names"),
    [
        ({"height": 0}, "0 x 224"),
        ({"resize_mode": "fit"}, "squash"),
        ({"interpolation": "lanczos"}, "bilinear"),
    ],
)
def test_preprocessing_fails(settings_: dict[str, object], names: str) -> None:
    values = {"height": 224, "width": 224, "resize_mode": "shortest", "interpolation": "bicubic", **settings_}
    # The shape checker of the test run looks at Literal types before the class does.
    with pytest.raises((UsageError, TypeCheckError), match=names):
        Preprocessing(**values, mean=MEAN, std=STD)  # pyright: ignore
