"""An index of every frame of a gallery, asked word by word, names the videos that a head has to compare.

One vector a video says little of a head whose order depends on single frames and words. Here each word asks for the
frames that are nearest to it, these vote for their videos, and the head puts the best of them in order by the kept
encodings. The index is FAISS's inverted file of product-quantised codes, laid out by a sample. It is added to in steps
and written after each, so that a build that was stopped goes on. Of a gallery that has changed, what is new is added,
and what is gone stays in the file unseen.
"""

import dataclasses
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ....data.contracts.errors import StoreError, UsageError
from ....data.contracts.records import restored
from ....pipeline.store.atomic_files import remove_leftovers
from ....pipeline.store.checksummed_json import read_checksummed, write_checksummed
from ....pipeline.store.file_locks import FileLock
from ...base import Encoded, Head
from ...features.feature_set import FeatureSet
from .asked_tokens import TokenNames, compared_tokens
from .encodings_folder import BLOCK, EncodingsOf
from .faiss_files import faiss_file, faiss_module, read_faiss, remove_others, write_faiss
from .frame_votes import voted
from .index_folder import LOCK, index_command
from .index_members import Members, remove_other_members
from .kept_encodings import KeptEncodings

FRAMES_RECORD, STEM = "frames.json", "frames"
STEP = 128 * BLOCK
"""Videos that are added before the index is written."""
AT_ONCE = 4 * BLOCK
"""Videos whose vectors are in memory at once."""
NUMBERS_A_CODE, LEAST_SAMPLE, SAMPLE_A_CELL, ROUNDS = 4, 16, 40, 10
"""Numbers of a vector that are quantised together (to 4 bits), vectors that are needed for that, vectors a cell by
which the cells are laid out, and how often they are moved."""
GROWN, FULL = 4, 0.5
"""Of a gallery that has grown by more than this factor, or where less than this share of the index is still there, the
cells are laid out anew."""
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
    """How many videos are in the index, those that are gone since among them."""
    trained_on: int
    """How many videos the gallery had when the cells were laid out."""
    faiss_sha256: str
    members_sha256: str
    """Of the file that says which videos these are."""
    effort: Effort | None
    """None until it is measured."""


class FrameIndex:
    """Every frame of a gallery.

    Args:
        index: FAISS's.
        record: what it is of.
        members: the videos of its rows.
        names: what the head calls what is compared.
        folder: where it lies.
    """

    def __init__(
        self, index: Any, record: FrameIndexRecord, members: Members, names: TokenNames, folder: Path
    ) -> None:
        self.record = record
        self.members = members
        self.folder = folder
        self.index = index
        self.names = names
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
        return FrameIndex(self.index, record, self.members, self.names, self.folder)

    def votes(self, text: Encoded, row: int, effort: Effort) -> np.ndarray:
        """The places of the videos that have votes, those with most first.

        Args:
            text: what is looked for, encoded by the head.
            row: which of these texts.
            effort: how it is asked.
        """
        asked = self.names.asked(text, row)
        vectors = np.ascontiguousarray(asked.vectors, np.float32)
        count = min(effort.asked, int(self.index.ntotal))
        how = self._faiss.SearchParametersIVF(nprobe=min(effort.visited, self.index.nlist))
        cosines, rows = self.index.search(vectors, count, params=how)
        return voted(asked, cosines, self.members.seen(rows, self.record.tokens), self.record.tokens)[0]

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
    if (
        found is not None
        and found.record.made_of == made_of
        and not len(found.members.missing(made_of.items))
    ):
        return found
    begun = _begun(kept, names, made_of, folder) if found is None else _gone_on(found, kept, made_of)
    index, record, members = begun.index, begun.record, begun.members
    missing = members.missing(made_of.items)
    # What is gone is written even where nothing is new.
    for places in np.split(missing, list(range(STEP, len(missing), STEP))):
        for vectors, rows in _vectors(kept, names, record.tokens, places, len(members)):
            index.add_with_ids(vectors, rows)
        members = members.with_more(kept.items, places)
        digest, members_digest = write_faiss(index, folder, STEM), members.write(folder, STEM)
        record = dataclasses.replace(
            record, done=len(members), faiss_sha256=digest, members_sha256=members_digest, effort=None
        )
        write_checksummed(folder / FRAMES_RECORD, dataclasses.asdict(record))
        remove_others(folder, STEM, digest)
        remove_other_members(folder, STEM, members_digest)
        report(members.num_there, made_of.items)
    return FrameIndex(index, record, members, names, folder)


