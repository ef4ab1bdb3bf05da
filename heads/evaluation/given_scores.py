"""Similarities that another system, or an earlier evaluation, has left in a file: ranked as a head's are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from ...data.contracts.errors import DataError, UsageError, counted, pasteable
from .evaluate import Evaluation, Ranked, ranked
from .evaluate_runs import Scored
from .given_ids import MatrixIds, TextIds, VideoIds, diagonal_ids, matrix_ids
from .normalisations import column
from .ranks import ColumnScores, ScoreBlock, Scores
from .saved_scores import UNKNOWN_DATASET, Basis, SavedRecord, record_beside
from .scores import NUMBERS_PER_BLOCK

MIN_COLUMNS = 1024
"""Of a block, so that of each row no less than a page of the file is read at once."""
COSINES = 1.001
"""No cosine is beyond, however it was rounded."""


class GivenScores(ColumnScores):
    """Scores that are there as a matrix: texts are rows, videos columns. A mapped file is read block by block.

    Args:
        matrix: numbers, float16 to float64 or whole.
        ids: what rows and columns stand for, for messages.
        name: of the matrix, for messages.
        tie_tolerance: scores that differ by no more are equal; 0: only equal numbers are.
    """

    def __init__(
        self, matrix: Num[np.ndarray, "text video"], ids: MatrixIds, name: str, tie_tolerance: float = 0.0
    ) -> None:
        self.matrix, self.ids, self.name = matrix, ids, name
        self.num_texts, self.num_videos = matrix.shape
        self._tie_tolerance = tie_tolerance

    def blocks(self) -> Iterator[ScoreBlock]:
        """Every video once, in the order of the columns."""
        width = max(MIN_COLUMNS, NUMBERS_PER_BLOCK // self.num_texts)
        for begin in range(0, self.num_videos, width):
            videos = torch.arange(begin, min(begin + width, self.num_videos))
            yield ScoreBlock(videos, self.columns(videos))

    def columns(self, videos: Int[Tensor, " block"]) -> Num[Tensor, "text block"]:
        """Every text with some videos, copied.

        Raises:
            DataError: one of them is NaN or infinite.
        """
        first, last = int(videos[0]), int(videos[-1])
        is_stretch = last - first + 1 == len(videos) and bool((videos.diff() == 1).all())
        part = self.matrix[:, first : last + 1] if is_stretch else self.matrix[:, videos.numpy()]
        block = torch.from_numpy(np.array(part, dtype=_native(self.matrix.dtype)))
        if block.is_floating_point() and not bool(block.sum().isfinite()):
            self._refuse(block, videos)
        return block

    def pairs(self, videos: Int[Tensor, " text"]) -> Num[Tensor, " text"]:
        """The score of each text with one video."""
        found = self.matrix[np.arange(self.num_texts), videos.cpu().numpy()]
        return torch.from_numpy(found.astype(_native(self.matrix.dtype)))

    def tie_tolerance(self, truth: Num[Tensor, "*query"]) -> Num[Tensor, "*query"]:
        """As it was given."""
        return torch.full_like(truth, self._tie_tolerance)

    def _refuse(self, block: Float[Tensor, "text block"], videos: Int[Tensor, " block"]) -> None:
        """Raise where a score is no number; the sum of finite ones may be infinite."""
        broken = (~block.isfinite()).nonzero()
        if len(broken):
            text, video = (int(place) for place in broken[0])
            raise DataError(
                f"{self.name}: the score of text {self.ids.texts[text]!r} with video "
                f"{self.ids.videos[int(videos[video])]!r} is {float(block[text, video])} (row {text}, column "
                f"{int(videos[video])}, counted from 0): such a query has no rank. Give every pair a finite number"
            )


@dataclass(frozen=True)
class GivenMatrix:
    """A matrix from elsewhere with its ids, and what is known of it."""

    scores: ColumnScores
    ids: MatrixIds
    basis: Basis
    source: str
    """Its file, or that it was given as an array."""
    notes: tuple[str, ...] = ()


def given_matrix(
    matrix: Path | np.ndarray, texts: TextIds | None = None, videos: VideoIds | None = None
) -> GivenMatrix:
    """A matrix with its ids: those that are given, else of the .json beside it, else of a diagonal.

    Args:
        matrix: a .npy file, which is mapped and never copied as a whole, or an array.
        texts: of the rows, as for ``matrix_ids``.
        videos: of the columns.

    Raises:
        UsageError: only one of both ids is given, or none although the matrix is not square.
        DataError: the matrix or the ids cannot be read, or do not fit each other.
    """
    if (texts is None) != (videos is None):
        raise UsageError("--texts and --videos belong together: give both, or neither")
    numbers = _mapped(matrix) if isinstance(matrix, Path) else matrix
    source = str(matrix) if isinstance(matrix, Path) else "an array"
    _check_numbers(numbers, source)
    name = matrix.stem if isinstance(matrix, Path) else "matrix"
    basis, tie_tolerance, notes = Basis(name, UNKNOWN_DATASET), 0.0, ()
    record = record_beside(matrix) if isinstance(matrix, Path) and texts is None else None
    if texts is not None and videos is not None:
        ids = matrix_ids(texts, videos)
    elif record is not None:
        ids, tie_tolerance = _ids_of(record), record.tie_tolerance
        basis = record.basis or basis
    else:
        ids = _diagonal(numbers, source)
        notes = (
            "no ids: text i is taken to describe video i (the diagonal); --texts and --videos say otherwise",
        )
    if numbers.shape != (len(ids.texts), len(ids.videos)):
        ids_in_words = f"{counted(len(ids.texts), 'text')} and {counted(len(ids.videos), 'video')}"
        raise DataError(
            f"{source} has {counted(numbers.shape[0], 'row')} and {counted(numbers.shape[1], 'column')}, its ids are "
            f"of {ids_in_words}: rows are texts, columns videos{_transposed(numbers, ids)}"
        )
    return GivenMatrix(GivenScores(numbers, ids, source, tie_tolerance), ids, basis, source, notes)


def scored_matrix(given: GivenMatrix, normalise: Sequence[str] = ()) -> Scored:
    """Rank by a matrix from elsewhere.

    Args:
        given: the matrix.
        normalise: names of ``normalisations.COLUMNS``, of those that need no training queries.

    Raises:
        UsageError: a normalisation needs training queries.
        DataError: a score is NaN or infinite, or there is none.
    """
    refuse_banks(normalise, "a matrix has none")
    found = ranked(given.scores, given.ids.text_video, normalise)
    evaluation = evaluation_of(found, given.ids, given.basis)
    notes = [
        *given.notes,
        *(f"{name}: {why}" for name, why in evaluation.refused.items()),
        *evaluation.caveats,
    ]
    notes += scale_notes(given.scores, normalise)
    return Scored(given.basis.name, None, evaluation, given.basis.facts, tuple(notes), given=given.source)


def evaluation_of(found: Ranked, ids: MatrixIds, basis: Basis) -> Evaluation:
    """Ranks with what is known of their scores."""
    return Evaluation(
        **vars(found),
        split=basis.split,
        protocol=basis.protocol or ("multi" if ids.captions else "single"),
        videos=len(ids.videos),
        texts=len(ids.texts),
        expected_videos=basis.expected_videos or len(ids.videos),
        limit=basis.limit,
        excluded_videos=basis.excluded_videos,
        excluded_queries=basis.excluded_queries,
    )


def refuse_banks(normalise: Sequence[str], why: str) -> None:
    """See that every normalisation can do without training queries.

    Raises:
        UsageError: one cannot.
    """
    banked = [name for name in normalise if column(name).kind == "inductive"]
    if banked:
        raise UsageError(
            f"--normalise {','.join(banked)} takes training queries, and {why}: leave "
            f"{'it' if len(banked) == 1 else 'these'} out"
        )


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which numbers of another one are ranked: floats of 32 bits or 64, else whole numbers of 64."""
    if dtype.kind != "f":
        return np.dtype(np.int64)
    return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)


