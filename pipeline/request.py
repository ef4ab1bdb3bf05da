"""``request.json``: what was asked of stage one, complete enough for another process to do it again.

The manifest says what the features are; this says where on this machine they came from.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.base import Dataset, load_dataset
from ..data.contracts.errors import StoreError, TvrError
from .durable import read_sealed, write_sealed
from .plan import ExtractionOptions, Request
from .sampling import Sampling

if TYPE_CHECKING:
    from .encoders.base import Encoder

REQUEST_NAME = "request.json"
_OF_ONE_RUN = ("num_children", "retry", "only", "on_error")
"""Options that leave no trace in a store."""


def save_request(folder: Path, options: ExtractionOptions) -> None:
    """Write ``request.json``, with absolute paths: a repair may be started anywhere."""
    if options.request is None:
        return
    record = dataclasses.asdict(options)
    record["request"] |= {
        "root": str(options.request.root.absolute()),
        "pretrained": _absolute(options.request.pretrained),
    }
    kept = {name: value for name, value in record.items() if name not in _OF_ONE_RUN}
    write_sealed(folder / REQUEST_NAME, kept)


def load_request(folder: Path) -> tuple[Request, ExtractionOptions]:
    """Read ``request.json``.

    Raises:
        StoreError: there is none, or it is not what was written.
    """
    path = folder / REQUEST_NAME
    remedy = "Delete the damaged shards and run the `tvr extract` that made the store: it makes them again"
    try:
        record: dict[str, Any] = read_sealed(path)
        record["sampling"] = Sampling(**record["sampling"])
        request = Request(**record["request"] | {"root": Path(record["request"]["root"])})
        record["request"] = request
        return request, ExtractionOptions(**record, num_children=os.cpu_count() or 1)
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


def requested_encoder(request: Request) -> "Encoder":
    """The encoder.

    Raises:
        WeightsError: its weights are no longer where they were.
    """
    from .encoders import clip

    encoder = clip.load(request.model, request.pretrained, device=request.device, precision=request.precision)
    return clip.compiled(encoder) if request.compiled else encoder


def _absolute(pretrained: str | None) -> str | None:
    """The weights as they can be named from any folder: a checkpoint file by its absolute path."""
    if pretrained is None:
        return None
    tag, equals, file = pretrained.rpartition("=")
    path = Path(file).expanduser()
    return f"{tag}{equals}{path.absolute()}" if path.is_file() else pretrained
