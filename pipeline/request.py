"""``request.json``: what was asked of stage one, complete enough for another process to do it again.

The manifest says what the features are; this says where on this machine they came from.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..data.base import Dataset, load_dataset
from ..data.contracts.errors import StoreError, TvrError
from ..data.contracts.records import restored
from .options import EncoderSpec, ExtractionOptions, Request
from .store.checksummed_json import read_checksummed, write_checksummed
from .store.manifest import REQUEST_NAME

_OF_ONE_RUN = ("num_children", "retry", "only", "on_error")
"""Options that leave no trace in a store."""

_UNREPAIRED = (
    "the store cannot be repaired by itself. Delete the damaged shards and run the `tvr extract` that made the store: "
    "it makes them again"
)


def save_request(folder: Path, options: ExtractionOptions) -> None:
    """Write ``request.json``, with absolute paths: a repair may be started anywhere."""
    if options.request is None:
        return
    record = dataclasses.asdict(options) | {"request": _as_record(options.request)}
    kept = {name: value for name, value in record.items() if name not in _OF_ONE_RUN}
    write_checksummed(folder / REQUEST_NAME, kept)


def load_request(folder: Path, otherwise: str = _UNREPAIRED) -> tuple[Request, ExtractionOptions]:
    """Read ``request.json``.

    Args:
        folder: of the store.
        otherwise: what cannot be done without it, and what to do instead; for errors.

    Raises:
        StoreError: there is none, or it is not what was written.
    """
    path = folder / REQUEST_NAME
    try:
        record: dict[str, Any] = {"pixels": "stored"} | read_checksummed(path)  # there was no choice once
        request = restored(Request, _with_encoder_apart(record.pop("request")), "request")
        return request, dataclasses.replace(restored(ExtractionOptions, record), request=request)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing, so {otherwise}") from None
    except (OSError, ValueError, KeyError, TypeError, TvrError) as error:
        raise StoreError(f"{path} cannot be used ({error}), so {otherwise}") from error


def requested_dataset(request: Request, report: Callable[[int, int], None] | None = None) -> Dataset:
    """The data set as it is now.

    Raises:
        DataError: a file is missing or breaks its format.
    """
    return load_dataset(request.dataset, request.root, request.settings, report)


def _as_record(request: Request) -> dict[str, Any]:
    """As the file has it: the encoder's settings stand among the others."""
    record = dataclasses.asdict(request.for_any_folder())
    spec = record.pop("encoder")
    return record | {"root": str(record["root"])} | spec


def _with_encoder_apart(record: Any) -> dict[str, Any]:
    """As ``Request`` has it."""
    values: dict[str, Any] = dict(record)
    of_encoder = [field.name for field in dataclasses.fields(EncoderSpec) if field.name in values]
    return values | {"encoder": {name: values.pop(name) for name in of_encoder}}
