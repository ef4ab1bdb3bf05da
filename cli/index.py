"""``tvr index``: what makes searches of a large archive quick: kept encodings, and an index of the videos."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.contracts.errors import UsageError, counted
from ..heads.base import Head, TextFeatures
from ..heads.features.feature_set import FeatureSet
from ..heads.features.from_store import features_of
from ..heads.runs.find_store import store_notes
from ..heads.runs.run_folder import load_record
from ..heads.search.archive import open_gallery
from ..heads.search.gallery.asked_tokens import compared_tokens
from ..heads.search.gallery.faiss_files import faiss_module
from ..heads.search.gallery.faiss_index import build_index
from ..heads.search.gallery.frame_index import FrameIndex, built_frame_index, index_bytes
from ..heads.search.gallery.index_folder import INDEX_FOLDER
from ..heads.search.gallery.item_digests import Growth
from ..heads.search.gallery.kept_encodings import (
    ENCODINGS_FOLDER,
    KeptEncodings,
    encodings_bytes,
    kept_encodings,
)
from ..heads.search.gallery.measured_recall import (
    GOAL,
    captions_asked,
    frames_asked,
    measured_effort,
    number_of_queries,
)
from ..heads.search.gallery.windows import windows_of
from ..pipeline.store.housekeeping import size_in_words
from ..pipeline.store.reader import FeatureStore
from ..pipeline.workspace import Workspace
from .input.chosen_run import INDEXED, taken_run
from .input.options import DEFAULT_WORKSPACE, DatasetOption, JsonOption, StoreOption, WorkspaceOption
from .output.next_command import print_next, search_words
from .output.waiting import waiting
from .terminal import Meter, err, out, print_json

CANDIDATES, FEWEST = 100, 5
"""How many are advised where the index holds more than twice as many, and at least: as many as are shown."""
EXACT_UP_TO = 20_000
"""Of so many videos each is compared within a tenth of a second: an index of their frames would save nothing."""
_KINDS = ("auto", "flat", "hnsw", "frames")


def index(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run: its name as `tvr runs` lists it, or its folder. Default: the newest."),
    ] = None,
    store: StoreOption = None,
    dataset: DatasetOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    zero_shot: Annotated[
        bool,
        typer.Option("--zero-shot", help="For searches without a trained head: an index beside the store."),
    ] = False,
    kind: Annotated[
        str,
        typer.Option(
            help="frames: every frame, asked word by word, for heads that compare words with frames. flat: one vector "
            "a video, all looked at. hnsw: the same as a graph. auto: frames for such heads of more than 20,000 "
            "videos, else flat."
        ),
    ] = "auto",
    candidates: Annotated[
        int | None,
        typer.Option(
            help="For frames: how many videos the head compares. Default: the fewest that hold 99 % of the exact first "
            "ten, 1,000 at least."
        ),
    ] = None,
    encodings: Annotated[
        bool,
        typer.Option(
            help="Keep what the head makes of every video beside the run, so that no search makes it again."
        ),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made and its size, write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Keep a run's encodings and index its videos: `tvr search` can then compare a few. Again, it goes on.

    A search uses an index of frames by itself. One of a smaller archive (flat) it asks only with --candidates, and else
    compares every video.
    """
    if kind not in _KINDS:
        raise UsageError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    if candidates is not None and candidates < 1:
        raise UsageError(f"candidates must be at least 1, got {candidates}")
    if zero_shot and run is not None:
        raise UsageError(
            f"--zero-shot indexes a store and takes no run, got {run}. Name the store with --store."
        )
    place = Workspace(workspace)
    taken = taken_run(place, run, store, dataset, zero_shot=zero_shot, wording=INDEXED)
    head, name, features, opened = open_gallery(taken.run, taken.store)
    if taken.run is not None:
        for note in store_notes(load_record(taken.run), opened):
            err.print(f"note: {taken.run}: {note}", soft_wrap=True)
    items = windows_of(features, head.shape.num_frames).features
    wanted = _Wanted(
        head.eval(), name, items, taken.run or opened.folder, encodings=encodings and head.has_weights
    )
    kind = _resolved(kind, wanted, candidates)
    faiss_module()
    if dry_run:
        _say(wanted, _expected(wanted, kind), as_json=as_json)
        return
    made = _frames(wanted, opened, candidates) if kind == "frames" else _one_vector(wanted, kind)
    _say(wanted, made, as_json=as_json)
    if as_json:
        return
    more = () if kind == "frames" else ("--candidates", min(CANDIDATES, max(FEWEST, items.num_videos // 2)))
    on = opened.folder if taken.run is None else store and taken.store
    print_next(*search_words(taken.run, on, *more))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is indexed."""

    head: Head
    name: str
    """Of the head."""
    items: FeatureSet
    owner: Path
    """The run, or the store."""
    encodings: bool
    """Whether they are kept."""

    @property
    def kept_in(self) -> Path:
        return self.owner / ENCODINGS_FOLDER

    @property
    def index_in(self) -> Path:
        return self.owner / INDEX_FOLDER


def _resolved(kind: str, wanted: _Wanted, candidates: int | None) -> str:
    """Which kind is made.

    Raises:
        UsageError: this head or these options have none of it.
    """
    can = compared_tokens(wanted.head) is not None and wanted.encodings
    if kind == "auto":
        kind = "frames" if can and wanted.items.num_videos > EXACT_UP_TO else "flat"
    if kind == "frames" and not can:
        raise UsageError(
            "an index of frames is for a trained head that compares words with frames, and its --encodings have to be "
            f"kept; else {wanted.name} takes --kind flat"
        )
    if kind != "frames" and candidates is not None:
        raise UsageError(
            f"--candidates is said to `tvr search` for an index of the kind {kind}: leave it out here"
        )
    return kind


def _expected(wanted: _Wanted, kind: str) -> dict[str, Any]:
    """What would be made."""
    made: dict[str, Any] = {"dry_run": True, "kind": kind, "folder": str(wanted.index_in)}
    if wanted.encodings:
        made |= {
            "encodings": str(wanted.kept_in),
            "encodings_bytes": encodings_bytes(wanted.head, wanted.items),
        }
    shape = wanted.head.shape
    vectors = wanted.items.num_videos
    if kind == "frames":
        vectors = int(wanted.items.frames.lengths.clamp(max=shape.num_frames).sum())
        return made | {"index_bytes": index_bytes(vectors, shape.dim)}
    return made | {"index_bytes": 4 * vectors * shape.dim}


def _frames(wanted: _Wanted, store: FeatureStore, candidates: int | None) -> dict[str, Any]:
    """Index every frame, and measure what that finds."""
    kept, made = _kept(wanted)
    with Meter("indexing", "videos") as meter:
        index = built_frame_index(kept, wanted.index_in, meter.update)
        seconds = meter.elapsed_seconds
    index = _measured(index, kept, store, candidates)
    return made | {
        "kind": "frames",
        "folder": str(wanted.index_in),
        "index_bytes": index.num_bytes,
        "index_seconds": round(seconds, 1),
        "said": index.said(index.effort.candidates),
        **asdict(index.effort),
    }


def _measured(
    index: FrameIndex, kept: KeptEncodings, store: FeatureStore, candidates: int | None
) -> FrameIndex:
    known = index.record.effort
    if known is not None and candidates in (None, known.candidates):
        return index
    texts, are_captions = _asking(kept, store)
    with waiting("measuring what it finds of what comparing every video finds"):
        return index.measured(
            measured_effort(index, kept, texts, are_captions=are_captions, candidates=candidates)
        )


def _asking(kept: KeptEncodings, store: FeatureStore) -> tuple[TextFeatures, bool]:
    """Captions of the store or, where it has none, frames of its videos; and which of the two."""
    count = number_of_queries(kept.features.num_videos)
    if store.manifest.num_texts:
        return captions_asked(features_of(store, None, mapped=True), kept.head, count), True
    return frames_asked(kept.features, kept.head, count), False


def _one_vector(wanted: _Wanted, kind: str) -> dict[str, Any]:
    """Index one vector of every video."""
    kept, made = _kept(wanted) if wanted.encodings else (None, {})
    with Meter("indexing", "videos") as meter:
        built = build_index(wanted.head, wanted.items, "hnsw" if kind == "hnsw" else "flat", kept)
        built.save(wanted.index_in)
        seconds = meter.elapsed_seconds
    is_own = built.record.made_of.coarse == "head"
    source = f"the global vectors of {wanted.name}" if is_own else "zero-shot mean pooling"
    return made | {
        "kind": kind,
        "folder": str(wanted.index_in),
        "vectors": source,
        "index_seconds": round(seconds, 1),
    }


def _kept(wanted: _Wanted) -> tuple[KeptEncodings, dict[str, Any]]:
    with Meter("encoding", "videos") as meter:
        kept = kept_encodings(wanted.head, wanted.items, wanted.kept_in, meter.update)
        seconds = meter.elapsed_seconds
    grown = {} if kept.growth is None else {"encodings_growth": asdict(kept.growth)}
    return kept, {
        "encodings": str(wanted.kept_in),
        "encodings_bytes": kept.num_bytes,
        "encodings_seconds": round(seconds, 1),
        **grown,
    }


def _say(wanted: _Wanted, made: dict[str, Any], *, as_json: bool) -> None:
    videos = wanted.items.num_videos
    if as_json:
        print_json({"videos": videos, **made})
        return
    remarks = [made["kind"], *([made["vectors"]] if "vectors" in made else [])]
    if "index_bytes" in made:
        remarks.append(size_in_words(made["index_bytes"]))
    took = f" in {made['index_seconds']:.1f} s" if "index_seconds" in made else ""
    verb = "would be " if "dry_run" in made else ""
    out.print(
        f"{counted(videos, 'video')} {verb}in {made['folder']} ({', '.join(remarks)}){took}", soft_wrap=True
    )
    if "encodings" in made:
        took = f" in {made['encodings_seconds']:.1f} s" if "encodings_seconds" in made else ""
        size = size_in_words(made["encodings_bytes"])
        grown = f": {Growth(**made['encodings_growth'])}" if "encodings_growth" in made else ""
        out.print(f"their encodings {verb}in {made['encodings']} ({size}){took}{grown}", soft_wrap=True)
    if "said" in made:
        out.print(f"{made['said']} by {made['queries']} {made['source']} of the store", soft_wrap=True)
        if made["recall"] < GOAL:
            out.print(
                f"that is below {GOAL}: searches go on comparing every video unless --candidates asks for some",
                soft_wrap=True,
            )
