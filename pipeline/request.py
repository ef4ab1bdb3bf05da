"""``request.json``: what was asked of stage one, complete enough for another process to do it again.

The manifest says what the features are; this says where on this machine they came from.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..data.base import Dataset, load_dataset
from ..data.contracts.errors import StoreError, TvrError
from .encoders.base import Encoder
from .options import EncoderSpec, ExtractionOptions, Request, for_any_folder
from .sampling import Sampling
from .store.checksummed_json import read_checksummed, write_checksummed
from .store.manifest import REQUEST_NAME

_OF_ONE_RUN = ("num_children", "retry", "only", "on_error")
"""Options that leave no trace in a store."""


def save_request(folder: Path, options: ExtractionOptions) -> None:
    """Write ``request.json``, with absolute paths: a repair may be started anywhere."""
    if options.request is None:
        return
    record = dataclasses.asdict(options)
    record["request"] |= {
        "root": str(options.request.root.absolute()),
        "pretrained": for_any_folder(options.request.pretrained),
    }
    kept = {name: value for name, value in record.items() if name not in _OF_ONE_RUN}
    write_checksummed(folder / REQUEST_NAME, kept)


def load_request(folder: Path) -> tuple[Request, ExtractionOptions]:
    """Read ``request.json``.

    Raises:
        StoreError: there is none, or it is not what was written.
    """
    path = folder / REQUEST_NAME
    remedy = "Delete the damaged shards and run the `tvr extract` that made the store: it makes them again"
    try:
        record: dict[str, Any] = read_checksummed(path)
        record["sampling"] = Sampling(**record["sampling"])
        request = Request(**record["request"] | {"root": Path(record["request"]["root"])})
        record["request"] = request
        return request, ExtractionOptions(**record)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing, so the store cannot be repaired by itself. {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError, TvrError) as error:
        raise StoreError(f"{path} cannot be used ({error}). {remedy}") from error


def requested_dataset(request: Request, report: Callable[[int, int], None] | None = None) -> Dataset:
    """The data set as it is now.

    Raises:
        DataError: a file is missing or breaks its format.
    """
    return load_dataset(request.dataset, request.root, request.settings, report)


def requested_encoder(request: Request) -> Encoder:
    """The encoder.

    Raises:
        WeightsError: its weights are no longer where they were.
    """
    choice = EncoderSpec(
        request.model, request.pretrained, request.device, request.precision, request.compiled
    )
    return choice.load()
