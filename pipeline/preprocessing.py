"""From a decoded frame to the picture an encoder sees, still in uint8: resize, crop or pad.

It is the deterministic half of open_clip's own image transform, without torch, because it runs in the decoding
children, and torch would take each of them seconds and hundreds of megabytes. Normalisation (mean, std) happens on the
device, from the same record.
"""

import importlib
import importlib.util
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ..data.contracts.errors import UsageError

ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]
Pixels = Literal["square", "stored"]
"""square: a picture has the proportions in which a player shows it. stored: those of its rows and columns, whatever
the file says of the shape of a pixel."""
DEFAULT_PIXELS: Pixels = "square"
"""The pictures that CLIP was trained on were shown so: people and wheels in their real proportions."""

Resize = Literal["fast", "exact"]
"""exact: PIL's own resampling, as open_clip has it. fast: the same filters by vector instructions, with weights of 16
bits: of a thousand numbers four differ, by 1 of 255; more of them where one side of a frame shrinks more than the
other, as there the order of PIL's two passes depends on its version. Its pictures are the same to the bit on every
processor."""

_FAST_PACKAGE = "cykooz_resizer"
_MAX_PIXELS = 1 << 25
_FILTER_RADIUS = 2
"""Of the widest filter, in pixels of the larger of source and result."""
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a frame becomes the input of one model.

    Raises:
        UsageError: a size that is not positive, or a mode that does not exist.
    """

    height: int
    """Of the model's input, in pixels."""
    width: int
    """Of the model's input, in pixels."""
    resize_mode: ResizeMode
    """shortest: fill the input and crop the centre. longest: fit into it and pad. squash: ignore the aspect
    ratio, that of the pixels too."""
    interpolation: Interpolation
    """The filter of the resampling."""
    mean: tuple[float, float, float]
    """Of each colour channel, on the scale 0..1; subtracted on the device."""
    std: tuple[float, float, float]
    """Of each colour channel, on the scale 0..1; divided by on the device."""
    fill_color: int = 0
    """Value of the padding of ``longest``, 0..255."""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise UsageError(f"height and width must be at least 1 pixel, got {self.height} x {self.width}")
        if not all(math.isfinite(number) for number in self.mean) or not all(
            0 < one < math.inf for one in self.std
        ):
            raise UsageError(
                f"mean must be finite and std above 0 in each channel, got {self.mean} and {self.std}"
            )
        for value, kind in ((self.resize_mode, ResizeMode), (self.interpolation, Interpolation)):
            if value not in get_args(kind):
                raise UsageError(f"preprocessing must be one of {', '.join(get_args(kind))}, got {value!r}")


def usual_resize() -> Resize:
    """What a new store is made with where nobody chooses: fast, unless the package for it has no wheel here."""
    return "fast" if importlib.util.find_spec(_FAST_PACKAGE) else "exact"


def check_resize(name: Resize) -> None:
    """Refuse what cannot be done here, before a video is decoded.

    Raises:
        UsageError: the package for it is not installed.
    """
    if name == "fast" and usual_resize() != "fast":
        raise UsageError(
            "--resize fast needs the package cykooz-resizer, which is not installed: pip install cykooz-resizer. "
            "A new store can be made with --resize exact; one that was begun with fast goes on with it alone"
        )