def _mapped(file: Path) -> np.ndarray:
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except FileNotFoundError:
        raise UsageError(f"{pasteable(file)}: there is no such file. Name a .npy file") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{file} is no matrix that can be mapped: {error}. np.save(file, scores) writes one; pickled objects and "
            ".npz are not read"
        ) from None


def _check_numbers(numbers: np.ndarray, source: str) -> None:
    kind, size = numbers.dtype.kind, numbers.dtype.itemsize
    if numbers.ndim != 2 or not numbers.size:
        raise DataError(f"{source} must hold a matrix, texts x videos, got the shape {numbers.shape}")
    if kind not in "fiu" or size > 8 or (kind == "u" and size == 8):
        raise DataError(
            f"{source} must hold floats of at most 64 bits or whole numbers with a sign, got {numbers.dtype}. Convert "
            "it: np.save(file, scores.astype(np.float32))"
        )


def _diagonal(numbers: np.ndarray, source: str) -> MatrixIds:
    rows, columns = numbers.shape
    if rows != columns:
        raise UsageError(
            f"{source} has {counted(rows, 'row')} and {counted(columns, 'column')} and no ids: say which texts and "
            "videos they are with --texts and --videos. Only of a square matrix the diagonal is taken for the truth"
        )
    return diagonal_ids(rows)


def _transposed(numbers: np.ndarray, ids: MatrixIds) -> str:
    is_so = numbers.shape == (len(ids.videos), len(ids.texts))
    return ". It is the other way round: np.save(file, scores.T)" if is_so else ""


def _ids_of(record: SavedRecord) -> MatrixIds:
    if record.text_videos is None:
        return matrix_ids(record.texts, record.videos)
    if len(record.text_videos) != len(record.texts):
        raise DataError(
            f"of {counted(len(record.texts), 'text')} of the .json beside the matrix only "
            f"{len(record.text_videos):,} say their video: save the matrix again"
        )
    return matrix_ids(dict(zip(record.texts, record.text_videos, strict=True)), record.videos)


def scale_notes(scores: Scores, normalise: Sequence[str]) -> list[str]:
    """Whether settings that the papers give for cosines meet scores of another scale."""
    fixed = [name for name in normalise if not name.endswith("_std")]
    if not fixed:
        return []
    largest = max(float(block.scores.abs().max()) for block in scores.blocks())
    if largest <= COSINES:
        return []
    return [
        f"{', '.join(fixed)}: settings are for cosines, and these scores reach {largest:.4g}: divide them by their "
        "scale, or take sinkhorn_std, which does not depend on it"
    ]
