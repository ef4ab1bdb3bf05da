"""An index of every frame of a gallery, asked word by word, names the videos that a head has to compare.

One vector a video says little of a head whose order depends on single frames and words. Here each word asks for the
frames that are nearest to it, these vote for their videos, and the head puts the best of them in order by the kept
encodings. The index is FAISS's inverted file of product-quantised codes, laid out by a sample. It is added to in steps
and written after each, so that a build that was stopped goes on, and one of a gallery that grew at its end adds the
rest.
"""

import dataclasses
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ....data.contracts.errors import StoreError, UsageError
from ....data.contracts.records import restored
from ....pipeline.store.atomic_files import remove_leftovers
from ....pipeline.store.checksummed_json import read_checksummed, write_checksummed
from ....pipeline.store.file_locks import FileLock
from ...base import Encoded, Head
from ...features.feature_set import FeatureSet
from .asked_tokens import TokenNames, compared_tokens
from .faiss_files import faiss_file, faiss_module, read_faiss, remove_others, write_faiss
from .frame_votes import voted
from .index_folder import LOCK, index_command
from .kept_encodings import BLOCK, EncodingsOf, KeptEncodings

FRAMES_RECORD, STEM = "frames.json", "frames"
STEP = 128 * BLOCK
"""Videos that are added before the index is written."""
AT_ONCE = 4 * BLOCK
"""Videos whose vectors are in memory at once."""
NUMBERS_A_CODE, SAMPLE_A_CELL, ROUNDS = 4, 40, 10
"""Numbers of a vector that are quantised together (to 4 bits), vectors a cell by which the cells are laid out, and how
often they are moved."""
GROWN = 4
"""Of a gallery that has grown by more than this, the cells are laid out anew."""
FEW = 4
"""Of a part of the gallery that is no larger than so many times the candidates, all are compared."""
RECALL_AT = 10
_HEADERS = (b"IwPf", b"IwSq")

OnIndexed = Callable[[int, int], None]
"""Told how many videos are indexed, and how many there are."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How a search asks, and what it found of what comparing every video finds when that was measured."""

    visited: int
    """Cells that each word looks into."""
    asked: int
    """Frames that each word asks for."""
    candidates: int
    """Videos that the head compares."""
    recall: float
    """Share of the exact first ``RECALL_AT`` that it compares."""
    queries: int
    """By which that was measured."""
    source: Literal["captions", "frames"]
    """Whether these were captions of the store or, where it has none, frames of its videos in the place of words."""


@dataclass(frozen=True, slots=True)
class FrameIndexRecord:
    """``frames.json``."""

    made_of: EncodingsOf
    tokens: int
    """Rows of a video."""
    done: int
    """How many videos are indexed, from the first on."""
    trained_on: int
    """How many videos the gallery had when the cells were laid out."""
    blocks: list[str]
    """Digests of the encodings that are indexed, as these have them."""
    faiss_sha256: str
    effort: Effort | None
    """None until it is measured."""


