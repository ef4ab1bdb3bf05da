"""Pickles of plain data, read without letting them run code."""

import pickle
import pickletools
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

from ..contracts.errors import DataError

_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)
"""What the unpickler raises on bytes that are cut off or are no pickle."""


class _PlainUnpickler(pickle.Unpickler):
    """Makes lists, dicts, strings and numbers, and nothing that has to be imported."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, and data needs no code")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside of the file")


def plain_pickle(data: bytes, path: Path) -> Any:
    """What a pickle of plain data holds.

    Args:
        data: the pickle.
        path: where it comes from, for messages.

    Raises:
        DataError: the pickle would import something, or is broken.
    """
    try:
        _check_sizes(data)
        return _PlainUnpickler(BytesIO(data), encoding="utf-8").load()
    except _BROKEN as error:
        raise DataError(
            f"{path}: refused: {error}. Fetch the file again from where its authors publish it."
        ) from None


def _check_sizes(data: bytes) -> None:
    """Refuse what announces more than the file holds: of a memo's largest number, pickle allocates 16 bytes each."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(data):
            raise pickle.UnpicklingError(
                f"it numbers an object {argument:,}, and is {len(data):,} bytes long"
            )
