"""What ``store.json`` says of an imported store: from what, with which digests, and what nobody knows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...data.annotation_files.splits import parts_by_digest
from ...data.base import Preset
from ...data.contracts.cautions import UNKNOWN
from ...data.contracts.errors import DataError, counted, cut_short
from ...data.contracts.file_names import printable
from ...data.contracts.numbers import Count
from ...data.contracts.records import restored
from ...data.folder import BY_DIGEST
from ..decoders.base import DEFAULT_DECODER
from ..encoders.base import RANDOM, Encoder
from ..options import EncoderSpec
from ..store.manifest import Manifest, SplitRecord, ids_digest
from .layouts.base import FeatureSource, ReadOptions
from .sidecar import Sidecar

USUAL_LOGIT_SCALE = 100.0
"""Of CLIP, and the most that any model's is taken for."""
_LOOKED_AT = 32
"""Videos whose norms are looked at."""
_UNIT = 0.01
"""How far from 1 the norm of a vector of unit length may be."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is to be read, and what a person says of it."""

    layout: str
    path: Path
    read: ReadOptions
    dataset: str | None = None
    """Its name; None: that of the store it was exported from, or the folder's."""
    split: str | None = None
    """All videos are of this one; None: as the files say."""
    encoder: EncoderSpec | None = None
    """Which encoder made the features; None: as the files say, or unknown."""
    exact: bool = False
    """Whether float32 stays float32."""
    videos_per_shard: Count = 128
    texts_per_shard: Count = 1024


def manifest_of_import(
    request: ImportRequest, source: FeatureSource, sidecar: Sidecar | None, encoder: Encoder | None
) -> tuple[Manifest, dict[str, Sequence[str]]]:
    """The manifest of the store that an import makes, and its videos by split.

    Raises:
        DataError: a split names a video that is not there.
    """
    begun = None if sidecar is None else _of_export(sidecar)
    split_ids, sources = _splits(request, source, sidecar)
    records = {
        name: SplitRecord(len(ids), _expected(name, ids, begun), sources, ids_digest(ids))
        for name, ids in split_ids.items()
    }
    owners = np.bincount(source.caption_videos, minlength=1) if len(source.caption_ids) else np.zeros(1, int)
    several = int(owners.max()) > 1
    manifest = Manifest(
        dataset=request.dataset or (begun.dataset if begun else f"imported-{printable(request.path.stem)}"),
        protocol=begun.protocol if begun else "multi" if several else "single",
        annotation_digests=begun.annotation_digests if begun else {},
        normalisation=begun.normalisation if begun else [],
        preset=begun.preset if begun else asdict(Preset()),
        splits=records,
        encoder=_encoder(request, source, begun, encoder),
        sampling=begun.sampling if begun else {"policy": "all", "num_frames": 12, "fps": 1.0, "seed": 0},
        max_seconds=begun.max_seconds if begun else None,
        num_videos=len(source.video_ids),
        videos_per_shard=request.videos_per_shard,
        num_texts=len(source.caption_ids),
        texts_per_shard=request.texts_per_shard,
        frames_per_batch=begun.frames_per_batch if begun else 1,
        limit=begun.limit if begun else None,
        decoder=begun.decoder if begun else DEFAULT_DECODER,
        text_policy=begun.text_policy if begun else "truncate",
        pixels=begun.pixels if begun else "stored",
        resize=begun.resize if begun else "exact",
    )
    imported = _record(request, source, encoder, is_export=begun is not None)
    notes = [*(begun.notes if begun else ()), *source.notes, *_unknown_notes(imported)]
    return replace(manifest, imported=imported, notes=notes), split_ids


def _of_export(sidecar: Sidecar) -> Manifest:
    """The manifest of the store that was exported.

    Raises:
        DataError: it is none.
    """
    try:
        return restored(Manifest, dict(sidecar.store))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"tvr.json: its record of the store is none that this version reads: {error}"
        ) from error


def _expected(name: str, ids: Sequence[str], begun: Manifest | None) -> int:
    known = None if begun is None else begun.splits.get(name)
    return len(ids) if known is None else known.expected


