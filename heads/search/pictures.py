"""A picture file as a person sees it: upright, on white where it is transparent, in 8 bits a channel."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from ...data.contracts.errors import DecodeError, pasteable

MOST_PIXELS = 1 << 28
"""Of a picture that is read: more than any camera makes, and 1 GB."""
_WITHOUT_RANGE = ("I", "F")
"""Modes of Pillow whose numbers have 32 bits, of which nothing says which one is white."""


def read_picture(
    file: Path, name: str | None = None, most_pixels: int | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture, of a moving one the first frame.

    Transparent parts are white, as in the pictures that the CLIP models of LAION were trained on.

    Args:
        file: the picture.
        name: what errors call it; None: by its path.
        most_pixels: more are not read; None: ``MOST_PIXELS``.

    Raises:
        DecodeError: the file is no picture, breaks off, or has too many pixels.
    """
    called, most = name or str(file), most_pixels or MOST_PIXELS
    try:
        with warnings.catch_warnings():
            # Pillow refuses twice as many pixels as it warns of, both below what cameras make today.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of damaged notes beside a picture that can be seen
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most
            try:
                with Image.open(file) as opened:
                    return np.asarray(_in_colours(ImageOps.exif_transpose(opened)))
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DecodeError(f"{called} has more than {most:,} pixels: search with a smaller copy") from error
    except UnidentifiedImageError as error:
        why = "it is empty" if not file.stat().st_size else "its first bytes are those of no picture format"
        video = "" if name else f". A video is searched with --video {pasteable(file)}"
        raise DecodeError(f"{called} is not a readable picture: {why}{video}") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise DecodeError(f"{called} is not a readable picture ({error})") from error


def _in_colours(picture: Image.Image) -> Image.Image:
    if picture.mode in _WITHOUT_RANGE:
        raise ValueError("its numbers have 32 bits, and nothing says which is white; save it with 8 or 16")
    if picture.mode.startswith("I;16"):  # Pillow would make white of everything above 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        seen = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return picture.convert("RGB")