class FrameIndex:
    """Every frame of a gallery.

    Args:
        index: FAISS's.
        record: what it is of.
        names: what the head calls what is compared.
        folder: where it lies.
    """

    def __init__(self, index: Any, record: FrameIndexRecord, names: TokenNames, folder: Path) -> None:
        self.record = record
        self.folder = folder
        self.index = index
        self._names = names
        self._faiss = faiss_module()

    @property
    def effort(self) -> Effort:
        """How a search asks."""
        assert self.record.effort is not None, "it was measured when the index was built"
        return self.record.effort

    @property
    def num_bytes(self) -> int:
        """On disk."""
        return faiss_file(self.folder, STEM, self.record.faiss_sha256).stat().st_size

    def said(self, candidates: int) -> str:
        """How so many candidates come about, for a person."""
        effort = self.effort
        measured = f"recall@{RECALL_AT} {effort.recall:.3f} measured at build"
        if candidates != effort.candidates:
            measured += f" with {effort.candidates:,}"
        return f"{candidates:,} candidates by index, {measured}"

    def measured(self, effort: Effort) -> "FrameIndex":
        """The same with how a search asks it, which is written beside it.

        Raises:
            StoreError: the folder cannot be written.
        """
        record = dataclasses.replace(self.record, effort=effort)
        with _errors_as_store_error(self.folder):
            write_checksummed(self.folder / FRAMES_RECORD, dataclasses.asdict(record))
        return FrameIndex(self.index, record, self._names, self.folder)

    def votes(self, text: Encoded, row: int, effort: Effort) -> np.ndarray:
        """The places of the videos that have votes, those with most first.

        Args:
            text: what is looked for, encoded by the head.
            row: which of these texts.
            effort: how it is asked.
        """
        asked = self._names.asked(text, row)
        vectors = np.ascontiguousarray(asked.vectors, np.float32)
        count = min(effort.asked, int(self.index.ntotal))
        how = self._faiss.SearchParametersIVF(nprobe=min(effort.visited, self.index.nlist))
        cosines, rows = self.index.search(vectors, count, params=how)
        return voted(asked, cosines, rows, self.record.tokens)[0]

    def nearest(
        self, text: Encoded, count: int, among: Bool[Tensor, " item"] | None = None
    ) -> list[list[int]]:
        """The places of the videos with most votes of each text, the first first.

        Args:
            text: what is looked for, encoded by the head.
            count: how many are wanted.
            among: True where a video may be found; None: anywhere. Where that is little, all of it is given.
        """
        rows = range(len(next(iter(text.values()))))
        effort = self.effort
        if among is None:
            return [self.votes(text, row, effort)[:count].tolist() for row in rows]
        allowed = int(among.sum())
        if allowed <= FEW * count:
            return [among.nonzero().flatten().tolist()] * len(rows)
        # Of what each word is given only that share may be found.
        wider = dataclasses.replace(effort, asked=int(effort.asked * len(among) / allowed) + 1)
        mask = among.numpy()
        found = [self.votes(text, row, wider) for row in rows]
        return [places[mask[places]][:count].tolist() for places in found]


def opened_frame_index(folder: Path, head: Head, features: FeatureSet) -> FrameIndex:
    """The finished index of a folder that is of this head and these features.

    Raises:
        UsageError: there is none, or FAISS is not installed.
        StoreError: it is damaged, not finished, or of something else.
    """
    if not (folder / FRAMES_RECORD).is_file():
        raise UsageError(f"{folder} holds no index of frames. Make one with `{index_command(folder)}`")
    faiss_module()
    found = _read(folder, head)
    if found is None:
        raise StoreError(f"{folder} holds no whole index of frames. {_again(folder)}")
    if found.record.made_of != EncodingsOf.these(head, features):
        raise StoreError(
            f"the index of frames in {folder} is of another head or another state of the store. {_again(folder)}"
        )
    if found.record.effort is None:
        raise StoreError(
            f"the index of frames in {folder} is not finished. Go on with `{index_command(folder)}`"
        )
    return found


def _again(folder: Path) -> str:
    return f"Make it again with `{index_command(folder)}`"


def index_bytes(vectors: int, dim: int) -> int:
    """About how large the index of so many vectors is."""
    return vectors * (dim // (2 * NUMBERS_A_CODE) + 8)


def built_frame_index(
    kept: KeptEncodings, folder: Path, report: OnIndexed = lambda done, total: None
) -> FrameIndex:
    """Index every frame, or go on where it was stopped, or add what is new, or take what is there; what it finds of
    what comparing every video finds is not measured yet, unless nothing was to be done.

    Args:
        kept: the encodings of the gallery.
        folder: for the index.
        report: told of the progress.

    Raises:
        UsageError: FAISS is not installed, or the head compares no words with frames.
        StoreError: the folder cannot be written, or another process writes there now.
    """
    faiss_module()
    names = compared_tokens(kept.head)
    if names is None:
        raise UsageError("this head compares no words with frames: choose --kind flat")
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link, and nothing is written where it leads. Remove it")
    with _errors_as_store_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK) as lock:
            if not lock.acquire():
                raise StoreError(f"another process writes the index in {folder} now. Wait until it has ended")
            remove_leftovers(folder)
            return _built(kept, names, folder, report)


@contextmanager
def _errors_as_store_error(folder: Path) -> Generator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise StoreError(
            f"the index cannot be written to {folder}: {error}. Make room, or allow writing"
        ) from error


