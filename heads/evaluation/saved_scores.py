"""Similarities kept in a file, with what who reads them later must know: which rows and columns, and of what."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...data.base import Protocol
from ...data.contracts.errors import DataError, UsageError
from ...data.contracts.records import restored
from ...data.contracts.strict_json import read_json
from ...pipeline.store.atomic_files import atomic_write, write_json
from ...pipeline.store.reader import FeatureStore
from ..features.feature_set import FeatureSet
from .evaluate_runs import Subject, facts_of
from .given_ids import MatrixIds
from .ranks import Scores
from .scores import EncodedTexts, EncodedVideos, HeadScores

UNKNOWN_DATASET = "unknown data set"


@dataclass(frozen=True)
class Basis:
    """What saved scores are of, as far as is known."""

    name: str
    dataset: str
    store: str | None = None
    """Of which features; None: unknown."""
    model: str | None = None
    """The encoder; None: unknown."""
    pretrained: str | None = None
    random_weights: bool = False
    caution: str | None = None
    limit: int | None = None
    split_source: str = "not known"
    split: str = "matrix"
    protocol: Protocol | None = None
    expected_videos: int | None = None
    excluded_videos: dict[str, str] = field(default_factory=dict[str, str])
    excluded_queries: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def facts(self) -> dict[str, Any]:
        """What goes with every figure."""
        kept = (
            "store",
            "dataset",
            "model",
            "pretrained",
            "random_weights",
            "caution",
            "limit",
            "split_source",
        )
        return {name: getattr(self, name) for name in kept}


@dataclass(frozen=True)
class SavedRecord:
    """The .json file beside a saved matrix; earlier versions wrote the ids alone."""

    texts: tuple[str, ...]
    videos: tuple[str, ...]
    text_videos: tuple[str, ...] | None = None
    """The video that each text describes."""
    tie_tolerance: float = 0.0
    basis: Basis | None = None


def save_similarity(subject: Subject, file: Path) -> None:
    """The whole text x video matrix of a run, as ``save_scores`` keeps it.

    Raises:
        UsageError: the file is not called .npy.
    """
    head, features = subject.head, subject.features
    scores = HeadScores(head, EncodedTexts(head, features), EncodedVideos(head, features))
    ids = MatrixIds(features.text_ids, features.video_ids, features.text_video)
    save_scores(file, scores, ids, basis_of(subject.record.head, subject.store, features))


def basis_of(name: str, store: FeatureStore, features: FeatureSet) -> Basis:
    """That of scores of a split of a store."""
    origin = features.origin
    return Basis(
        name,
        **facts_of(store, origin.split),
        split=origin.split,
        protocol=origin.protocol,
        expected_videos=origin.expected_videos,
        excluded_videos=features.excluded_videos,
        excluded_queries=features.excluded_queries,
    )


def save_scores(file: Path, scores: Scores, ids: MatrixIds, basis: Basis) -> None:
    """A text x video matrix as ``file`` (.npy) and, beside it as .json, its ids and what ``given_matrix`` must know.

    Raises:
        UsageError: the file is not called .npy.
    """
    if file.suffix != ".npy":
        raise UsageError(f"the similarity matrix is saved as numpy's .npy, got {file.name!r}")
    with atomic_write(file) as beside:
        shape = (scores.num_texts, scores.num_videos)
        matrix = np.lib.format.open_memmap(beside, mode="w+", dtype=np.float32, shape=shape)
        scores.write_to(matrix)
        matrix.flush()
    owners = tuple(ids.videos[video] for video in ids.text_video.tolist())
    tie_tolerance = float(scores.tie_tolerance(torch.zeros(1)))
    write_json(
        file.with_suffix(".json"), asdict(SavedRecord(ids.texts, ids.videos, owners, tie_tolerance, basis))
    )


def record_beside(matrix: Path) -> SavedRecord | None:
    """What the .json beside a matrix says of it; None where there is none, or one of something else."""
    file = matrix.with_suffix(".json")
    try:
        value = read_json(file)
        if not isinstance(value, Mapping) or not {"texts", "videos"} <= value.keys():
            return None
        return restored(SavedRecord, value)
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise DataError(
            f"{file}, which lies beside the matrix, cannot be read: {error}. Remove it, or name the ids with --texts "
            "and --videos"
        ) from None