def _splits(
    request: ImportRequest, source: FeatureSource, sidecar: Sidecar | None
) -> tuple[dict[str, Sequence[str]], str]:
    """Videos by split, and where that comes from."""
    if request.split is not None:
        return {request.split: list(source.video_ids)}, "all that was imported"
    known = sidecar.splits if sidecar else source.splits
    if not known:
        members: dict[str, list[str]] = {}
        for video, part in parts_by_digest(source.video_ids).items():
            members.setdefault(part, []).append(video)
        return {name: members[name] for name in ("train", "val", "test") if name in members}, BY_DIGEST
    there = set(source.video_ids)
    strange = [video for ids in known.values() for video in ids if video not in there]
    if strange:
        raise DataError(
            f"{request.path}: splits name {counted(len(strange), 'video')} that are not there: {cut_short(strange)}"
        )
    where = (
        next(iter(sidecar.store["splits"].values()))["source"]
        if sidecar and sidecar.splits
        else "as imported"
    )
    return dict(known), str(where)


def _encoder(
    request: ImportRequest, source: FeatureSource, begun: Manifest | None, encoder: Encoder | None
) -> Mapping[str, Any]:
    """What is known of the encoder: what made the captions' features now; else what was exported; else what a person
    says."""
    if encoder is not None:
        return asdict(encoder.identity)
    said = request.encoder
    if begun is not None and said is None:
        return {**begun.encoder, "raw_patches": None}
    return {
        "model": said.model if said else UNKNOWN,
        "pretrained": (said.pretrained or "") if said else UNKNOWN,
        "weights_digest": UNKNOWN,
        "random_weights": bool(said) and said.pretrained == RANDOM,
        "precision": UNKNOWN,
        "dim": source.dim,
        "logit_scale": USUAL_LOGIT_SCALE,
    }


def _record(
    request: ImportRequest, source: FeatureSource, encoder: Encoder | None, *, is_export: bool
) -> dict[str, Any]:
    read = request.read
    said = {
        "clip_seconds": read.clip_seconds,
        "fps": read.fps,
        "hidden_states": read.hidden_states,
        "rows": read.rows,
        "id_column": read.id_column,
    }
    first = _first_videos(source)
    kind = "words" if encoder is not None and encoder.identity.words_available else source.text_features
    return {
        "layout": request.layout,
        "name": printable(request.path.name),
        "files": dict(source.files),
        "listing": ids_digest(source.video_ids),
        "said": {name: value for name, value in said.items() if value is not None},
        "text_features": kind if source.caption_ids else "none",
        "texts_encoded_here": encoder is not None,
        "dtype": "float32" if request.exact or _is_exact(first, is_export=is_export) else "float16",
        "unit_length": _unit_length(first),
        "unknown": [] if is_export else ["weights", "preprocessing", "sampling"],
    }


def _first_videos(source: FeatureSource) -> list[np.ndarray]:
    rows = (source.video(place).frames for place in range(min(_LOOKED_AT, len(source.video_ids))))
    return [frames for frames in rows if len(frames)]


def _is_exact(first: Sequence[np.ndarray], *, is_export: bool) -> bool:
    """Whether what tvr wrote is float32: it was so in the store, where float16 would have lost something."""
    return is_export and any(frames.dtype == np.float32 for frames in first)


def _unit_length(first: Sequence[np.ndarray]) -> bool | None:
    """Whether the first videos' vectors are of unit length; None: some are."""
    if not first:
        return None
    norms = np.concatenate([np.linalg.norm(frames.astype(np.float32), axis=1) for frames in first])
    are = np.abs(norms - 1) < _UNIT
    return bool(are.all()) if are.all() or not are.any() else None


def _unknown_notes(imported: Mapping[str, Any]) -> list[str]:
    """What a reader of a figure must know of an import."""
    if not imported["unknown"]:
        return []
    length = {True: "of unit length", False: "not normalised", None: "some of unit length, some not"}
    return [
        f"imported as {imported['layout']}: nobody knows by which weights, from which pixels and by which "
        f"choice of frames the features were made; vectors are {length[imported['unit_length']]}; the scale of cosines "
        f"is taken for {USUAL_LOGIT_SCALE:g}, CLIP's"
    ]


@dataclass(frozen=True, slots=True)
class Described:
    """An import in a few facts, for a person and for programs."""

    dataset: str
    layout: str
    videos: int
    captions: int
    dim: int
    text_features: str
    dtype: str
    unit_length: bool | None
    splits: Mapping[str, int]
    encoder: str
    notes: Sequence[str]


def described_import(manifest: Manifest) -> Described:
    """What is known of an import."""
    imported = manifest.imported or {}
    return Described(
        manifest.dataset,
        imported["layout"],
        manifest.num_videos,
        manifest.num_texts,
        manifest.dim,
        imported["text_features"],
        imported["dtype"],
        imported["unit_length"],
        {name: split.found for name, split in manifest.splits.items()},
        f"{manifest.model} {manifest.pretrained}".strip(),
        list(manifest.notes),
    )
