"""Features that come in or go out as they are asked for, by a program or a command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from .data.contracts.cautions import UNKNOWN
from .data.contracts.errors import UsageError, check_name
from .data.contracts.plug_ins import plug_in_names
from .pipeline.exchange.exporting import ExportRequest
from .pipeline.exchange.imported import ImportRequest
from .pipeline.exchange.importing import LAYOUTS, Planned
from .pipeline.exchange.layouts.base import ReadOptions
from .pipeline.options import EncoderSpec, file_digest_of
from .pipeline.workspace import Workspace
from .places import Place, path_or_none


class ForeignFeatures(TypedDict, total=False):
    """What features of others are, called as the options of ``tvr import-features``; see its ``--help``."""

    dataset: str | None
    captions: Sequence[Place] | None
    no_captions: bool
    split: str | None
    id_column: str | None
    rows: str | None
    allow_missing: bool
    clip_seconds: float | None
    fps: float | None
    model: str | None
    pretrained: str | None
    text_projection: Place | None
    hidden_states: str | None
    dtype: str
    device: str
    file_digest: str
    videos_per_shard: int


def import_request(layout: str, path: Path, asked: ForeignFeatures) -> ImportRequest:
    """What was asked for, the rest as it usually is.

    Raises:
        UsageError: a value that is not allowed.
    """
    check_layout(layout)
    model, pretrained = asked.get("model"), asked.get("pretrained")
    if model is None and pretrained is not None:
        raise UsageError("--pretrained names the weights of a --model: name that, too")
    dtype = asked.get("dtype", "float16")
    check_name("--dtype", dtype, ("float16", "float32"))
    read = ReadOptions(
        captions=tuple(Path(file) for file in asked.get("captions") or ()),
        without_captions=asked.get("no_captions", False),
        clip_seconds=_positive("--clip-seconds", asked.get("clip_seconds")),
        fps=_positive("--fps", asked.get("fps")),
        hidden_states=_chosen("--hidden-states", asked.get("hidden_states"), ("leave", "keep")),
        text_projection=path_or_none(asked.get("text_projection")),
        rows=_chosen("--rows", asked.get("rows"), ("video", "frame")),
        id_column=asked.get("id_column"),
        allow_missing=asked.get("allow_missing", False),
        file_digest=file_digest_of(asked.get("file_digest", "ends")),
    )
    encoder = None if model is None else EncoderSpec(model, pretrained, asked.get("device", "auto"))
    return ImportRequest(
        layout,
        path,
        read,
        asked.get("dataset"),
        asked.get("split"),
        encoder,
        exact=dtype == "float32",
        videos_per_shard=asked.get("videos_per_shard", 128),
    )


def export_request(layout: str, path: Path, rows: str | None, *, tar: bool) -> ExportRequest:
    """The same of a store that goes out.

    Raises:
        UsageError: a value that is not allowed, or not for this layout.
    """
    check_layout(layout)
    if tar and layout != "clip-video-encode":
        raise UsageError(f"--tar is of clip-video-encode alone, got {layout}")
    if rows is not None and layout != "clip-retrieval":
        raise UsageError(f"--rows is of clip-retrieval alone, got {layout}")
    return ExportRequest(layout, path, _chosen("--rows", rows, ("video", "frame")), packed=tar)


def imported_folder(place: Workspace, store: Path | None, planned: Planned) -> Path:
    """Where the store goes: where it was said, else into the workspace."""
    if store is not None:
        return store
    made = planned.manifest
    if made.model == UNKNOWN:
        return place.store_folder(made.dataset, "imported", planned.request.layout, None)
    return place.store_folder(made.dataset, made.model, made.pretrained or "imported", None)


def check_layout(layout: str) -> None:
    """See that there is such a layout.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    check_name("layout", layout, [name.replace("_", "-") for name in plug_in_names(LAYOUTS)])


def _chosen(option: str, value: str | None, known: tuple[Any, ...]) -> Any:
    if value is not None:
        check_name(option, value, known)
    return value


def _positive(option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value <= 1_000_000:
        raise UsageError(f"{option} must be above 0 and at most 1,000,000, got {value}")
    return value