def resize(
    frame: UInt8[np.ndarray, "height width 3"],
    preprocessing: Preprocessing,
    pixel_aspect: float = 1.0,
    way: Resize = "exact",
) -> UInt8[np.ndarray, "resized_height resized_width 3"]:
    """The frame at the size of the model's input; if exact, equal to open_clip's transform to 1/255 in every pixel.

    Args:
        frame: RGB, at any size.
        preprocessing: of the model.
        pixel_aspect: width of the frame's pixels over their height. They become square in the same resampling that
            changes the size, so that nothing is blurred twice.
        way: how it is resampled.
    """
    scaled_height, scaled_width = _scaled_size(frame.shape[0], frame.shape[1] * pixel_aspect, preprocessing)
    top, height = _crop(scaled_height, preprocessing.height)
    left, width = _crop(scaled_width, preprocessing.width)
    if way == "fast":
        across = _Axis.of(frame.shape[1], scaled_width, left, width)
        down = _Axis.of(frame.shape[0], scaled_height, top, height)
        return _padded(_quickly_resampled(frame, across, down, preprocessing), preprocessing)
    box = (left, top, left + width, top + height)
    picture = Image.fromarray(frame)
    if scaled_height * scaled_width > _MAX_PIXELS:
        picture = _resampled_box(picture, box, (scaled_height, scaled_width), preprocessing)
    else:
        picture = picture.resize((scaled_width, scaled_height), _filter(preprocessing)).crop(box)
    return _padded(np.asarray(picture), preprocessing)


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a crop: what of the source is read, and where in that the crop lies."""

    source: slice
    """All that the filter reaches."""
    offset: float
    """Where the crop begins in that, in pixels of the source."""
    extent: float
    """Of the crop, in pixels of the source."""
    size: int
    """Of the crop, in pixels of the result."""

    @classmethod
    def of(cls, source: int, scaled: int, begin: int, size: int) -> "_Axis":
        """A crop of so many pixels, beginning at that one, of ``source`` pixels that are scaled to ``scaled``."""
        step = source / scaled
        reach = math.ceil(_FILTER_RADIUS * max(step, 1.0)) + 1
        first = max(0, math.floor(begin * step) - reach)
        last = min(source, math.ceil((begin + size) * step) + reach)
        offset = begin * step - first
        return cls(slice(first, last), offset, min(size * step, last - first - offset), size)


def _quickly_resampled(
    frame: UInt8[np.ndarray, "height width 3"], across: _Axis, down: _Axis, preprocessing: Preprocessing
) -> UInt8[np.ndarray, "cropped_height cropped_width 3"]:
    library, read = _fast_library(), frame[down.source, across.source]
    rows, columns = read.shape[:2]
    kind, filters = library.PixelType.U8x3, library.FilterType
    # PIL's bicubic filter is that of Catmull and Rom.
    is_bicubic = _filter(preprocessing) is Image.Resampling.BICUBIC
    way = library.ResizeAlg.convolution(filters.catmull_rom if is_bicubic else filters.bilinear)
    whole = library.ImageData(columns, rows, kind, read.tobytes())
    narrow = library.ImageData(across.size, rows, kind)
    small = library.ImageData(across.size, down.size, kind)
    # Across, then down, as PIL: asked for both at once the library goes the other way, and rounds and clips otherwise.
    for before, after, box in (
        (whole, narrow, (across.offset, 0, across.extent, rows)),
        (narrow, small, (0, down.offset, across.size, down.extent)),
    ):
        options = library.ResizeOptions(way, use_alpha=False, crop_box=library.CropBox(*box))
        library.Resizer().resize(before, after, options)
    return np.frombuffer(small.get_buffer(), np.uint8).reshape(down.size, across.size, 3)


@cache
def _fast_library() -> Any:
    return importlib.import_module(_FAST_PACKAGE)


def _resampled_box(
    picture: Image.Image,
    box: tuple[int, int, int, int],
    scaled: tuple[int, int],
    preprocessing: Preprocessing,
) -> Image.Image:
    """Only what remains after the crop: a frame one pixel high would take gigabytes if it were scaled whole.

    Not done for every frame, because PIL's box has the precision of float32: single pixels differ by 2/255.
    """
    rows, columns = picture.height / scaled[0], picture.width / scaled[1]
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    source = (
        left * columns,
        top * rows,
        min(right * columns, picture.width),
        min(bottom * rows, picture.height),
    )
    return picture.resize(size, _filter(preprocessing), source)


def _filter(preprocessing: Preprocessing) -> Image.Resampling:
    # open_clip gives its non-square "shortest" no interpolation, so that one is bicubic whatever the config
    # says.
    square = preprocessing.height == preprocessing.width
    if preprocessing.resize_mode == "shortest" and not square:
        return Image.Resampling.BICUBIC
    return _FILTERS[preprocessing.interpolation]


def _scaled_size(height: int, width: float, preprocessing: Preprocessing) -> tuple[int, int]:
    """Size of the whole frame after scaling, before the crop, rounded as open_clip rounds it.

    The width is that of a frame as high, of square pixels.
    """
    target_height, target_width = preprocessing.height, preprocessing.width
    if preprocessing.resize_mode == "squash":
        return target_height, target_width
    if preprocessing.resize_mode == "shortest" and target_height == target_width:
        long_side = int(target_height * max(height, width) / min(height, width))
        return (target_height, long_side) if height <= width else (long_side, target_width)
    ratios = height / target_height, width / target_width
    ratio = min(ratios) if preprocessing.resize_mode == "shortest" else max(ratios)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def _crop(scaled: int, target: int) -> tuple[int, int]:
    """Where the central crop of one axis begins, and how long it is."""
    if scaled <= target:
        return 0, scaled
    return round((scaled - target) / 2.0), target


def _padded(
    picture: UInt8[np.ndarray, "height width 3"], preprocessing: Preprocessing
) -> UInt8[np.ndarray, "padded_height padded_width 3"]:
    """The picture in the middle of the model's input; as open_clip, an odd pixel goes to the bottom and
    right.
    """
    height, width = picture.shape[:2]
    if (height, width) == (preprocessing.height, preprocessing.width):
        return picture
    padded = np.full((preprocessing.height, preprocessing.width, 3), preprocessing.fill_color, np.uint8)
    top, left = (preprocessing.height - height) // 2, (preprocessing.width - width) // 2
    padded[top : top + height, left : left + width] = picture
    return padded
