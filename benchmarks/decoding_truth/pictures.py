"""A picture that says its number, in a code that survives compression, 4:2:0, small sizes and any resizing.

The picture is a grid of 4 x 8 cells. Twenty black or white cells hold twelve bits of a number and eight check bits, so
a picture that is damaged, grey, turned, or a blend of two reads as nothing rather than as another number. A red cell
and a blue one in the two lower corners fix which way up it is. What is left moves with the number, so that encoders
find something to predict.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int64, UInt8

Picture = UInt8[np.ndarray, "height width 3"]

ROWS, COLUMNS = 4, 8
NUMBERS = 1 << 12
UNREADABLE = -1
_NUMBER_BITS, _CHECK_BITS = 12, 8
_BLACK, _WHITE = 20, 235
_RED, _BLUE = (200, 30, 30), (30, 30, 200)
_DARKEST_WHITE, _BRIGHTEST_BLACK = 150, 105
_LEAST_TINT = 40
_POLYNOMIAL = 0x07
_STRIPE_PIXELS, _PIXELS_A_FRAME = 32, 3


def numbered_picture(number: int, height: int, width: int) -> Picture:
    """The picture of a number from 0 to 4095, in RGB; readable from about 48 x 32 pixels on."""
    picture = _moving(number, height, width)
    for place, bit in enumerate(_code(number)):
        picture[_cell(place, height, width)] = _WHITE if bit else _BLACK
    row = slice(3 * height // ROWS, height)
    picture[row, : 2 * width // COLUMNS] = _RED
    picture[row, 6 * width // COLUMNS :] = _BLUE
    return picture


def number_of(picture: Picture) -> int:
    """The number in one picture of any size, or ``UNREADABLE``."""
    return int(numbers_of(picture[None])[0])


def rough_number_of(picture: Picture) -> int:
    """The number that the picture most likely says, be it damaged or turned."""
    bits, _, _ = _read(picture[None])
    return int((bits[:_NUMBER_BITS, 0] << np.arange(_NUMBER_BITS)).sum())


def numbers_of(pictures: UInt8[np.ndarray, "picture height width 3"]) -> Int64[np.ndarray, " picture"]:
    """The number in each picture; ``UNREADABLE`` where a cell is neither black nor white, check bits are wrong, or
    the coloured corners are not where they belong.
    """
    bits, is_clear, is_upright = _read(pictures)
    numbers = (bits[:_NUMBER_BITS] << np.arange(_NUMBER_BITS)[:, None]).sum(0)
    expected = np.array([_code(number) for number in numbers.tolist()]).reshape(-1, len(bits)).T
    return np.where(is_clear & is_upright & (bits == expected).all(0), numbers, UNREADABLE)


def is_turned(picture: Picture) -> bool:
    """Whether the picture can be read once it is turned by right angles or mirrored, and not as it is."""
    ways = [np.rot90(side, turns) for side in (picture, picture[:, ::-1]) for turns in range(4)]
    return number_of(picture) == UNREADABLE and any(number_of(way) != UNREADABLE for way in ways)


def _read(
    pictures: UInt8[np.ndarray, "picture height width 3"],
) -> tuple[Int64[np.ndarray, "bit picture"], Bool[np.ndarray, " picture"], Bool[np.ndarray, " picture"]]:
    """The bits of each picture, whether they are beyond doubt, and whether its corners are where they belong."""
    height, width = pictures.shape[1:3]
    # The middle of every cell: its borders are blurred by the codec.
    rows = [_middle(row, ROWS, height) for row in range(ROWS)]
    columns = [_middle(column, COLUMNS, width) for column in range(COLUMNS)]
    cells = np.stack([[pictures[:, r, c].mean((1, 2)) for c in columns] for r in rows])
    light = cells.mean(-1).reshape(ROWS * COLUMNS, -1)[: _NUMBER_BITS + _CHECK_BITS]
    is_clear = np.all((light > _DARKEST_WHITE) | (light < _BRIGHTEST_BLACK), axis=0)
    tint = cells[3, [0, 1, 6, 7], :, 0] - cells[3, [0, 1, 6, 7], :, 2]
    is_upright = np.all(np.array([[1], [1], [-1], [-1]]) * tint > _LEAST_TINT, axis=0)
    return (light > (_BLACK + _WHITE) / 2).astype(np.int64), is_clear, is_upright


@lru_cache(NUMBERS)
def _code(number: int) -> tuple[int, ...]:
    """Bits of the number from the lowest on, then of its CRC-8. The last is never that of one colour alone."""
    remainder = number << _CHECK_BITS
    for bit in reversed(range(_CHECK_BITS, _CHECK_BITS + _NUMBER_BITS)):
        if remainder >> bit & 1:
            remainder ^= (0x100 | _POLYNOMIAL) << (bit - _CHECK_BITS)
    word = number | (remainder ^ 0b01011010) << _NUMBER_BITS
    return tuple(word >> bit & 1 for bit in range(_NUMBER_BITS + _CHECK_BITS))


def _cell(place: int, height: int, width: int) -> tuple[slice, slice]:
    row, column = divmod(place, COLUMNS)
    return (
        slice(row * height // ROWS, (row + 1) * height // ROWS),
        slice(column * width // COLUMNS, (column + 1) * width // COLUMNS),
    )


def _middle(place: int, cells: int, size: int) -> slice:
    """The middle half of a cell along one side, at least one pixel."""
    start = int((place + 0.25) * size / cells)
    return slice(start, max(start + 1, int((place + 0.75) * size / cells)))


def _moving(number: int, height: int, width: int) -> Picture:
    """Grey waves that wander to the right, a few pixels from one number to the next."""
    rows, columns = np.ogrid[:height, :width]
    waves = np.sin((columns + rows / 2 - _PIXELS_A_FRAME * number) * 2 * np.pi / _STRIPE_PIXELS)
    return np.repeat((128 + 60 * waves).astype(np.uint8)[..., None], 3, axis=2)
