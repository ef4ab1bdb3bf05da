"""Pickles of plain data, read without letting them run code."""

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

from ..contracts.errors import DataError

_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError)
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
        return _PlainUnpickler(BytesIO(data), encoding="utf-8").load()
    except _BROKEN as error:
        raise DataError(
            f"{path}: refused: {error}. Fetch the file again from where its authors publish it."
        ) from None
