"""From the library's image processor of a model to the record of how a frame becomes its input."""

import math
from collections.abc import Sequence
from typing import Any

from PIL.Image import Resampling

from ....data.contracts.errors import WeightsError
from ...preprocessing import Interpolation, Preprocessing, ResizeMode

_FILTERS: dict[int, Interpolation] = {Resampling.BICUBIC: "bicubic", Resampling.BILINEAR: "bilinear"}
_UNCHANGED = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Mean and std of what is not normalised."""


def preprocessing_of_square(processor: Any, image_size: int, model: str) -> Preprocessing:
    """How a frame becomes the input of a network that reads square pictures of one size.

    Args:
        processor: the library's, of the model.
        image_size: of the network, in pixels.
        model: for errors.

    Raises:
        WeightsError: it treats pictures in a way that is not known here, or makes them of another size.
    """
    mode = _resize_mode(processor, image_size, model)
    mean, std = normalisation_of(processor, model)
    return Preprocessing(image_size, image_size, mode, interpolation_of(processor, model), mean, std)


def normalisation_of(
    processor: Any, model: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and std of each colour channel, on the scale 0..1.

    Raises:
        WeightsError: pixels are scaled in another way.
    """
    if not processor.do_rescale or not math.isclose(processor.rescale_factor, 1 / 255, rel_tol=1e-3):
        scale = processor.rescale_factor if processor.do_rescale else None
        raise _refusal(model, f"multiplies pixels by {scale}", "a multiplication by 1/255")
    if not processor.do_normalize:
        return _UNCHANGED
    return _three(processor.image_mean), _three(processor.image_std)


def interpolation_of(processor: Any, model: str) -> Interpolation:
    """The filter of the resampling.

    Raises:
        WeightsError: it is none of those that are known here.
    """
    for value, name in _FILTERS.items():
        if processor.resample == value:
            return name
    raise _refusal(model, f"resamples with filter {processor.resample}", "bicubic (3) or bilinear (2)")


def _resize_mode(processor: Any, image_size: int, model: str) -> ResizeMode:
    """By the size to which the whole picture is scaled, and what is cut out of it then."""
    if not processor.do_resize:
        raise _refusal(model, "leaves pictures as large as they are", "one size")
    size, square = processor.size, (image_size, image_size)
    crop = processor.crop_size if getattr(processor, "do_center_crop", False) else None
    is_whole = crop is None or (crop.height, crop.width) == square
    if (size.height, size.width) == square and is_whole:
        return "squash"
    if size.shortest_edge == image_size and size.longest_edge is None and crop is not None and is_whole:
        return "shortest"
    scaled = {key: value for key, value in vars(size).items() if value is not None}
    cut = "nothing" if crop is None else f"{crop.height} x {crop.width}"
    raise _refusal(
        model,
        f"scales pictures to {scaled} and cuts {cut} out of their centre",
        f"height and width of {image_size}, as the network reads, or a shortest_edge of {image_size} with as large a "
        "cut",
    )


def _three(numbers: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, numbers)
    return red, green, blue


def _refusal(model: str, does: str, known: str) -> WeightsError:
    return WeightsError(f"the image processor of {model} {does}; known here is {known}")