def _built(kept: KeptEncodings, names: TokenNames, folder: Path, report: OnIndexed) -> FrameIndex:
    made_of = EncodingsOf.these(kept.head, kept.features)
    found = _read(folder, kept.head)
    if found is None or not _goes_on(found.record, made_of, kept):
        found = _begun(kept, names, made_of, folder)
    index, record = found.index, dataclasses.replace(found.record, made_of=made_of)
    for begin in range(record.done, made_of.items, STEP):
        end = min(begin + STEP, made_of.items)
        for vectors, rows in _vectors(kept, names, record.tokens, begin, end):
            index.add_with_ids(vectors, rows)
        digest = write_faiss(index, folder, STEM)
        record = dataclasses.replace(
            record, done=end, blocks=_digests(kept, end), faiss_sha256=digest, effort=None
        )
        write_checksummed(folder / FRAMES_RECORD, dataclasses.asdict(record))
        remove_others(folder, STEM, digest)
        report(end, made_of.items)
    return FrameIndex(index, record, names, folder)


def _goes_on(record: FrameIndexRecord, made_of: EncodingsOf, kept: KeptEncodings) -> bool:
    """Whether what is indexed are the first of these encodings, byte for byte."""
    before = record.made_of
    if (before.head, before.split, before.num_frames) != (made_of.head, made_of.split, made_of.num_frames):
        return False
    if not 0 < record.done <= made_of.items <= GROWN * record.trained_on:
        return False
    return record.blocks == _digests(kept, record.done)


def _digests(kept: KeptEncodings, done: int) -> list[str]:
    """Of the first encodings, in blocks, of which the last may be cut."""
    whole, rest = divmod(done, BLOCK)
    return [*kept.blocks[:whole], *([kept.digest(whole * BLOCK, done)] if rest else [])]


def _begun(kept: KeptEncodings, names: TokenNames, made_of: EncodingsOf, folder: Path) -> FrameIndex:
    """An index without vectors, whose cells are laid out."""
    tokens = int(kept.cut(0, 1)[names.video].shape[1])
    cells = cells_for(made_of.items * tokens)
    # The draw is always the same, so that the same videos make the same index.
    draw = torch.Generator().manual_seed(0)
    videos = torch.randperm(made_of.items, generator=draw)[: -(-2 * SAMPLE_A_CELL * cells // tokens)]
    sample, _, _ = names.found(kept.of(videos.sort().values))
    some = sample[torch.randperm(len(sample), generator=draw)[: SAMPLE_A_CELL * cells]]
    index = _empty(sample.shape[1], min(cells, len(some)))
    index.train(np.ascontiguousarray(some.float().numpy()))
    return FrameIndex(index, FrameIndexRecord(made_of, tokens, 0, made_of.items, [], "", None), names, folder)


def cells_for(vectors: int) -> int:
    """A power of two near to half the square root of the number of vectors: more take longer to be added to, fewer
    longer to be looked into."""
    return 1 << max(0, round(np.log2(max(1.0, vectors**0.5 / 2))))


def _empty(dim: int, cells: int) -> Any:
    faiss = faiss_module()
    codes = f"PQ{dim // NUMBERS_A_CODE}x4fs" if dim % NUMBERS_A_CODE == 0 else "SQ8"
    index = faiss.index_factory(dim, f"IVF{cells},{codes}", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.min_points_per_centroid = ROUNDS, 1
    if hasattr(index, "pq"):
        index.pq.cp.min_points_per_centroid = 1
    return index


def _vectors(
    kept: KeptEncodings, names: TokenNames, tokens: int, begin: int, end: int
) -> Iterator[tuple[Float[np.ndarray, "row dim"], np.ndarray]]:
    """The vectors of the videos between two places, and the row of each among those of all videos."""
    for first in range(begin, end, AT_ONCE):
        found, places, own = names.found(kept.cut(first, min(first + AT_ONCE, end)))
        yield np.ascontiguousarray(found.float().numpy()), ((first + places) * tokens + own).numpy()


def _read(folder: Path, head: Head) -> FrameIndex | None:
    """What is there; None where it is not whole."""
    names = compared_tokens(head)
    try:
        record = restored(FrameIndexRecord, read_checksummed(folder / FRAMES_RECORD))
        index = read_faiss(faiss_file(folder, STEM, record.faiss_sha256), record.faiss_sha256, _HEADERS)
    except (OSError, ValueError, RuntimeError):
        return None
    if names is None or record.tokens < 1 or not index.is_trained:
        return None
    return FrameIndex(index, record, names, folder)