def _gone_on(found: FrameIndex, kept: KeptEncodings, made_of: EncodingsOf) -> FrameIndex:
    """What is indexed, if it is of this head and most of it is still there; else an index that is laid out anew."""
    record, members = found.record, found.members.within(kept.items)
    if (
        not record.made_of.is_as(made_of)
        or not FULL * len(members) <= members.num_there
        or not made_of.items <= GROWN * record.trained_on
    ):
        return _begun(kept, found.names, made_of, found.folder)
    record = dataclasses.replace(record, made_of=made_of)
    return FrameIndex(found.index, record, members, found.names, found.folder)


def _begun(kept: KeptEncodings, names: TokenNames, made_of: EncodingsOf, folder: Path) -> FrameIndex:
    """An index without vectors, whose cells are laid out."""
    tokens = int(kept.cut(0, 1)[names.video].shape[1])
    cells = cells_for(made_of.items * tokens)
    # The draw is always the same, so that the same videos make the same index.
    draw = torch.Generator().manual_seed(0)
    videos = torch.randperm(made_of.items, generator=draw)[: -(-2 * SAMPLE_A_CELL * cells // tokens)]
    sample, _, _ = names.found(kept.of(videos.sort().values))
    some = sample[torch.randperm(len(sample), generator=draw)[: SAMPLE_A_CELL * cells]]
    index = _empty(sample.shape[1], min(cells, len(some)), coarse=len(some) >= LEAST_SAMPLE)
    index.train(np.ascontiguousarray(some.float().numpy()))
    record = FrameIndexRecord(made_of, tokens, 0, made_of.items, "", "", None)
    return FrameIndex(index, record, Members.none(), names, folder)


def cells_for(vectors: int) -> int:
    """A power of two near to half the square root of the number of vectors: more take longer to be added to, fewer
    longer to be looked into."""
    return 1 << max(0, round(np.log2(max(1.0, vectors**0.5 / 2))))


def _empty(dim: int, cells: int, *, coarse: bool) -> Any:
    faiss = faiss_module()
    codes = f"PQ{dim // NUMBERS_A_CODE}x4fs" if coarse and dim % NUMBERS_A_CODE == 0 else "SQ8"
    index = faiss.index_factory(dim, f"IVF{cells},{codes}", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.min_points_per_centroid = ROUNDS, 1
    if hasattr(index, "pq"):
        index.pq.cp.min_points_per_centroid = 1
    return index


def _vectors(
    kept: KeptEncodings, names: TokenNames, tokens: int, places: Int[np.ndarray, " place"], members: int
) -> Iterator[tuple[Float[np.ndarray, "row dim"], np.ndarray]]:
    """The vectors of the videos at some places, and the row of each in the index, which has so many members."""
    for first in range(0, len(places), AT_ONCE):
        some = torch.from_numpy(places[first : first + AT_ONCE])
        found, place, own = names.found(kept.of(some))
        yield np.ascontiguousarray(found.numpy()), ((members + first + place) * tokens + own).numpy()


def _read(folder: Path, head: Head) -> FrameIndex | None:
    """What is there; None where it is not whole."""
    names = compared_tokens(head)
    try:
        record = restored(FrameIndexRecord, read_checksummed(folder / FRAMES_RECORD))
        index = read_faiss(faiss_file(folder, STEM, record.faiss_sha256), record.faiss_sha256, _HEADERS)
        members = Members.read(folder, STEM, record.members_sha256)
    except (OSError, ValueError, RuntimeError):
        return None
    if names is None or record.tokens < 1 or not index.is_trained or len(members) != record.done:
        return None
    return FrameIndex(index, record, members, names, folder)
